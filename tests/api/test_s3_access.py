"""Who may do what on S3: ACLs, policies, public access block, object ownership; by boto3."""

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from euca_box.model.accounts import AccessKey, Principal
from euca_box.model.s3_actions import ACTIONS, is_action
from euca_box.objects.acl import Action
from tests.api.s3_box import ALICE, BOB, S3Box, running_s3

CAROL = AccessKey(
    "AKIACAROL", "carol-secret", Principal("000000000005", "carol", "d" * 64, "carol", "Carol@example.com")
)
ALL = "http://acs.amazonaws.com/groups/global/AllUsers"
KEYED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
_names = itertools.count()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Box]:
    with running_s3(tmp_path_factory.mktemp("s3"), keys=(ALICE, BOB, CAROL)) as box:
        yield box


@pytest.fixture(scope="module")
def alice(box: S3Box) -> Any:
    return box.client(ALICE)


@pytest.fixture(scope="module")
def bob(box: S3Box) -> Any:
    return box.client(BOB)


@pytest.fixture
def bucket(alice: Any) -> str:
    name = f"access-{next(_names)}"
    alice.create_bucket(Bucket=name)
    alice.put_object(Bucket=name, Key="k", Body=b"data")
    return name


def code_of(attempt: Any, *args: Any, **kwargs: Any) -> str:
    """The error code of the call, or an empty string."""
    try:
        attempt(*args, **kwargs)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def anonymous_status(box: S3Box, path: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{box.url}/{path}", headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def owner(key: AccessKey = ALICE) -> dict[str, str]:
    return {"ID": key.principal.canonical_id}


def grant(permission: str, **grantee: str) -> dict[str, Any]:
    return {"Grantee": grantee, "Permission": permission}


def to_bob(permission: str) -> dict[str, Any]:
    return grant(permission, Type="CanonicalUser", ID=BOB.principal.canonical_id)


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [
        ("READ", {"list"}),
        ("WRITE", {"put", "delete"}),
        ("READ_ACP", {"get-acl"}),
        ("WRITE_ACP", {"put-acl"}),
        ("FULL_CONTROL", {"list", "put", "delete", "get-acl", "put-acl"}),
    ],
)
def test_a_grant_on_a_bucket_allows_that_and_no_more(
    alice: Any, bob: Any, bucket: str, permission: str, allowed: set[str]
) -> None:
    policy = {"Owner": owner(), "Grants": [to_bob(permission)]}
    alice.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy)
    attempts = {
        "list": lambda: bob.list_objects_v2(Bucket=bucket),
        "put": lambda: bob.put_object(Bucket=bucket, Key="new", Body=b"x"),
        "delete": lambda: bob.delete_object(Bucket=bucket, Key="gone"),
        "get-acl": lambda: bob.get_bucket_acl(Bucket=bucket),
        "get": lambda: bob.get_object(Bucket=bucket, Key="k"),
        "location": lambda: bob.get_bucket_location(Bucket=bucket),
        "policy": lambda: bob.put_bucket_policy(Bucket=bucket, Policy="{}"),
        "remove": lambda: bob.delete_bucket(Bucket=bucket),
        "put-acl": lambda: bob.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy),
    }
    assert {name for name, attempt in attempts.items() if not code_of(attempt)} == allowed


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [
        ("READ", {"get"}),
        ("READ_ACP", {"get-acl"}),
        ("WRITE_ACP", {"put-acl"}),
        ("FULL_CONTROL", {"get", "get-acl", "put-acl"}),
    ],
)
def test_a_grant_on_an_object_allows_that_and_no_more(
    alice: Any, bob: Any, bucket: str, permission: str, allowed: set[str]
) -> None:
    header = f"Grant{permission.title().replace('_', '').replace('Acp', 'ACP')}"
    alice.put_object(Bucket=bucket, Key="k", Body=b"x", **{header: f"id={BOB.principal.canonical_id}"})
    policy = {"Owner": owner(), "Grants": [to_bob(permission)]}
    attempts = {
        "get": lambda: bob.get_object(Bucket=bucket, Key="k"),
        "get-acl": lambda: bob.get_object_acl(Bucket=bucket, Key="k"),
        "put": lambda: bob.put_object(Bucket=bucket, Key="k", Body=b"x"),
        "delete": lambda: bob.delete_object(Bucket=bucket, Key="k"),
        "put-acl": lambda: bob.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=policy),
    }
    assert {name for name, attempt in attempts.items() if not code_of(attempt)} == allowed


def test_groups_and_e_mail_addresses_are_grantees(box: S3Box, alice: Any, bob: Any, bucket: str) -> None:
    alice.put_object_acl(Bucket=bucket, Key="k", GrantRead=f'uri="{KEYED}"')
    assert code_of(bob.get_object, Bucket=bucket, Key="k") == ""
    assert anonymous_status(box, f"{bucket}/k") == 403
    alice.put_object_acl(Bucket=bucket, Key="k", GrantRead=f'uri="{ALL}", emailAddress="carol@EXAMPLE.com"')
    assert anonymous_status(box, f"{bucket}/k") == 200
    shown = alice.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    assert [g["Grantee"].get("URI") or g["Grantee"]["DisplayName"] for g in shown] == [ALL, "carol"]


def test_an_owner_without_grants_has_the_acl_still(alice: Any, bucket: str) -> None:
    alice.put_bucket_acl(Bucket=bucket, AccessControlPolicy={"Owner": owner(), "Grants": []})
    assert code_of(alice.list_objects_v2, Bucket=bucket) == "AccessDenied"
    assert code_of(alice.put_object, Bucket=bucket, Key="new", Body=b"x") == "AccessDenied"
    assert alice.get_bucket_acl(Bucket=bucket)["Grants"] == []
    alice.put_bucket_acl(Bucket=bucket, ACL="private")
    assert code_of(alice.list_objects_v2, Bucket=bucket) == ""


@pytest.mark.parametrize(
    ("acl", "code"),
    [
        ({"GrantRead": "id=nobody"}, "InvalidArgument"),
        ({"GrantRead": "emailAddress=nobody@example.com"}, "UnresolvableGrantByEmailAddress"),
        ({"GrantRead": "uri=http://example.com/group"}, "InvalidArgument"),
        ({"GrantRead": "bob"}, "InvalidArgument"),
        ({"GrantRead": f"id={'b' * 64} id={'b' * 64}"}, "InvalidArgument"),
        ({"GrantRead": f"id={'b' * 64},"}, "InvalidArgument"),
        ({"GrantRead": f"id={'b' * 64}", "ACL": "private"}, "InvalidRequest"),
        ({"GrantRead": ",".join([f"id={'b' * 64}"] * 101)}, "InvalidRequest"),
        ({"ACL": "everybody"}, "InvalidArgument"),
        ({"AccessControlPolicy": {"Owner": owner(BOB), "Grants": []}}, "InvalidArgument"),
        ({"AccessControlPolicy": {"Grants": []}}, "MalformedACLError"),
        ({"AccessControlPolicy": {"Owner": owner(), "Grants": [to_bob("ALL")]}}, "MalformedACLError"),
        (
            {"AccessControlPolicy": {"Owner": owner(), "Grants": [grant("READ", Type="Nobody", ID="x")]}},
            "MalformedACLError",
        ),
        ({}, "MissingSecurityHeader"),
    ],
)
def test_an_acl_that_is_none_changes_nothing(alice: Any, bucket: str, acl: Any, code: str) -> None:
    for change, which in ((alice.put_bucket_acl, {}), (alice.put_object_acl, {"Key": "k"})):
        assert code_of(change, Bucket=bucket, **which, **acl) == code
    assert [g["Permission"] for g in alice.get_bucket_acl(Bucket=bucket)["Grants"]] == ["FULL_CONTROL"]


def test_acls_survive_a_restart(tmp_path: Path) -> None:
    policy = {"Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "*"}}
    with running_s3(tmp_path) as box:
        box.client().create_bucket(Bucket="bucket")
        box.client().put_object(Bucket="bucket", Key="k", GrantRead=f"id={BOB.principal.canonical_id}")
        box.client().put_bucket_policy(Bucket="bucket", Policy=json.dumps(policy))
    with running_s3(tmp_path) as box:
        assert code_of(box.client(BOB).get_object, Bucket="bucket", Key="k") == ""
        assert json.loads(box.client().get_bucket_policy(Bucket="bucket")["Policy"]) == policy
        assert code_of(box.client().delete_object, Bucket="bucket", Key="k") == "AccessDenied"


def allow(bucket: str, action: Any = "s3:GetObject", **more: Any) -> dict[str, Any]:
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": resources, **more}


def set_policy(client: Any, bucket: str, *statements: Any) -> None:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))


def test_a_policy_allows_others_what_it_names(box: S3Box, alice: Any, bob: Any, bucket: str) -> None:
    set_policy(alice, bucket, allow(bucket, Principal={"AWS": BOB.principal.account}))
    assert bob.get_object(Bucket=bucket, Key="k")["Body"].read() == b"data"
    assert code_of(bob.list_objects_v2, Bucket=bucket) == "AccessDenied"
    assert code_of(bob.get_bucket_policy, Bucket=bucket) == "AccessDenied"
    assert anonymous_status(box, f"{bucket}/k") == 403
    alice.delete_bucket_policy(Bucket=bucket)
    assert code_of(bob.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    assert code_of(alice.get_bucket_policy, Bucket=bucket) == "NoSuchBucketPolicy"


def test_a_deny_is_for_the_owner_too_but_not_of_the_policy_itself(alice: Any, bucket: str) -> None:
    set_policy(alice, bucket, allow(bucket, "s3:*", Effect="Deny"))
    assert code_of(alice.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    assert code_of(alice.delete_bucket, Bucket=bucket) == "AccessDenied"
    assert code_of(alice.get_bucket_acl, Bucket=bucket) == "AccessDenied"
    alice.delete_bucket_policy(Bucket=bucket)
    assert code_of(alice.get_object, Bucket=bucket, Key="k") == ""


def test_a_deny_beats_the_acl(alice: Any, bob: Any, bucket: str) -> None:
    alice.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    assert code_of(bob.get_object, Bucket=bucket, Key="k") == ""
    set_policy(alice, bucket, allow(bucket, Effect="Deny", Principal={"AWS": BOB.principal.account}))
    assert code_of(bob.get_object, Bucket=bucket, Key="k") == "AccessDenied"


@pytest.mark.parametrize(
    ("condition", "headers", "allowed"),
    [
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, {}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, {}, True),
        ({"StringLike": {"aws:Referer": "http://example.com/*"}}, {"referer": "http://example.com/a"}, True),
        ({"StringLike": {"aws:Referer": "http://example.com/*"}}, {"referer": "http://evil.example/"}, False),
        ({"StringEquals": {"aws:UserAgent": "x"}}, {"user-agent": "x"}, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}, False),
        ({"Null": {"aws:PrincipalArn": "true"}}, {}, True),
        ({"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, {}, False),
    ],
)
def test_a_policy_asks_for_the_circumstances(
    box: S3Box, alice: Any, bucket: str, condition: Any, headers: dict[str, str], allowed: bool
) -> None:
    set_policy(alice, bucket, allow(bucket, Condition=condition))
    assert anonymous_status(box, f"{bucket}/k", **headers) == (200 if allowed else 403)


def test_a_policy_asks_for_the_prefix_of_a_listing(alice: Any, bob: Any, bucket: str) -> None:
    condition = {"StringLike": {"s3:prefix": "public/*"}}
    set_policy(alice, bucket, allow(bucket, ["s3:ListBucket"], Condition=condition))
    assert code_of(bob.list_objects_v2, Bucket=bucket, Prefix="public/a") == ""
    assert code_of(bob.list_objects_v2, Bucket=bucket, Prefix="private") == "AccessDenied"
    assert code_of(bob.list_objects_v2, Bucket=bucket) == "AccessDenied"
    assert code_of(bob.get_object, Bucket=bucket, Key="public/absent") == "NoSuchKey"
    assert code_of(bob.get_object, Bucket=bucket, Key="private/absent") == "AccessDenied"


def test_a_policy_asks_for_the_acl_of_an_upload(alice: Any, bob: Any, bucket: str) -> None:
    condition = {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
    set_policy(alice, bucket, allow(bucket, "s3:PutObject", Condition=condition))
    assert code_of(bob.put_object, Bucket=bucket, Key="n", Body=b"x") == "AccessDenied"
    assert code_of(bob.put_object, Bucket=bucket, Key="n", ACL="bucket-owner-full-control") == ""
    assert code_of(alice.get_object, Bucket=bucket, Key="n") == ""


def test_a_batch_of_deletes_tells_which_of_them_were_denied(alice: Any, bucket: str) -> None:
    locked = f"arn:aws:s3:::{bucket}/locked/*"
    alice.put_object(Bucket=bucket, Key="locked/k", Body=b"x")
    set_policy(alice, bucket, allow(bucket, "s3:DeleteObject", Effect="Deny", Resource=locked))
    answer = alice.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}, {"Key": "locked/k"}]})
    assert [d["Key"] for d in answer["Deleted"]] == ["k"]
    assert [(e["Key"], e["Code"]) for e in answer["Errors"]] == [("locked/k", "AccessDenied")]


def test_a_policy_gives_away_nothing_that_another_account_owns(alice: Any, bob: Any, bucket: str) -> None:
    alice.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    bob.put_object(Bucket=bucket, Key="of-bob", Body=b"x")
    set_policy(alice, bucket, allow(bucket))
    assert code_of(alice.get_object, Bucket=bucket, Key="of-bob") == "AccessDenied"
    set_policy(alice, bucket, allow(bucket, Effect="Deny"))
    assert code_of(bob.get_object, Bucket=bucket, Key="of-bob") == "AccessDenied"
    assert code_of(alice.delete_object, Bucket=bucket, Key="of-bob") == ""


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": "ec2:RunInstances"},
        {"Action": "s3:GetObjects"},
        {"Action": "s3:Frob*"},
        {"Action": ["s3:GetObject", "iam:*"]},
        {"Resource": "arn:aws:s3:::another-bucket/*"},
        {"Resource": "arn:aws:sqs:us-east-1:000000000002:queue"},
        {"Effect": "Perhaps"},
        {"Principal": {"AWS": "bob"}},
    ],
)
def test_a_policy_for_something_else_is_malformed(alice: Any, bucket: str, statement: Any) -> None:
    wrong = {**allow(bucket), **statement}
    document = json.dumps({"Version": "2012-10-17", "Statement": [wrong]})
    assert code_of(alice.put_bucket_policy, Bucket=bucket, Policy=document) == "MalformedPolicy"
    assert code_of(alice.get_bucket_policy, Bucket=bucket) == "NoSuchBucketPolicy"


def test_a_policy_has_at_most_20_kilobytes(alice: Any, bucket: str) -> None:
    assert code_of(alice.put_bucket_policy, Bucket=bucket, Policy="{" + " " * 20480) == "EntityTooLarge"


def block(client: Any, bucket: str, **flags: bool) -> None:
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=flags)


def test_public_access_is_blocked_as_each_flag_says(box: S3Box, alice: Any, bob: Any, bucket: str) -> None:
    block(alice, bucket, BlockPublicAcls=True)
    assert code_of(alice.put_bucket_acl, Bucket=bucket, ACL="public-read") == "AccessDenied"
    assert code_of(alice.put_object, Bucket=bucket, Key="n", ACL="authenticated-read") == "AccessDenied"
    assert code_of(alice.put_object_acl, Bucket=bucket, Key="k", GrantRead=f"uri={ALL}") == "AccessDenied"
    assert code_of(alice.create_multipart_upload, Bucket=bucket, Key="n", ACL="public-read") == "AccessDenied"
    block(alice, bucket, BlockPublicPolicy=True)
    with pytest.raises(ClientError):
        set_policy(alice, bucket, allow(bucket))
    set_policy(alice, bucket, allow(bucket, Principal={"AWS": BOB.principal.account}))
    assert code_of(bob.get_object, Bucket=bucket, Key="k") == ""
    block(alice, bucket, RestrictPublicBuckets=True)
    set_policy(alice, bucket, allow(bucket))
    assert code_of(bob.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    assert code_of(alice.get_object, Bucket=bucket, Key="k") == ""
    alice.delete_bucket_policy(Bucket=bucket)
    alice.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    assert anonymous_status(box, f"{bucket}/k") == 200
    block(alice, bucket, IgnorePublicAcls=True)
    assert anonymous_status(box, f"{bucket}/k") == 403
    alice.delete_public_access_block(Bucket=bucket)
    assert anonymous_status(box, f"{bucket}/k") == 200
    missing = code_of(alice.get_public_access_block, Bucket=bucket)
    assert missing == "NoSuchPublicAccessBlockConfiguration"


def test_the_policy_status_says_public(alice: Any, bucket: str) -> None:
    def is_public() -> bool:
        return bool(alice.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"])

    assert not is_public()
    set_policy(alice, bucket, allow(bucket))
    assert is_public()
    set_policy(alice, bucket, allow(bucket, Principal={"AWS": BOB.principal.account}))
    assert not is_public()


def own(client: Any, bucket: str, ownership: str) -> None:
    client.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]}
    )


def test_an_enforcing_bucket_owner_owns_what_others_write(alice: Any, bob: Any, bucket: str) -> None:
    alice.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    bob.put_object(Bucket=bucket, Key="old", Body=b"x")
    assert code_of(own, alice, bucket, "BucketOwnerEnforced") == "InvalidBucketAclWithObjectOwnership"
    alice.put_bucket_acl(Bucket=bucket, ACL="private")
    own(alice, bucket, "BucketOwnerEnforced")
    set_policy(alice, bucket, allow(bucket, "s3:PutObject", Principal={"AWS": BOB.principal.account}))
    bob.put_object(Bucket=bucket, Key="new", Body=b"x")
    assert code_of(bob.put_object, Bucket=bucket, Key="n", ACL="private") == "AccessControlListNotSupported"
    assert code_of(alice.put_bucket_acl, Bucket=bucket, ACL="private") == "AccessControlListNotSupported"
    for key in ("old", "new"):
        assert alice.get_object_acl(Bucket=bucket, Key=key)["Owner"]["DisplayName"] == "alice"
        assert code_of(alice.get_object, Bucket=bucket, Key=key) == ""
        assert code_of(bob.get_object, Bucket=bucket, Key=key) == "AccessDenied"
    alice.delete_bucket_ownership_controls(Bucket=bucket)
    assert code_of(bob.get_object, Bucket=bucket, Key="old") == ""


def test_a_writer_goes_on_with_its_upload_though_the_bucket_owner_will_own_it(
    alice: Any, bob: Any, bucket: str
) -> None:
    own(alice, bucket, "BucketOwnerEnforced")
    set_policy(alice, bucket, allow(bucket, "s3:PutObject", Principal={"AWS": BOB.principal.account}))
    upload = {"Bucket": bucket, "Key": "big"}
    upload["UploadId"] = bob.create_multipart_upload(**upload)["UploadId"]
    part = bob.upload_part(**upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    bob.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert alice.get_object(Bucket=bucket, Key="big")["Body"].read() == b"x"


def test_the_settings_go_with_the_bucket(alice: Any) -> None:
    name = f"access-{next(_names)}"
    alice.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerPreferred")
    set_policy(alice, name, allow(name))
    alice.delete_bucket(Bucket=name)
    alice.create_bucket(Bucket=name)
    assert code_of(alice.get_bucket_policy, Bucket=name) == "NoSuchBucketPolicy"
    assert code_of(alice.get_bucket_ownership_controls, Bucket=name) == "OwnershipControlsNotFoundError"


def test_another_acl_for_an_existing_bucket_is_not_answered_as_done(alice: Any, bucket: str) -> None:
    assert code_of(alice.create_bucket, Bucket=bucket) == ""
    assert code_of(alice.create_bucket, Bucket=bucket, ACL="public-read") == "BucketAlreadyExists"


def test_the_policy_is_the_owners_alone(alice: Any, bob: Any, bucket: str) -> None:
    set_policy(alice, bucket, allow(bucket, "s3:*", Principal={"AWS": BOB.principal.account}))
    assert code_of(bob.list_objects_v2, Bucket=bucket) == ""
    for attempt in (bob.get_bucket_policy, bob.delete_bucket_policy):
        assert code_of(attempt, Bucket=bucket) == "AccessDenied"


def test_who_began_an_upload_may_end_it_unless_that_is_denied(alice: Any, bob: Any, bucket: str) -> None:
    may_put = allow(bucket, "s3:PutObject", Principal={"AWS": BOB.principal.account})
    set_policy(alice, bucket, may_put)
    upload = {"Bucket": bucket, "Key": "big"}
    upload["UploadId"] = bob.create_multipart_upload(**upload)["UploadId"]
    assert code_of(bob.list_parts, **upload) == ""
    set_policy(alice, bucket, may_put, allow(bucket, "s3:AbortMultipartUpload", Effect="Deny"))
    assert code_of(bob.abort_multipart_upload, **upload) == "AccessDenied"
    assert code_of(alice.abort_multipart_upload, **upload) == "AccessDenied"
    set_policy(alice, bucket, may_put)
    assert code_of(bob.abort_multipart_upload, **upload) == ""


def test_a_writer_cannot_lock_what_it_wrote_into_the_bucket_of_another(alice: Any, bob: Any) -> None:
    name = f"access-{next(_names)}"
    alice.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True, ACL="public-read-write")
    bob.put_object(Bucket=name, Key="k", Body=b"x")
    hold = {"Status": "ON"}
    assert code_of(bob.put_object_legal_hold, Bucket=name, Key="k", LegalHold=hold) == "AccessDenied"
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert code_of(bob.put_object_tagging, Bucket=name, Key="k", Tagging=tags) == ""


def test_a_policy_asks_for_the_tags_of_an_object(alice: Any, bob: Any, bucket: str) -> None:
    condition = {"StringEquals": {"s3:ExistingObjectTag/Public": "yes"}}
    set_policy(alice, bucket, allow(bucket, Condition=condition))
    alice.put_object(Bucket=bucket, Key="open", Body=b"x", Tagging="Public=yes")
    alice.put_object(Bucket=bucket, Key="shut", Body=b"x", Tagging="Public=no")
    codes = [code_of(bob.get_object, Bucket=bucket, Key=key) for key in ("open", "shut", "k")]
    assert codes == ["", "AccessDenied", "AccessDenied"]


def test_an_existing_bucket_is_not_answered_with_wishes_it_does_not_fulfil(alice: Any, bucket: str) -> None:
    again = {"Bucket": bucket}
    assert (
        code_of(alice.create_bucket, **again, ObjectOwnership="BucketOwnerEnforced") == "BucketAlreadyExists"
    )
    assert code_of(alice.create_bucket, **again, ObjectLockEnabledForBucket=True) == "BucketAlreadyExists"


def test_every_action_that_is_decided_may_be_named_in_a_policy() -> None:
    assert {action.value for action in Action} <= ACTIONS
    assert all(map(is_action, ("*", "s3:*", "s3:get*", "s3:GetObject", "S3:PUTOBJECT*")))
