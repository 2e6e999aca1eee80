CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE op_result (op_id text PRIMARY KEY, reply text NOT NULL, at real NOT NULL);
CREATE TABLE instance (id text PRIMARY KEY, record text NOT NULL);
CREATE TABLE tombstone (id text PRIMARY KEY, at real NOT NULL);
