-- Changes of objects that somebody wants to be told of: written with the change, removed when they were told.
CREATE TABLE notice (
    target TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    event TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    bucket TEXT NOT NULL,
    owner TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    key TEXT NOT NULL,
    etag TEXT NOT NULL,
    size_bytes INTEGER,
    version_id TEXT NOT NULL,
    sequencer INTEGER NOT NULL,
    principal TEXT NOT NULL,
    source_ip TEXT NOT NULL,
    request_id TEXT NOT NULL,
    PRIMARY KEY (target, sequence)
) WITHOUT ROWID;
