CREATE TABLE network_tag (tag integer PRIMARY KEY, group_id text NOT NULL UNIQUE);
