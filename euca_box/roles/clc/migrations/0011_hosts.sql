CREATE TABLE host (id text PRIMARY KEY, account text NOT NULL, version integer NOT NULL, record text NOT NULL);
-- Tokens by which hosts join: only hashes.
CREATE TABLE join_token (
  hash text PRIMARY KEY,
  roles text NOT NULL,
  zone text NOT NULL,
  expires_at real NOT NULL,
  used_by text NOT NULL DEFAULT ''
);
-- Keys that are never believed again.
CREATE TABLE revoked_host (host_id text PRIMARY KEY, at real NOT NULL);
-- The version of the list of hosts, as it was last told.
CREATE TABLE hosts_version (one integer PRIMARY KEY, version integer NOT NULL);
-- What was disabled of the components of the cloud controller's own host.
CREATE TABLE component_state (address text PRIMARY KEY, state text NOT NULL);
