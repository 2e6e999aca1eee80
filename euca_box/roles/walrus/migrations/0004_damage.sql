-- Versions whose bytes on the disk are not those that were written. They are not given out.
CREATE TABLE damage (
    generation INTEGER PRIMARY KEY,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    version_id TEXT NOT NULL,
    file TEXT NOT NULL,
    offset_bytes INTEGER NOT NULL,
    found_ms INTEGER NOT NULL
);
