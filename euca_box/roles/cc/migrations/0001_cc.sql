CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE op_result (op_id text PRIMARY KEY, reply text NOT NULL, at real NOT NULL);
CREATE TABLE instance (id text PRIMARY KEY, record text NOT NULL);
CREATE TABLE tombstone (id text PRIMARY KEY, at real NOT NULL);
CREATE TABLE private_address (ip text PRIMARY KEY, instance_id text, free_after real NOT NULL DEFAULT 0);
CREATE TABLE public_address (ip text PRIMARY KEY, instance_id text);
