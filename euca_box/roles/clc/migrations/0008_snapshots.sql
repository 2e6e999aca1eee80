CREATE TABLE snapshot (id text PRIMARY KEY, account text NOT NULL, version integer NOT NULL, record text NOT NULL);
