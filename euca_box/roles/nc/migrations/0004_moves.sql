-- Up to which start an instance may not run here; NULL: it ended.
ALTER TABLE tombstone ADD COLUMN starts integer;
