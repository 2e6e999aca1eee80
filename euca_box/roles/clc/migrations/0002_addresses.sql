CREATE TABLE address (id text PRIMARY KEY, account text NOT NULL, version integer NOT NULL, record text NOT NULL);
CREATE TABLE address_ip (public_ip text PRIMARY KEY, allocation_id text NOT NULL UNIQUE);
