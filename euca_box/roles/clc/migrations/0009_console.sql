-- Who is logged in (the token's SHA-256), second factors, requests for an account, and what was asked.
ALTER TABLE user ADD COLUMN totp_secret text NOT NULL DEFAULT '';
ALTER TABLE user ADD COLUMN totp_step integer NOT NULL DEFAULT 0;
CREATE TABLE console_session (
  token_hash text PRIMARY KEY,
  user_id text NOT NULL,
  created_at real NOT NULL,
  used_at real NOT NULL,
  password_at real NOT NULL,
  source_ip text NOT NULL,
  user_agent text NOT NULL
);
CREATE TABLE signup (
  id text PRIMARY KEY,
  account_name text NOT NULL UNIQUE,
  email text NOT NULL,
  real_name text NOT NULL,
  reason text NOT NULL,
  password_hash text NOT NULL,
  created_at real NOT NULL
);
CREATE TABLE event (
  id text PRIMARY KEY,
  at real NOT NULL,
  account text NOT NULL,
  who text NOT NULL,
  action text NOT NULL,
  parameters text NOT NULL,
  source_ip text NOT NULL,
  user_agent text NOT NULL,
  access_key_id text NOT NULL,
  request_id text NOT NULL,
  error_code text NOT NULL,
  error_message text NOT NULL
);
CREATE INDEX event_account ON event (account, id);
