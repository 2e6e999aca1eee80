-- Images that Walrus made itself (unpacked from bundles, copied, uploaded by nodes), by the id of the image.
CREATE TABLE stored_image (
    image_id TEXT PRIMARY KEY,
    record TEXT NOT NULL,
    used_at REAL NOT NULL
) WITHOUT ROWID;
