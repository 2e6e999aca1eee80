CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE op_result (op_id text PRIMARY KEY, reply text NOT NULL, at real NOT NULL);
-- Volumes as they shall be, and which attachment holds them.
CREATE TABLE volume (id text PRIMARY KEY, record text NOT NULL);
-- Ids that were deleted here and never come back.
CREATE TABLE tombstone (id text PRIMARY KEY, at real NOT NULL);
-- Snapshots that are taken and sent, or were.
CREATE TABLE snapshot (id text PRIMARY KEY, record text NOT NULL);
