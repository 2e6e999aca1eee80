"""The actions that the policy of a bucket may speak of: those on buckets and on objects.

Source: service authorization reference, "Actions defined by Amazon S3". A name that is none is refused,
since a Deny that is spelt wrong would forbid nothing.
"""

from euca_box.model.policy_text import parse_pattern

_GET_AND_PUT = """AccelerateConfiguration AnalyticsConfiguration BucketAcl BucketCORS BucketLogging
    BucketNotification BucketObjectLockConfiguration BucketOwnershipControls BucketPolicy
    BucketPublicAccessBlock BucketRequestPayment BucketTagging BucketVersioning BucketWebsite
    EncryptionConfiguration IntelligentTieringConfiguration InventoryConfiguration LifecycleConfiguration
    MetricsConfiguration Object ObjectAcl ObjectLegalHold ObjectRetention ObjectTagging ObjectVersionAcl
    ObjectVersionTagging ReplicationConfiguration""".split()  # noqa: SIM905
_OTHERS = """
    AbortMultipartUpload BypassGovernanceRetention CreateBucket CreateBucketMetadataTableConfiguration
    CreateSession DeleteBucket DeleteBucketMetadataTableConfiguration DeleteBucketPolicy
    DeleteBucketWebsite DeleteObject DeleteObjectTagging DeleteObjectVersion DeleteObjectVersionTagging
    GetBucketAbac GetBucketLocation GetBucketMetadataTableConfiguration GetBucketPolicyStatus
    GetObjectAttributes GetObjectTorrent GetObjectVersion GetObjectVersionAttributes
    GetObjectVersionForReplication GetObjectVersionTorrent InitiateReplication ListBucket
    ListBucketMultipartUploads ListBucketVersions ListMultipartUploadParts ListTagsForResource
    ObjectOwnerOverrideToBucketOwner PauseReplication PutBucketAbac ReplicateDelete ReplicateObject
    ReplicateTags RestoreObject TagResource UntagResource
    UpdateBucketMetadataInventoryTableConfiguration UpdateBucketMetadataJournalTableConfiguration
    """.split()  # noqa: SIM905
ACTIONS = frozenset(f"s3:{name}" for name in _OTHERS) | {
    f"s3:{verb}{name}" for verb in ("Get", "Put") for name in _GET_AND_PUT
}


def is_action(name: str) -> bool:
    """Does a name of a policy, with its wildcards, mean any of them?"""
    pattern = parse_pattern(name, variables=False, ignore_case=True)
    return any(pattern.matches(action, {}) for action in ACTIONS)
