-- Snapshots of volumes. `record`: as StoredSnapshot; empty while it is sent, `deleted` when it was deleted.
CREATE TABLE snapshot (id TEXT PRIMARY KEY, manifest TEXT NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;

CREATE INDEX snapshot_by_manifest ON snapshot (manifest);

-- Chunks whose bytes are here, by their SHA-256.
CREATE TABLE chunk (digest TEXT PRIMARY KEY, stored_bytes INTEGER NOT NULL) WITHOUT ROWID;

-- Which snapshot needs which chunk; also while it is sent.
CREATE TABLE snapshot_chunk (
    digest TEXT NOT NULL,
    snapshot_id TEXT NOT NULL,
    PRIMARY KEY (digest, snapshot_id)
) WITHOUT ROWID;

CREATE INDEX snapshot_chunk_by_snapshot ON snapshot_chunk (snapshot_id);
