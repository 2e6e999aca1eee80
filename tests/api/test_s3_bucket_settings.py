"""The documents of a bucket: what is set is shown, what is wrong is refused, and what they bring about."""

import itertools
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.s3_box import ALICE, BOB, S3Box, running_s3

_names = itertools.count()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Box]:
    with running_s3(tmp_path_factory.mktemp("s3")) as box:
        yield box


@pytest.fixture(scope="module")
def alice(box: S3Box) -> Any:
    return box.client(ALICE)


@pytest.fixture(scope="module")
def bob(box: S3Box) -> Any:
    return box.client(BOB)


@pytest.fixture
def bucket(alice: Any) -> str:
    name = f"settings-{next(_names)}"
    alice.create_bucket(Bucket=name)
    return name


def code_of(attempt: Any, *args: Any, **kwargs: Any) -> str:
    """The error code of the call, or an empty string."""
    try:
        attempt(*args, **kwargs)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def send(box: S3Box, method: str, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"{box.url}/{path}", method=method, headers=names)
        ) as answer:
            return answer.status, {n.lower(): v for n, v in answer.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, {n.lower(): v for n, v in error.headers.items()}


RULE = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "a/"}, "Expiration": {"Days": 1}}
TAGS = {"TagSet": [{"Key": "team", "Value": "storage"}, {"Key": "größe", "Value": ""}]}
SSE = {
    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}]
}
CORS = {
    "CORSRules": [
        {
            "ID": "site",
            "AllowedMethods": ["GET", "PUT"],
            "AllowedOrigins": ["https://*.example.com"],
            "AllowedHeaders": ["x-amz-*", "content-type"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 600,
        }
    ]
}
WHOLE_RULE = {
    "ID": "all",
    "Status": "Disabled",
    "Filter": {
        "And": {
            "Prefix": "logs/",
            "Tags": [{"Key": "a", "Value": "b"}],
            "ObjectSizeGreaterThan": 10,
            "ObjectSizeLessThan": 20,
        }
    },
    "Expiration": {"ExpiredObjectDeleteMarker": True},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2},
}
OLD_RULE = {
    "ID": "old",
    "Status": "Enabled",
    "Prefix": "",
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}
DOCUMENTS = [
    ("bucket_tagging", "Tagging", TAGS, "NoSuchTagSet"),
    ("bucket_cors", "CORSConfiguration", CORS, "NoSuchCORSConfiguration"),
    (
        "bucket_encryption",
        "ServerSideEncryptionConfiguration",
        SSE,
        "ServerSideEncryptionConfigurationNotFoundError",
    ),
    (
        "bucket_lifecycle_configuration",
        "LifecycleConfiguration",
        {"Rules": [RULE, WHOLE_RULE, OLD_RULE]},
        "NoSuchLifecycleConfiguration",
    ),
    (
        "public_access_block",
        "PublicAccessBlockConfiguration",
        dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls"), True)
        | dict.fromkeys(("BlockPublicPolicy", "RestrictPublicBuckets"), False),
        "NoSuchPublicAccessBlockConfiguration",
    ),
]


@pytest.mark.parametrize(("noun", "argument", "document", "missing"), DOCUMENTS)
def test_what_is_set_is_shown_until_it_is_deleted(
    alice: Any, bob: Any, bucket: str, noun: str, argument: str, document: Any, missing: str
) -> None:
    get, put = getattr(alice, f"get_{noun}"), getattr(alice, f"put_{noun}")
    delete = getattr(alice, f"delete_{noun.removesuffix('_configuration')}")
    assert code_of(get, Bucket=bucket) == missing
    put(Bucket=bucket, **{argument: document})
    shown = get(Bucket=bucket)
    shown.pop("ResponseMetadata")
    assert shown.get(argument, shown) == document
    for attempt in (f"get_{noun}", f"delete_{noun.removesuffix('_configuration')}"):
        assert code_of(getattr(bob, attempt), Bucket=bucket) == "AccessDenied"
    assert code_of(getattr(bob, f"put_{noun}"), Bucket=bucket, **{argument: document}) == "AccessDenied"
    delete(Bucket=bucket)
    delete(Bucket=bucket)
    assert code_of(get, Bucket=bucket) == missing
    assert code_of(get, Bucket="nobody-has-it") == "NoSuchBucket"


def test_settings_survive_a_restart(tmp_path: Path) -> None:
    with running_s3(tmp_path) as box:
        box.client().create_bucket(Bucket="bucket")
        for noun, argument, document, _ in DOCUMENTS:
            getattr(box.client(), f"put_{noun}")(Bucket="bucket", **{argument: document})
    with running_s3(tmp_path) as box:
        for noun, argument, document, _ in DOCUMENTS:
            shown = getattr(box.client(), f"get_{noun}")(Bucket="bucket")
            shown.pop("ResponseMetadata")
            assert shown.get(argument, shown) == document


def tag(key: str, value: str = "v") -> dict[str, str]:
    return {"Key": key, "Value": value}


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([tag("a"), tag("a")], "InvalidTag"),
        ([tag("k" * 129)], "InvalidTag"),
        ([tag("k", "v" * 257)], "InvalidTag"),
        ([tag("aws:created-by")], "InvalidTag"),
        ([tag("a<b")], "InvalidTag"),
        ([tag(f"k{n}") for n in range(51)], "BadRequest"),
    ],
)
def test_tags_that_are_none_are_refused(alice: Any, bucket: str, tags: Any, code: str) -> None:
    assert code_of(alice.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": tags}) == code
    assert code_of(alice.get_bucket_tagging, Bucket=bucket) == "NoSuchTagSet"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Status": "enabled"}, "MalformedXML"),
        ({"Expiration": {"Days": 0}}, "InvalidArgument"),
        ({"Expiration": {"Days": -1}}, "InvalidArgument"),
        ({"Expiration": {"Days": 1, "Date": "2030-01-01T00:00:00Z"}}, "MalformedXML"),
        ({"Expiration": {"Date": "2030-01-01T01:00:00Z"}}, "InvalidArgument"),
        ({"Expiration": {}}, "MalformedXML"),
        ({"Expiration": None}, "InvalidRequest"),
        ({"ID": "x" * 256}, "InvalidArgument"),
        ({"Prefix": "a"}, "MalformedXML"),
        ({"Filter": None}, "MalformedXML"),
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 0}}, "InvalidArgument"),
        ({"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 0}}, "InvalidArgument"),
        ({"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}, "NotImplemented"),
        ({"Transitions": [{"Days": -1, "StorageClass": "GLACIER"}]}, "InvalidArgument"),
        ({"Transitions": [{"StorageClass": "GLACIER"}]}, "MalformedXML"),
        ({"Filter": {"ObjectSizeLessThan": 0}}, "InvalidArgument"),
        (
            {"Filter": {"Tag": tag("a")}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
            "InvalidRequest",
        ),
    ],
)
def test_a_lifecycle_rule_that_could_not_be_kept_is_refused(
    alice: Any, bucket: str, change: Any, code: str
) -> None:
    rule = {name: value for name, value in {**RULE, **change}.items() if value is not None}
    lifecycle = {"Rules": [rule]}
    put = alice.put_bucket_lifecycle_configuration
    assert code_of(put, Bucket=bucket, LifecycleConfiguration=lifecycle) == code
    assert code_of(alice.get_bucket_lifecycle_configuration, Bucket=bucket) == "NoSuchLifecycleConfiguration"


def test_two_lifecycle_rules_have_two_ids(alice: Any, bucket: str) -> None:
    put = alice.put_bucket_lifecycle_configuration
    assert code_of(put, Bucket=bucket, LifecycleConfiguration={"Rules": [RULE, RULE]}) == "InvalidArgument"
    nameless = {name: value for name, value in RULE.items() if name != "ID"}
    put(Bucket=bucket, LifecycleConfiguration={"Rules": [nameless, nameless]})
    rules = alice.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert len({rule["ID"] for rule in rules}) == 2


def test_keys_of_a_key_management_service_are_not_there(alice: Any, bucket: str) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    wanted = {"Rules": [rule]}
    put = alice.put_bucket_encryption
    assert code_of(put, Bucket=bucket, ServerSideEncryptionConfiguration=wanted) == "NotImplemented"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"AllowedMethods": ["PATCH"]}, "InvalidRequest"),
        ({"AllowedMethods": []}, "MalformedXML"),
        ({"AllowedOrigins": []}, "MalformedXML"),
        ({"AllowedOrigins": ["http://*.*"]}, "InvalidRequest"),
        ({"AllowedHeaders": ["*-*"]}, "InvalidRequest"),
        ({"ExposeHeaders": ["x-amz-*"]}, "InvalidRequest"),
        ({"ExposeHeaders": ["a\nb"]}, "InvalidRequest"),
        ({"MaxAgeSeconds": -1}, "InvalidRequest"),
        ({"ID": "x" * 256}, "InvalidRequest"),
    ],
)
def test_a_cors_rule_that_says_nothing_clear_is_refused(
    alice: Any, bucket: str, change: Any, code: str
) -> None:
    cors = {"CORSRules": [{**CORS["CORSRules"][0], **change}]}
    assert code_of(alice.put_bucket_cors, Bucket=bucket, CORSConfiguration=cors) == code


def test_a_browser_is_told_what_it_may(box: S3Box, alice: Any, bucket: str) -> None:
    ask = {"Origin": "https://www.example.com", "Access_Control_Request_Method": "PUT"}
    assert send(box, "OPTIONS", f"{bucket}/k", **ask)[0] == 403
    alice.put_bucket_cors(Bucket=bucket, CORSConfiguration=CORS)
    status, headers = send(
        box, "OPTIONS", f"{bucket}/k", **ask, Access_Control_Request_Headers="X-Amz-Date, Content-Type"
    )
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://www.example.com"
    assert headers["access-control-allow-methods"] == "GET, PUT"
    assert headers["access-control-allow-headers"] == "x-amz-date, content-type"
    assert headers["access-control-max-age"] == "600"
    assert headers["access-control-allow-credentials"] == "true"
    refused = [
        {**ask, "Origin": "https://example.org"},
        {**ask, "Access_Control_Request_Method": "DELETE"},
        {**ask, "Access_Control_Request_Headers": "authorization"},
    ]
    assert [send(box, "OPTIONS", f"{bucket}/k", **headers)[0] for headers in refused] == [403] * 3
    assert send(box, "OPTIONS", f"{bucket}/k")[0] == 400
    assert send(box, "OPTIONS", f"{bucket}/k", Origin="https://www.example.com")[0] == 400
    assert send(box, "OPTIONS", "nobody-has-it/k", **ask)[0] == 404


def test_an_answer_to_another_origin_carries_its_headers(box: S3Box, alice: Any, bucket: str) -> None:
    alice.put_bucket_cors(Bucket=bucket, CORSConfiguration=CORS)
    alice.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    status, headers = send(box, "GET", f"{bucket}/k", Origin="https://www.example.com")
    assert (status, headers["access-control-allow-origin"]) == (200, "https://www.example.com")
    assert headers["access-control-expose-headers"] == "ETag"
    assert "Origin" in headers["vary"]
    status, headers = send(box, "GET", f"{bucket}/absent", Origin="https://www.example.com")
    assert (status, headers["access-control-allow-origin"]) == (403, "https://www.example.com")
    assert "access-control-allow-origin" not in send(box, "GET", f"{bucket}/k", Origin="https://evil.test")[1]
    assert "access-control-allow-origin" not in send(box, "GET", f"{bucket}/k")[1]


def test_who_requests_says_that_it_would_pay(box: S3Box, alice: Any, bob: Any, bucket: str) -> None:
    payment = alice.get_bucket_request_payment(Bucket=bucket)
    assert payment["Payer"] == "BucketOwner"
    alice.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    alice.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert code_of(bob.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    assert bob.get_object(Bucket=bucket, Key="k", RequestPayer="requester")["RequestCharged"] == "requester"
    assert send(box, "GET", f"{bucket}/k")[0] == 403
    assert "RequestCharged" not in alice.get_object(Bucket=bucket, Key="k")


def test_a_bucket_of_somebody_else_is_not_taken_for_the_expected_one(
    alice: Any, bob: Any, bucket: str
) -> None:
    mine, other = ALICE.principal.account, BOB.principal.account
    assert code_of(alice.put_object, Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner=mine) == ""
    refused = code_of(alice.put_object, Bucket=bucket, Key="n", Body=b"x", ExpectedBucketOwner=other)
    assert refused == "AccessDenied"
    assert [o["Key"] for o in alice.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
    copy = {"Bucket": bucket, "Key": "n", "CopySource": f"{bucket}/k"}
    assert code_of(alice.copy_object, **copy, ExpectedSourceBucketOwner=other) == "AccessDenied"
    assert code_of(alice.copy_object, **copy, ExpectedSourceBucketOwner=mine) == ""


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<Tagging/>",
        b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Key>a</Key><Key>b</Key><Value/></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Key><b/></Key><Value/></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Other/></TagSet></Tagging>",
        b"<Tagging><TagSet/><TagSet/></Tagging>",
        b"<Tagging><TagSet/><More/></Tagging>",
        b"<Tagging>text<TagSet/></Tagging>",
        b'<!DOCTYPE x [<!ENTITY e "x">]><Tagging><TagSet/></Tagging>',
        b"<CORSConfiguration/>",
    ],
)
def test_xml_that_is_not_understood_whole_sets_nothing(
    box: S3Box, alice: Any, bucket: str, document: bytes
) -> None:
    url = alice.generate_presigned_url("put_bucket_tagging", Params={"Bucket": bucket, "Tagging": TAGS})
    request = urllib.request.Request(url, data=document, method="PUT", headers={"content-type": ""})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert b"<Code>MalformedXML</Code>" in error.value.read()
    assert code_of(alice.get_bucket_tagging, Bucket=bucket) == "NoSuchTagSet"


def test_buckets_are_listed_page_by_page(box: S3Box, bob: Any) -> None:
    for name in ("page-a", "page-b", "other"):
        bob.create_bucket(Bucket=name)
    first = bob.list_buckets(MaxBuckets=1, Prefix="page-")
    assert [b["Name"] for b in first["Buckets"]] == ["page-a"]
    last = bob.list_buckets(MaxBuckets=1, Prefix="page-", ContinuationToken=first["ContinuationToken"])
    assert ([b["Name"] for b in last["Buckets"]], "ContinuationToken" in last) == (["page-b"], False)
    assert bob.list_buckets(BucketRegion="eu-west-1")["Buckets"] == []
    assert code_of(bob.list_buckets, ContinuationToken="!") == "InvalidArgument"
    with pytest.raises(ClientError):
        bob.list_buckets(MaxBuckets=10001)
