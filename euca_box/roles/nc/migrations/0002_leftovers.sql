-- What the sweep found that belonged to no instance, and what it did with it.
CREATE TABLE leftover (id integer PRIMARY KEY, at real NOT NULL, kind text NOT NULL, name text NOT NULL, deed text NOT NULL)
