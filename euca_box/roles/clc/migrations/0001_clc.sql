CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE account (account text PRIMARY KEY, name text NOT NULL UNIQUE, created_at real NOT NULL);
CREATE TABLE user (
  account text NOT NULL REFERENCES account (account),
  name text NOT NULL,
  canonical_id text NOT NULL UNIQUE,
  email text NOT NULL DEFAULT '',
  admin integer NOT NULL DEFAULT 0,
  state text NOT NULL,
  password_hash text NOT NULL DEFAULT '',
  created_at real NOT NULL,
  PRIMARY KEY (account, name)
);
CREATE TABLE access_key (
  access_key_id text PRIMARY KEY,
  account text NOT NULL,
  user text NOT NULL,
  sealed_secret text NOT NULL,
  state text NOT NULL,
  created_at real NOT NULL,
  FOREIGN KEY (account, user) REFERENCES user (account, name)
);
CREATE TABLE instance (id text PRIMARY KEY, account text NOT NULL, version integer NOT NULL, record text NOT NULL);
CREATE TABLE user_data (instance_id text PRIMARY KEY, data blob NOT NULL);
CREATE TABLE image (id text PRIMARY KEY, account text NOT NULL, version integer NOT NULL, record text NOT NULL);
CREATE TABLE key_pair (id text PRIMARY KEY, account text NOT NULL, version integer NOT NULL, record text NOT NULL);
CREATE TABLE key_pair_name (account text NOT NULL, name text NOT NULL, PRIMARY KEY (account, name));
CREATE TABLE security_group (id text PRIMARY KEY, account text NOT NULL, version integer NOT NULL, record text NOT NULL);
CREATE TABLE security_group_name (account text NOT NULL, name text NOT NULL, PRIMARY KEY (account, name));
CREATE TABLE client_token (
  account text NOT NULL,
  token text NOT NULL,
  parameters text NOT NULL,
  reservation_id text NOT NULL,
  at real NOT NULL,
  PRIMARY KEY (account, token)
);
CREATE TABLE used_id (id text PRIMARY KEY);
