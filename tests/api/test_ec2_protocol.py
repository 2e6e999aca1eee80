"""The Query protocol by raw requests: signatures, parameters, errors (EC2 API reference, Query requests)."""

import re
import urllib.parse
from datetime import UTC, datetime, timedelta
from unittest import mock

import botocore.auth
import botocore.parsers
import pytest

from tests.api.cloud_box import running_cloud, tagged
from tests.api.ec2_raw import FORM, Raw, pairs_of, quoted, send

DESCRIBE = pairs_of("DescribeInstances")
NASTY = "a b+c*d~e/é=&%?<>'\"\\ \t☃ \U0001f600"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        box.kernel, box.ramdisk, box.image = box.register_images()
        box.add_user("gone")
        box.admin("SetUserState", name="gone", state="disabled")
        yield box


@pytest.fixture
def raw(box):
    return Raw(box)


def refusal(answer):
    assert answer.headers["content-type"].startswith("text/xml")
    return answer.status, answer.code


# Signatures

SIGNERS = {
    "V4 header": lambda raw, pairs: raw.v4(pairs),
    "V4 presigned": lambda raw, pairs: raw.v4_query(pairs),
    "V2 POST": lambda raw, pairs: raw.v2(pairs),
    "V2 GET": lambda raw, pairs: raw.v2(pairs, method="GET"),
    "V2 SHA1": lambda raw, pairs: raw.v2(pairs, algorithm="HmacSHA1"),
    "V2 Expires": lambda raw, pairs: raw.v2(pairs, at=timedelta(minutes=1), expires=True),
}


@pytest.fixture(params=SIGNERS.values(), ids=SIGNERS)
def signed(request, raw):
    return lambda pairs, user="alice", secret="": request.param(Raw(raw.box, user, secret), pairs)


def test_a_signed_request_is_answered(signed):
    answer = signed(DESCRIBE)
    assert answer.status == 200
    assert answer.root.tag == "{http://ec2.amazonaws.com/doc/2016-11-15/}DescribeInstancesResponse"


@pytest.mark.parametrize("value", [NASTY, "", " ", "+", "*", "~", "%20", "é", "a=b&c=d"])
def test_values_with_any_characters_are_signed_and_come_back(signed, raw, value):
    name = f"g {datetime.now(UTC).timestamp()}"
    filters = [
        ("Filter.1.Name", "tag:k"),
        ("Filter.1.Value.1", value.replace("*", "\\*").replace("?", "\\?")),
    ]
    tags = [
        ("TagSpecification.1.ResourceType", "security-group"),
        ("TagSpecification.1.Tag.1.Key", "k"),
        ("TagSpecification.1.Tag.1.Value", value),
    ]
    made = signed([*pairs_of("CreateSecurityGroup", GroupName=name, GroupDescription="d"), *tags])
    assert made.status == 200, made.body
    assert made.find("value") == value
    if "\\" not in value:
        found = signed([*pairs_of("DescribeSecurityGroups"), *filters])
        assert name in [e.text for e in found.root.iter() if e.tag.endswith("groupName")]
    assert raw.v4(pairs_of("DeleteSecurityGroup", GroupName=name)).status == 200


def test_a_wrong_secret_is_refused(signed):
    assert refusal(signed(DESCRIBE, secret="x" * 40)) == (401, "AuthFailure")


def test_an_unknown_key_is_refused_with_the_same_words_as_a_wrong_secret(box, signed):
    box.keys["nobody"] = {"access_key_id": "AKIAAAAAAAAAAAAAAAAA", "secret_access_key": "s" * 40}
    unknown, wrong = signed(DESCRIBE, user="nobody"), signed(DESCRIBE, secret="x" * 40)
    assert refusal(unknown) == (401, "AuthFailure")
    assert unknown.find("Message") == wrong.find("Message")


def test_a_disabled_user_is_refused_and_an_enabled_one_is_not(box, signed):
    assert refusal(signed(DESCRIBE, user="gone")) == (401, "AuthFailure")
    box.admin("SetUserState", name="gone", state="active")
    assert signed(DESCRIBE, user="gone").status == 200
    box.admin("SetUserState", name="gone", state="disabled")


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_request_that_is_20_minutes_off_has_expired(raw, minutes):
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=moment):
        assert refusal(raw.v4(DESCRIBE)) == (400, "RequestExpired")
    assert refusal(raw.v2(DESCRIBE, at=timedelta(minutes=minutes))) == (400, "RequestExpired")


def test_a_presigned_request_is_good_until_it_expires(raw):
    moment = datetime.now(UTC) - timedelta(minutes=2)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=moment):
        assert refusal(raw.v4_query(DESCRIBE)) == (400, "RequestExpired")
    assert refusal(raw.v2(DESCRIBE, at=-timedelta(seconds=1), expires=True)) == (400, "RequestExpired")


def test_a_request_without_a_signature_is_refused(box):
    answer = send(box.port, "POST", "/", quoted(DESCRIBE).encode(), {"Content-Type": FORM})
    assert refusal(answer) == (403, "MissingAuthenticationToken")
    answer = send(box.port, "GET", "/?" + quoted(DESCRIBE))
    assert refusal(answer) == (403, "MissingAuthenticationToken")


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=x",
        "AWS4-HMAC-SHA256 " + "Credential=a/b/c/ec2/d" * 100,
    ],
)
def test_a_malformed_signature_is_refused(box, authorization):
    headers = {"Content-Type": FORM, "Authorization": authorization, "X-Amz-Date": "20260101T000000Z"}
    answer = send(box.port, "POST", "/", quoted(DESCRIBE).encode(), headers)
    assert answer.status in (400, 401, 403)
    assert answer.code in ("IncompleteSignature", "AuthFailure", "MissingAuthenticationToken")


@pytest.mark.parametrize("version", ["0", "1", "3", ""])
def test_old_signature_versions_are_refused(raw, version):
    assert refusal(raw.v2(DESCRIBE, version=version)) == (401, "AuthFailure")


def test_a_signature_for_s3_is_not_taken_for_ec2(raw):
    answer = raw.v4(DESCRIBE, service="s3", path="/services/Eucalyptus")
    assert refusal(answer) == (401, "AuthFailure")


@pytest.mark.parametrize(("service", "region"), [("ec2", "eu-west-1"), ("127", "")])
def test_regions_and_services_that_old_clients_make_up_are_taken(raw, service, region):
    assert raw.v4(DESCRIBE, service=service, region=region or "us-east-1").status == 200


def test_a_body_that_was_changed_after_signing_is_refused(box, raw):
    key, _ = box.credentials()
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    request = AWSRequest(
        "POST", box.url + "/", headers={"Content-Type": FORM}, data=quoted(DESCRIBE).encode()
    )
    SigV4Auth(raw._credentials(), "ec2", "us-east-1").add_auth(request)
    other = quoted(pairs_of("TerminateInstances", InstanceId__1="i-00000001")).encode()
    assert refusal(send(box.port, "POST", "/", other, dict(request.headers))) == (401, "AuthFailure")
    assert key not in str(refusal)


def test_parameters_behind_a_presigned_url_are_part_of_what_is_signed(box, raw):
    """A body that nobody signed must not add parameters."""
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    request = AWSRequest("POST", f"{box.url}/?{quoted(DESCRIBE)}", data=b"")
    SigV4QueryAuth(raw._credentials(), "ec2", "us-east-1", expires=60).add_auth(request)
    parts = urllib.parse.urlsplit(request.url)
    headers = {"Host": parts.netloc, "Content-Type": FORM}
    target = f"{parts.path}?{parts.query}"
    assert send(box.port, "POST", target, b"", headers).status == 200
    assert refusal(send(box.port, "POST", target, b"MaxResults=5", headers)) == (401, "AuthFailure")


# Where, and by which method


@pytest.mark.parametrize(
    "path",
    ["/", "/services/Eucalyptus", "/services/Eucalyptus/", "/services/eucalyptus", "/services/compute"],
)
def test_the_old_paths_work(raw, path):
    for answer in (
        raw.v4(DESCRIBE, path=path),
        raw.v4_query(DESCRIBE, path=path),
        raw.v2(DESCRIBE, path=path),
        raw.v2(DESCRIBE, path=path, method="GET"),
    ):
        assert (answer.status, answer.find("reservationSet")) == (200, "")


@pytest.mark.parametrize("version", ["2006-10-01", "2009-04-04", "2010-08-31", "2016-11-15", "2030-01-01"])
def test_the_namespace_is_the_version_that_the_caller_speaks_with_the_slash(raw, version):
    answer = raw.v2([("Action", "DescribeInstances"), ("Version", version)])
    assert answer.root.tag == f"{{http://ec2.amazonaws.com/doc/{version}/}}DescribeInstancesResponse"
    [request_id] = [e.text for e in answer.root if e.tag.endswith("}requestId")]
    assert answer.root[0].text == request_id
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", request_id)
    assert raw.v2(DESCRIBE).find("requestId") != request_id


def test_a_version_that_is_no_date_is_refused_before_anything_is_done(box, raw):
    asked = pairs_of("CreateSecurityGroup", GroupName="never", GroupDescription="d")
    bad = [(n, '"><x' if n == "Version" else v) for n, v in asked]
    assert refusal(raw.v4(bad)) == (400, "InvalidParameterValue")
    assert "never" not in str(box.ec2().describe_security_groups())
    assert raw.v4([("Action", "DescribeRegions")]).status == 200


# Parameters


def test_lists_may_have_gaps_and_more_than_nine_members_in_numeric_order(box, raw):
    instance_ids = box.run_instances(box.image, 12)
    listed = [(f"InstanceId.{3 * n + 1}", i) for n, i in enumerate(instance_ids)]
    answer = raw.v4([*pairs_of("TerminateInstances"), *sorted(listed)])
    assert [e.text for e in answer.root.iter() if e.tag.endswith("}instanceId")] == instance_ids
    box.terminate(instance_ids)


def test_filter_10_comes_after_filter_2(raw):
    names = [f"Filter.{n}.Name" for n in (1, 2, 10)]
    values = [f"Filter.{n}.Value.1" for n in (1, 2, 10)]
    good = ["owner-id", "instance-type", "image-id"]
    filters = [*zip(names, good, strict=True), *((v, "x") for v in values)]
    assert raw.v4([*pairs_of("DescribeInstances"), *filters]).status == 200
    answer = raw.v4([*pairs_of("DescribeInstances"), ("Filter.2.Name", "b"), ("Filter.10.Name", "a")])
    assert answer.find("Message") == "The filter 'b' is invalid"


BAD = {
    "no action": ([("Version", "2016-11-15")], "MissingAction"),
    "an empty action": ([("Action", "")], "MissingAction"),
    "an unknown action": (pairs_of("MakeCoffee"), "InvalidAction"),
    "an attachment of nothing": (
        pairs_of("AttachVolume", InstanceId="i-1", Device="sdb"),
        "MissingParameter",
    ),
    "a volume of no size": (
        pairs_of("CreateVolume", Size="big", AvailabilityZone="a"),
        "InvalidParameterValue",
    ),
    "a volume with what EC2 does not know": (
        pairs_of("CreateVolume", AvailabilityZone="a", Colour="red"),
        "UnknownParameter",
    ),
    "a volume tagged in a way of its own": (
        pairs_of("CreateVolume", AvailabilityZone="a", TagSpecification__1__Tag="x"),
        "InvalidParameterValue",
    ),
    "a volume of a zone that is not there": (
        pairs_of("CreateVolume", AvailabilityZone="a", Size="1"),
        "InvalidZone.NotFound",
    ),
    "an action that EC2 has": (pairs_of("CreateFleet"), "UnsupportedOperation"),
    "reserved instances that nobody has": (
        pairs_of("DescribeReservedInstances", ReservedInstancesId__1="x"),
        "InvalidReservedInstancesId",
    ),
    "an action of another case": (pairs_of("describeinstances"), "InvalidAction"),
    "an admin operation": (pairs_of("AddUser", Name="x"), "InvalidAction"),
    "an operation of roles": (pairs_of("NcRunInstance"), "InvalidAction"),
    "an unknown parameter": (pairs_of("DescribeInstances", Colour="red"), "UnknownParameter"),
    "a list without numbers": (pairs_of("DescribeInstances", InstanceId__x="i-00000001"), "UnknownParameter"),
    "a number of many digits": (pairs_of("DescribeInstances", InstanceId__1111111="i-1"), "UnknownParameter"),
    "deep nesting": (pairs_of("DescribeInstances", **{"a__" * 40: "x"}), "UnknownParameter"),
    "a missing parameter": (pairs_of("TerminateInstances"), "MissingParameter"),
    "an action twice": ([*DESCRIBE, ("Action", "DescribeImages")], None),
    "a version twice": ([*DESCRIBE, ("Version", "2009-04-04")], None),
    "a parameter twice": ([*pairs_of("DescribeInstances", MaxResults="5"), ("MaxResults", "6")], None),
    "a value and a structure": ([*DESCRIBE, ("Filter", "x"), ("Filter.1.Name", "y")], None),
    "a structure and a value": ([*DESCRIBE, ("Filter.1.Name", "y"), ("Filter.1", "x")], None),
    "a text as number": (pairs_of("DescribeInstances", MaxResults="many"), "InvalidParameterValue"),
    "a large number": (pairs_of("DescribeInstances", MaxResults="9" * 400), "InvalidParameterValue"),
    "digits of another script": (pairs_of("DescribeInstances", MaxResults="٥"), "InvalidParameterValue"),
    "a text as boolean": (pairs_of("DescribeInstances", DryRun="maybe"), "InvalidParameterValue"),
    "a structure as value": (pairs_of("DescribeInstances", MaxResults__x="5"), "InvalidParameterValue"),
    "no base64": (pairs_of("ImportKeyPair", KeyName="k", PublicKeyMaterial="***"), "InvalidParameterValue"),
    "a parameter of the model that we do not have": (
        pairs_of("RunInstances", ImageId="emi-1", MinCount="1", MaxCount="1", EnclaveOptions__Enabled="1"),
        "UnsupportedOperation",
    ),
}


@pytest.mark.parametrize(("pairs", "code"), BAD.values(), ids=BAD)
def test_a_bad_request_is_refused_by_all_signatures(raw, pairs, code):
    answers = [raw.v4(pairs), raw.v2(pairs)]
    if code:  # botocore's presigner sends the last of two parameters with one name
        answers.append(raw.v4_query(pairs))
    for answer in answers:
        assert answer.status == 400
        assert answer.code in ({code} if code else {"InvalidParameterCombination", "MalformedQueryString"})


def test_too_many_parameters_are_refused(raw):
    many = [(f"InstanceId.{n}", "i-00000000") for n in range(1, 1200)]
    assert refusal(raw.v4([*DESCRIBE, *many])) == (400, "MalformedQueryString")


def test_a_body_that_is_too_large_is_refused(raw):
    answer = raw.v4(DESCRIBE, body=b"Action=DescribeInstances&UserData=" + b"x" * (512 * 1024))
    assert refusal(answer) == (413, "RequestEntityTooLarge")


def test_a_query_string_that_is_too_long_is_refused(box):
    # The parser of HTTP may refuse it before we do; never is it a server error.
    assert 400 <= send(box.port, "GET", "/?Action=" + "x" * 70_000).status < 500


def test_content_encoding_is_not_accepted(raw):
    answer = raw.v4(DESCRIBE, headers={"Content-Encoding": "gzip"})
    assert refusal(answer) == (400, "InvalidParameterValue")


@pytest.mark.parametrize("text", ["%FF", "%C3%28", "%ED%A0%80", "%F5%80%80%80"])
def test_text_that_is_not_utf8_is_refused(raw, text):
    body = f"Action=DescribeInstances&Version=2016-11-15&NextToken={text}".encode()
    assert refusal(raw.v4(DESCRIBE, body=body)) == (400, "MalformedQueryString")


def test_a_head_request_has_no_body(box):
    answer = send(box.port, "HEAD", "/?" + quoted(DESCRIBE))
    assert (answer.status, answer.body) == (403, b"")


# Answers


def test_markup_in_tags_and_names_comes_back_intact(box):
    ec2 = box.ec2()
    value = "<script>&amp;]]></x> '\" \r\n\t ü \U0001f600 \x7f"
    [instance_id] = box.run_instances(box.image, TagSpecifications=tagged("instance", **{value: value}))
    assert box.instance(instance_id)["Tags"] == [{"Key": value, "Value": value}]
    box.terminate([instance_id])
    made = ec2.create_key_pair(KeyName="<a href='x'>&", KeyType="ed25519")
    assert ec2.describe_key_pairs(KeyNames=["<a href='x'>&"])["KeyPairs"][0]["KeyPairId"] == made["KeyPairId"]


@pytest.mark.parametrize("text", ["a\x00b", "a\x0bb", "￾", "\x1b[31m"])
def test_characters_that_xml_cannot_hold_never_break_the_answer(raw, text):
    answer = raw.v4(pairs_of("DescribeKeyPairs", KeyName__1=text))
    assert refusal(answer) == (400, "InvalidKeyPair.NotFound")
    assert refusal(raw.v4(pairs_of(text + "<&>")))[1] == "InvalidAction"


def test_botocore_reads_our_errors(raw):
    answer = raw.v4(pairs_of("TerminateInstances", InstanceId__1="i-00000000"))
    parsed = botocore.parsers.EC2QueryParser().parse(
        {"status_code": answer.status, "headers": answer.headers, "body": answer.body}, None
    )
    assert parsed["Error"] == {
        "Code": "InvalidInstanceID.NotFound",
        "Message": "The instance ID 'i-00000000' does not exist",
    }
    assert parsed["ResponseMetadata"]["RequestId"] == answer.find("RequestID")
    assert answer.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>')


def test_an_internal_error_tells_nothing_of_the_host(box, raw, caplog):
    with mock.patch.object(type(box.app.bridge), "to_trio", side_effect=OSError("/var/lib/secret: no space")):
        answer = raw.v4(DESCRIBE)
    assert refusal(answer) == (500, "InternalError")
    assert answer.find("Message") == "An internal error has occurred"
    for word in (b"secret", b"Traceback", b"OSError", b"python"):
        assert word not in answer.body
    assert answer.find("RequestID") is not None
    assert "/var/lib/secret" in caplog.text  # the operator reads it


def test_a_role_that_does_not_answer_is_unavailable(box, raw):
    from euca_box.model.errors import Unavailable

    with mock.patch.object(type(box.app.bridge), "to_trio", side_effect=Unavailable("clc has stopped.")):
        assert refusal(raw.v4(DESCRIBE)) == (503, "Unavailable")


def test_no_answer_is_kept_or_sniffed(raw):
    headers = raw.v4(DESCRIBE).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


# The flat form and IpPermissions, as boto 2 and euca2ools send them


def test_old_clients_authorize_in_both_forms(box, raw):
    group = pairs_of("CreateSecurityGroup", GroupName="old", GroupDescription="d")
    assert raw.v2(group).status == 200
    flat = {"IpProtocol": "tcp", "FromPort": "22", "ToPort": "22", "CidrIp": "0.0.0.0/0"}
    source = {"SourceSecurityGroupName": "default", "SourceSecurityGroupOwnerId": box.account()}
    listed = {
        "IpPermissions__1__IpProtocol": "udp",
        "IpPermissions__1__FromPort": "53",
        "IpPermissions__1__ToPort": "53",
        "IpPermissions__1__Groups__1__GroupName": "default",
        "IpPermissions__1__Groups__1__UserId": box.account(),
        "IpPermissions__1__IpRanges__1__CidrIp": "10.0.0.0/8",
    }
    for rule in (flat, source, listed):
        answer = raw.v2(pairs_of("AuthorizeSecurityGroupIngress", GroupName="old", **rule))
        assert (answer.status, answer.find("return")) == (200, "true")
        again = raw.v2(pairs_of("AuthorizeSecurityGroupIngress", GroupName="old", **rule))
        assert refusal(again) == (400, "InvalidPermission.Duplicate")
    for rule in (flat, source, listed):
        answer = raw.v2(pairs_of("RevokeSecurityGroupIngress", GroupName="old", **rule))
        assert (answer.status, answer.find("return")) == (200, "true")
        again = raw.v2(pairs_of("RevokeSecurityGroupIngress", GroupName="old", **rule))
        assert refusal(again) == (400, "InvalidPermission.NotFound")
    assert raw.v2(pairs_of("DeleteSecurityGroup", GroupName="old")).status == 200


def test_get_console_output_takes_the_numbered_form_of_boto_2(box, raw):
    [instance_id] = box.run_instances(box.image)
    box.until_state(instance_id, "running")
    answer = raw.v2(pairs_of("GetConsoleOutput", InstanceId__1=instance_id))
    assert (answer.status, answer.find("instanceId")) == (200, instance_id)
    box.terminate([instance_id])
