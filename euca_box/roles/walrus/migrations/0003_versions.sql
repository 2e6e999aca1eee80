-- Default retention of a bucket with object lock, as JSON; empty without object lock.
ALTER TABLE bucket ADD COLUMN object_lock TEXT NOT NULL DEFAULT '';

ALTER TABLE object ADD COLUMN tags TEXT NOT NULL DEFAULT '';

ALTER TABLE object ADD COLUMN lock TEXT NOT NULL DEFAULT '';

ALTER TABLE object ADD COLUMN encryption TEXT NOT NULL DEFAULT '';

ALTER TABLE object ADD COLUMN storage_class TEXT NOT NULL DEFAULT '';

-- Versions that are not the current one, and delete markers. A key whose newest version is a marker has no
-- row in `object`; otherwise the row there is newer than all rows here.
CREATE TABLE version (
    bucket TEXT NOT NULL REFERENCES bucket (name),
    key TEXT NOT NULL,
    generation INTEGER NOT NULL,
    version_id TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    owner TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    acl TEXT NOT NULL,
    checksum TEXT NOT NULL DEFAULT '',
    sha256 TEXT NOT NULL DEFAULT '',
    headers TEXT NOT NULL DEFAULT '{}',
    tags TEXT NOT NULL DEFAULT '',
    lock TEXT NOT NULL DEFAULT '',
    encryption TEXT NOT NULL DEFAULT '',
    storage_class TEXT NOT NULL DEFAULT '',
    marker INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, key, generation DESC)
) WITHOUT ROWID;

-- A key has one null version at most, among any number of others.
CREATE UNIQUE INDEX version_null ON version (bucket, key) WHERE version_id = 'null';

-- CRC32C of the bytes as they are on the disk: of a blob as a whole, of a file for each 256 KiB, four bytes
-- each. Empty: written before there were any. `nonce`: the counter that an encrypted one begins with.
ALTER TABLE blob ADD COLUMN crc BLOB NOT NULL DEFAULT x'';

ALTER TABLE blob ADD COLUMN nonce BLOB NOT NULL DEFAULT x'';

ALTER TABLE piece ADD COLUMN crcs BLOB NOT NULL DEFAULT x'';

ALTER TABLE piece ADD COLUMN nonce BLOB NOT NULL DEFAULT x'';

ALTER TABLE piece ADD COLUMN checksum TEXT NOT NULL DEFAULT '';

ALTER TABLE part ADD COLUMN crcs BLOB NOT NULL DEFAULT x'';

ALTER TABLE part ADD COLUMN nonce BLOB NOT NULL DEFAULT x'';

ALTER TABLE upload ADD COLUMN tags TEXT NOT NULL DEFAULT '';

ALTER TABLE upload ADD COLUMN lock TEXT NOT NULL DEFAULT '';

ALTER TABLE upload ADD COLUMN encryption TEXT NOT NULL DEFAULT '';

ALTER TABLE upload ADD COLUMN storage_class TEXT NOT NULL DEFAULT '';
