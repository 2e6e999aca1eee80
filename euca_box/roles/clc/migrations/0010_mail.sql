-- Mail that waits to be sent, and links by which a password is chosen anew (the link's SHA-256).
CREATE TABLE mail (
  id text PRIMARY KEY,
  recipient text NOT NULL,
  subject text NOT NULL,
  body text NOT NULL,
  created_at real NOT NULL,
  tries integer NOT NULL DEFAULT 0,
  next_at real NOT NULL DEFAULT 0,
  error text NOT NULL DEFAULT ''
);
CREATE TABLE recovery (token_hash text PRIMARY KEY, user_id text NOT NULL, ends_at real NOT NULL);
