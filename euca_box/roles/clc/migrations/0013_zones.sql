-- Zones beside the configured one, each with a number for ever: the names of their subnets follow from it.
CREATE TABLE zone (name text PRIMARY KEY, number integer NOT NULL UNIQUE);
