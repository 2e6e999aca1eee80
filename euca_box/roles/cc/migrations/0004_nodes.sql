CREATE TABLE node (address text PRIMARY KEY, record text NOT NULL);
