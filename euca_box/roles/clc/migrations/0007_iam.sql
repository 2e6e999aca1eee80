-- Users of IAM: ids of their own, paths, policies instead of "everything in the account", names that may
-- change. What there was: one user an account, who keeps all; where there are several, the first does.
CREATE TABLE new_access_key (
  access_key_id text PRIMARY KEY,
  account text NOT NULL,
  user text NOT NULL,
  sealed_secret text NOT NULL,
  state text NOT NULL,
  created_at real NOT NULL,
  used_at real NOT NULL DEFAULT 0,
  used_service text NOT NULL DEFAULT ''
);
INSERT INTO new_access_key (access_key_id, account, user, sealed_secret, state, created_at)
  SELECT access_key_id, account, user, sealed_secret, state, created_at FROM access_key;
DROP TABLE access_key;
ALTER TABLE new_access_key RENAME TO access_key;
CREATE INDEX access_key_user ON access_key (account, user);
CREATE TABLE new_signing_certificate (
  certificate_id text PRIMARY KEY,
  account text NOT NULL,
  user text NOT NULL,
  pem text NOT NULL,
  state text NOT NULL,
  created_at real NOT NULL
);
INSERT INTO new_signing_certificate (certificate_id, account, user, pem, state, created_at)
  SELECT certificate_id, account, user, pem, state, created_at FROM signing_certificate;
DROP TABLE signing_certificate;
ALTER TABLE new_signing_certificate RENAME TO signing_certificate;
CREATE INDEX signing_certificate_account ON signing_certificate (account);
CREATE TABLE new_user (
  account text NOT NULL REFERENCES account (account),
  name text NOT NULL,
  id text NOT NULL UNIQUE,
  path text NOT NULL DEFAULT '/',
  root integer NOT NULL DEFAULT 0,
  canonical_id text NOT NULL,
  email text NOT NULL DEFAULT '',
  admin integer NOT NULL DEFAULT 0,
  state text NOT NULL,
  password_hash text NOT NULL DEFAULT '',
  password_at real NOT NULL DEFAULT 0,
  password_used_at real NOT NULL DEFAULT 0,
  password_reset integer NOT NULL DEFAULT 0,
  created_at real NOT NULL,
  PRIMARY KEY (account, name)
);
INSERT INTO new_user (account, name, id, root, canonical_id, email, admin, state, password_hash, created_at)
  SELECT account, name, 'AIDA' || upper(substr(canonical_id, 1, 16)), admin, canonical_id, email, admin, state, password_hash, created_at FROM user;
DROP TABLE user;
ALTER TABLE new_user RENAME TO user;
UPDATE user SET root = 1 WHERE NOT EXISTS (
  SELECT 1 FROM user AS other WHERE other.account = user.account AND other.name <> user.name
  AND (other.admin > user.admin OR (other.admin = user.admin AND (other.created_at < user.created_at OR (other.created_at = user.created_at AND other.name < user.name)))));
CREATE TABLE iam_group (
  account text NOT NULL,
  name text NOT NULL,
  id text PRIMARY KEY,
  path text NOT NULL,
  created_at real NOT NULL,
  UNIQUE (account, name)
);
CREATE TABLE group_member (group_id text NOT NULL, user_id text NOT NULL, PRIMARY KEY (group_id, user_id));
CREATE TABLE iam_role (
  account text NOT NULL,
  name text NOT NULL,
  id text PRIMARY KEY,
  path text NOT NULL,
  trust text NOT NULL,
  description text NOT NULL,
  longest_seconds integer NOT NULL,
  created_at real NOT NULL,
  UNIQUE (account, name)
);
CREATE TABLE instance_profile (
  account text NOT NULL,
  name text NOT NULL,
  id text PRIMARY KEY,
  path text NOT NULL,
  role_id text,
  created_at real NOT NULL,
  UNIQUE (account, name)
);
CREATE TABLE managed_policy (
  account text NOT NULL,
  name text NOT NULL,
  id text PRIMARY KEY,
  path text NOT NULL,
  description text NOT NULL,
  default_version integer NOT NULL,
  newest_version integer NOT NULL,
  created_at real NOT NULL,
  updated_at real NOT NULL,
  UNIQUE (account, name)
);
CREATE TABLE policy_version (
  policy_id text NOT NULL,
  version integer NOT NULL,
  document text NOT NULL,
  created_at real NOT NULL,
  PRIMARY KEY (policy_id, version)
);
-- The owner is the id of a user, group or role; the policy is an ARN, since AWS's own have no row.
CREATE TABLE attached_policy (owner text NOT NULL, policy_arn text NOT NULL, PRIMARY KEY (owner, policy_arn));
CREATE INDEX attached_policy_arn ON attached_policy (policy_arn);
CREATE TABLE inline_policy (owner text NOT NULL, name text NOT NULL, document text NOT NULL, PRIMARY KEY (owner, name));
CREATE TABLE iam_tag (owner text NOT NULL, key text NOT NULL, value text NOT NULL, PRIMARY KEY (owner, key));
INSERT INTO attached_policy (owner, policy_arn)
  SELECT id, 'arn:aws:iam::aws:policy/AdministratorAccess' FROM user WHERE root = 0;
