CREATE TABLE volume (id text PRIMARY KEY, account text NOT NULL, version integer NOT NULL, record text NOT NULL);
-- Client tokens of CreateVolume, and the volume that each made.
CREATE TABLE volume_token (
  account text NOT NULL,
  token text NOT NULL,
  parameters text NOT NULL,
  volume_id text NOT NULL,
  PRIMARY KEY (account, token)
);
