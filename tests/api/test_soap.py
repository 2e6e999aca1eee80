"""The SOAP doors: what is refused there, and how it is said."""

import http.client
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lxml import etree

from euca_box.api.soap import ec2_requests, ec2_shapes, s3_operations, s3_wsdl
from euca_box.api.soap.s3 import S3Soap
from euca_box.auth.keyring import Keyring
from euca_box.auth.wsse import SOAP_12
from tests import soap
from tests.api.cloud_box import CloudBox, running_cloud

EC2_PATH = "/services/Eucalyptus"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("soap")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def pems(box: CloudBox) -> tuple[bytes, bytes]:
    made = box.admin("AddCertificate", name="alice")
    return made["certificate"]["pem"].encode(), made["private_key"].encode()


def post(box: CloudBox, path: str, document: bytes, kind: str = "text/xml; charset=utf-8") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=20)
    connection.request("POST", path, document, {"Content-Type": kind, "SOAPAction": '""'})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def get(box: CloudBox, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def code(text: str) -> str:
    found = re.search("<faultcode>(.*?)</faultcode>", text)
    return found[1] if found else text


def test_what_changes_something_counts_once_and_what_reads_may_be_asked_again(
    box: CloudBox, pems: tuple[bytes, bytes]
) -> None:
    change = soap.signed(soap.ec2_request("CreateKeyPair", "<keyName>once</keyName>"), *pems)
    assert post(box, EC2_PATH, change)[0] == 200
    status, text = post(box, EC2_PATH, change)
    assert (status, code(text)) == (500, "Client.AuthFailure")
    # Nor with another envelope around the same signature.
    assert code(post(box, EC2_PATH, b"\n" + change)[1]) == "Client.AuthFailure"
    read = soap.signed(soap.ec2_request("DescribeKeyPairs", "<keySet/>"), *pems)
    assert [post(box, EC2_PATH, read)[0] for _ in range(3)] == [200] * 3


def test_what_was_signed_before_the_start_may_have_been_obeyed_already(
    box: CloudBox, pems: tuple[bytes, bytes]
) -> None:
    early = datetime.now(UTC) - timedelta(minutes=4)
    change = soap.signed(soap.ec2_request("CreateKeyPair", "<keyName>early</keyName>"), *pems, created=early)
    _, text = post(box, EC2_PATH, change)
    assert code(text) == "Client.AuthFailure" and "before the cloud started" in text
    read = soap.signed(soap.ec2_request("DescribeKeyPairs"), *pems, created=early)
    assert post(box, EC2_PATH, read)[0] == 200


@pytest.mark.parametrize("path", [EC2_PATH, "/services/eucalyptus/", "/"])
def test_the_door_is_on_every_url_of_the_query_api(
    box: CloudBox, pems: tuple[bytes, bytes], path: str
) -> None:
    assert post(box, path, soap.signed(soap.ec2_request("DescribeRegions"), *pems))[0] == 200


def test_soap_12_is_answered_as_soap_12(box: CloudBox, pems: tuple[bytes, bytes]) -> None:
    wanted = soap.ec2_request(
        "TerminateInstances", "<instancesSet><item><instanceId>x</instanceId></item></instancesSet>"
    )
    document = soap.signed(wanted, *pems, space=SOAP_12)
    status, text = post(box, EC2_PATH, document, "application/soap+xml")
    fault = etree.fromstring(text.encode()).find(f".//{{{SOAP_12}}}Fault")
    assert status == 400 and fault is not None
    assert fault.findtext(f".//{{{SOAP_12}}}Code/{{{SOAP_12}}}Value") == "soapenv:Sender"
    assert "aws:Client.InvalidInstanceID.Malformed" in text


REFUSED = {
    "no xml": (b"hello", "Client.MalformedRequest"),
    "a document type": (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "Client.MalformedRequest"),
    "another encoding": (
        '<?xml version="1.0" encoding="utf-16"?><a/>'.encode("utf-16"),
        "Client.MalformedRequest",
    ),
    "no envelope": (b"<a/>", "Client.AuthFailure"),
    "no signature": (
        b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body/></e:Envelope>',
        "Client.AuthFailure",
    ),
    "too long": (b" " * (256 * 1024 + 1), "Client.RequestEntityTooLarge"),
}


@pytest.mark.parametrize(("document", "expected"), REFUSED.values(), ids=REFUSED)
def test_bad_documents_are_refused_by_a_fault(box: CloudBox, document: bytes, expected: str) -> None:
    status, text = post(box, EC2_PATH, document)
    assert (status, code(text)) == (500, expected)


ASKED = {
    "an action of no schema": ("GetConsoleScreenshot", "", "2009-04-04", "Client.InvalidAction"),
    "an operation between roles": ("NcRunInstance", "", "2009-04-04", "Client.InvalidAction"),
    "an operation of the administrator": ("AddUser", "<name>x</name>", "2009-04-04", "Client.InvalidAction"),
    "a version that never was": ("DescribeInstances", "", "2009-01-01", "Client.NoSuchVersion"),
    "a version too new": ("DescribeInstances", "", "2016-11-15", "Client.NoSuchVersion"),
    "an element of no schema": ("DescribeInstances", "<a/>", "2009-04-04", "Client.UnknownParameter"),
    "a value that is a structure": (
        "DeleteKeyPair",
        "<keyName><a/></keyName>",
        "2009-04-04",
        "Client.InvalidParameterValue",
    ),
    "an element twice": (
        "DeleteKeyPair",
        "<keyName>a</keyName><keyName>b</keyName>",
        "2009-04-04",
        "Client.InvalidParameterCombination",
    ),
    "an element of another namespace": (
        "DeleteKeyPair",
        '<keyName xmlns="urn:x">a</keyName>',
        "2009-04-04",
        "Client.UnknownParameter",
    ),
    "nothing where something is needed": ("DeleteKeyPair", "", "2009-04-04", "Client.MissingParameter"),
    "what is not offered": (
        "CreateVpc",
        "<cidrBlock>10.0.0.0/8</cidrBlock>",
        "2011-05-15",
        "Client.UnsupportedOperation",
    ),
}


@pytest.mark.parametrize(("action", "inside", "version", "expected"), ASKED.values(), ids=ASKED)
def test_what_cannot_be_asked_is_refused_with_the_code_of_the_query_api(
    box: CloudBox, pems: tuple[bytes, bytes], action: str, inside: str, version: str, expected: str
) -> None:
    document = soap.signed(soap.ec2_request(action, inside, version), *pems)
    assert code(post(box, EC2_PATH, document)[1]) == expected


def test_two_requests_in_one_body_are_refused(box: CloudBox, pems: tuple[bytes, bytes]) -> None:
    two = soap.ec2_request("DescribeRegions") * 2
    assert code(post(box, EC2_PATH, soap.signed(two, *pems))[1]) == "Client.MalformedRequest"


def test_sha1_is_refused_unless_it_was_switched_on(box: CloudBox, pems: tuple[bytes, bytes]) -> None:
    root = soap.envelope(soap.ec2_request("DescribeRegions"), pems[0])
    _, text = post(box, EC2_PATH, soap.sign(root, pems[1], sha1=True))
    assert code(text) == "Client.AuthFailure" and "rsa-sha256" in text


def test_a_certificate_of_the_users_own_signs_until_it_is_switched_off(box: CloudBox) -> None:
    """The life of an uploaded certificate, by IAM."""
    iam, pems = box.client("iam"), soap.new_certificate()
    kept = iam.upload_signing_certificate(CertificateBody=pems[0].decode())["Certificate"]
    assert kept["UserName"] == "alice" and kept["Status"] == "Active"

    def works() -> bool:
        return post(box, EC2_PATH, soap.signed(soap.ec2_request("DescribeRegions"), *pems))[0] == 200

    assert works()
    with pytest.raises(ClientError, match="DuplicateCertificate"):
        box.client("iam", "mallory").upload_signing_certificate(CertificateBody=pems[0].decode())
    with pytest.raises(ClientError, match="NoSuchEntity"):
        box.client("iam", "mallory").delete_signing_certificate(CertificateId=kept["CertificateId"])
    with pytest.raises(ClientError, match="NoSuchEntity"):
        box.client("iam", "mallory").list_signing_certificates(UserName="alice")
    iam.update_signing_certificate(CertificateId=kept["CertificateId"], Status="Inactive")
    assert not works()
    iam.update_signing_certificate(CertificateId=kept["CertificateId"], Status="Active")
    assert works()
    box.admin("SetUserState", name="alice", state="disabled")
    assert not works()
    box.admin("SetUserState", name="alice", state="active")
    listed = iam.list_signing_certificates()["Certificates"]
    assert kept["CertificateId"] in [one["CertificateId"] for one in listed]
    iam.delete_signing_certificate(CertificateId=kept["CertificateId"])
    assert not works()
    with pytest.raises(ClientError, match="MalformedCertificate"):
        iam.upload_signing_certificate(
            CertificateBody="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
        )


def test_a_revoked_certificate_stays_revoked_whatever_its_user_does(box: CloudBox) -> None:
    iam, (pem, _) = box.client("iam"), soap.new_certificate()
    kept = iam.upload_signing_certificate(CertificateBody=pem.decode())["Certificate"]["CertificateId"]
    box.admin("RevokeCertificate", name="alice", certificate_id=kept)
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.update_signing_certificate(CertificateId=kept, Status="Active")
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.delete_signing_certificate(CertificateId=kept)
    with pytest.raises(ClientError, match="DuplicateCertificate"):
        iam.upload_signing_certificate(CertificateBody=pem.decode())


def test_one_certificate_uploaded_by_two_at_once_is_one_users(box: CloudBox) -> None:
    pem, _ = soap.new_certificate()
    clients = [box.client("iam", user) for user in ("alice", "mallory")]

    def upload(client: Any) -> str:
        try:
            return str(
                client.upload_signing_certificate(CertificateBody=pem.decode())["Certificate"]["Status"]
            )
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(upload, clients)) == ["Active", "DuplicateCertificate"]


@pytest.mark.parametrize("version", ec2_shapes.versions())
def test_each_version_has_its_wsdl(box: CloudBox, version: str) -> None:
    status, text = get(box, f"{EC2_PATH}?wsdl&Version={version}")
    root = etree.fromstring(text.encode())
    assert status == 200 and root.get("targetNamespace") == soap.EC2.format(version)
    assert "RunInstances" in text and "NcRunInstance" not in text


def test_a_wsdl_of_no_version_is_not_found(box: CloudBox) -> None:
    assert get(box, f"{EC2_PATH}?wsdl&Version=1999-01-01")[0] == 404


def test_every_element_of_every_schema_is_a_parameter_or_known_not_to_be() -> None:
    from euca_box.api.ec2 import shapes

    found = set()
    for version in ec2_shapes.versions():
        for action in set(ec2_shapes.actions(version)) & shapes.actions().keys():
            missing: list[str] = []
            ec2_requests.planned(ec2_shapes.request(version, action), action, missing)
            chosen = ec2_requests.attribute_choices(action)
            found |= {(action, name) for name in missing if name not in chosen}
    assert found == {
        ("CreateImage", "virtualName"),  # of an EBS volume, where EC2 has none
        ("RegisterImage", "virtualName"),
        ("RunInstances", "virtualName"),
        ("RegisterImage", "platform"),
        ("DescribeAccountAttributes", "filterSet"),
    }


def test_the_old_name_of_a_group_is_its_id_and_old_states_have_old_names(
    box: CloudBox, pems: tuple[bytes, bytes]
) -> None:
    image_id = box.register_images()[-1]
    inside = f"<imageId>{image_id}</imageId><minCount>1</minCount><maxCount>1</maxCount>"
    status, text = post(box, EC2_PATH, soap.signed(soap.ec2_request("RunInstances", inside), *pems))
    assert status == 200 and "<groupId>default</groupId>" in text
    [instance_id] = re.findall("<instanceId>(.*?)</instanceId>", text)
    ids = f"<instancesSet><item><instanceId>{instance_id}</instanceId></item></instancesSet>"
    _, text = post(box, EC2_PATH, soap.signed(soap.ec2_request("TerminateInstances", ids), *pems))
    assert "<shutdownState><code>32</code>" in text and "<currentState>" not in text
    assert text.index("<requestId>") < text.index("<instancesSet>")


# S3


def s3_request(name: str, inside: str = "") -> bytes:
    return (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
        f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inside}</{name}></e:Body></e:Envelope>'
    ).encode()


@pytest.mark.parametrize("path", ["/services/Walrus", "/soap"])
def test_an_unsigned_request_is_anonymous(box: CloudBox, path: str) -> None:
    status, text = post(box, path, s3_request("ListBucket", "<Bucket>absent-bucket</Bucket>"))
    assert (status, code(text)) == (500, "Client.NoSuchBucket")
    assert code(post(box, path, s3_request("ListAllMyBuckets"))[1]) == "Client.AccessDenied"


def test_what_s3_does_not_do_by_soap_says_so(box: CloudBox) -> None:
    for name, inside in (
        ("PutObject", ""),
        ("AddObject", ""),
        ("GetObject", "<Bucket>b</Bucket><Key>k</Key><GetData>true</GetData>"),
    ):
        assert code(post(box, "/soap", s3_request(name, inside))[1]) == "Client.NotImplemented"
    long = s3_request("PutObjectInline", f"<Data>{'A' * (2 << 20)}</Data>")
    assert code(post(box, "/soap", long)[1]) == "Client.InlineDataTooLarge"


def test_a_bucket_is_a_bucket_and_not_a_path(box: CloudBox) -> None:
    inside = "<Bucket>a/b</Bucket><Key>c</Key>"
    assert code(post(box, "/soap", s3_request("DeleteObject", inside))[1]) == "Client.InvalidBucketName"
    inside = "<Bucket>b</Bucket><Key>k</Key><Metadata><Name>x\r\ny</Name><Value>v</Value></Metadata><Data/>"
    assert code(post(box, "/soap", s3_request("PutObjectInline", inside))[1]) == "Client.InvalidArgument"


def test_the_description_of_s3_names_what_is_served_and_no_more() -> None:
    assert s3_wsdl._REQUESTS.keys() == s3_wsdl._RESULTS.keys() == s3_operations.OPERATIONS.keys()


@pytest.mark.anyio
async def test_over_plain_http_a_signature_is_believed_from_this_host_only() -> None:
    """It covers neither key nor bytes: who listens could use it for something else."""
    answers: list[dict[str, Any]] = []
    document = s3_request("ListAllMyBuckets", "<AWSAccessKeyId>a</AWSAccessKeyId><Signature>b</Signature>")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": document, "more_body": False}

    async def send(message: Any) -> None:
        answers.append(message)

    async def rest(*_: Any) -> None:
        raise AssertionError("it was believed")

    app = S3Soap(rest, Keyring(), lambda: datetime.now(UTC), "http://x")
    for client, scheme, expected in (
        ("192.0.2.1", "http", b"SOAP is served over TLS"),
        ("192.0.2.1", "https", b"AWSAccessKeyId, Timestamp and Signature"),
        ("127.0.0.1", "http", b"AWSAccessKeyId, Timestamp and Signature"),
    ):
        scope = {"type": "http", "method": "POST", "scheme": scheme, "client": (client, 1), "headers": []}
        await app(scope, receive, send)
        assert expected in answers[-1]["body"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
