-- What the owner of a bucket has set for it: a policy, CORS rules, ... one document each.
CREATE TABLE bucket_setting (
    bucket TEXT NOT NULL REFERENCES bucket (name),
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (bucket, name)
) WITHOUT ROWID;

-- Who began an upload; the owner is whose the object will be. Empty: the owner.
ALTER TABLE upload ADD COLUMN initiator TEXT NOT NULL DEFAULT '';

ALTER TABLE upload ADD COLUMN initiator_id TEXT NOT NULL DEFAULT '';

ALTER TABLE upload ADD COLUMN initiator_name TEXT NOT NULL DEFAULT '';
