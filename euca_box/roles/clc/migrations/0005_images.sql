-- What signs the manifests of bundled images. The private keys are with their users.
CREATE TABLE signing_certificate (
  certificate_id text PRIMARY KEY,
  account text NOT NULL,
  user text NOT NULL,
  pem text NOT NULL,
  state text NOT NULL,
  created_at real NOT NULL,
  FOREIGN KEY (account, user) REFERENCES user (account, name)
);
CREATE INDEX signing_certificate_account ON signing_certificate (account);
CREATE TABLE bundle_task (id text PRIMARY KEY, account text NOT NULL, version integer NOT NULL, record text NOT NULL);
