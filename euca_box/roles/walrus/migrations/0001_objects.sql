CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- What a mutating operation of another role was answered, so that a repeat gets the same answer.
CREATE TABLE op_result (
    op_id TEXT PRIMARY KEY,
    reply TEXT NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID;

-- The keys that the cloud controller pushed, one row an access key, all of one version.
CREATE TABLE principal (
    access_key_id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE bucket (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    location TEXT NOT NULL,
    acl TEXT NOT NULL,
    versioning TEXT NOT NULL DEFAULT '',
    policy TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- The current version of each key. The row is the commit point: its bytes are durable before it is.
CREATE TABLE object (
    bucket TEXT NOT NULL REFERENCES bucket (name),
    key TEXT NOT NULL,
    generation INTEGER NOT NULL,
    version_id TEXT NOT NULL DEFAULT 'null',
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
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;

-- The bytes of small objects, apart, so that the pages of a listing stay dense.
CREATE TABLE blob (
    generation INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
);

-- The files of larger objects, in order. File names are random and never used twice.
CREATE TABLE piece (
    generation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    file TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (generation, number)
) WITHOUT ROWID;

-- A multipart upload. `etag` is empty until it is completed; the row then stays a while, so that a
-- repeated CompleteMultipartUpload gets the same answer. `changes` counts its parts as they come.
CREATE TABLE upload (
    upload_id TEXT PRIMARY KEY,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    owner TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    acl TEXT NOT NULL,
    headers TEXT NOT NULL,
    algorithm TEXT NOT NULL DEFAULT '',
    checksum_type TEXT NOT NULL DEFAULT '',
    changes INTEGER NOT NULL DEFAULT 0,
    etag TEXT NOT NULL DEFAULT '',
    checksum TEXT NOT NULL DEFAULT '',
    done_ms INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX upload_by_key ON upload (bucket, key, upload_id);

CREATE TABLE part (
    upload_id TEXT NOT NULL REFERENCES upload (upload_id),
    number INTEGER NOT NULL,
    file TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    etag TEXT NOT NULL,
    checksum TEXT NOT NULL DEFAULT '',
    modified_ms INTEGER NOT NULL,
    PRIMARY KEY (upload_id, number)
) WITHOUT ROWID;
