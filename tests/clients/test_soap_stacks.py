"""SOAP by stacks that share nothing with zeep: suds reads our WSDLs by its own reader, SOAP::Lite needs none.

WSS4J, by which Java's clients of 2009 signed, has left recorded envelopes.
"""

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import suds.client
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from suds.plugin import MessagePlugin

from euca_box.api.soap import ec2_shapes, envelopes
from euca_box.auth import wsse
from tests import soap
from tests.api.cloud_box import running_cloud

RECORDED = Path(__file__).parents[1] / "recorded/wss4j"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("soap")) as box:
        yield box


@pytest.fixture(scope="module")
def pems(cloud):
    made = cloud.admin("AddCertificate", name="alice")
    return made["certificate"]["pem"].encode(), made["private_key"].encode()


# suds


class Signing(MessagePlugin):
    """What suds has written is put into a signed envelope."""

    def __init__(self, pems):
        self._pems = pems

    def sending(self, context):
        root = etree.fromstring(context.envelope)
        [request] = next(part for part in root if part.tag == f"{{{wsse.SOAP_11}}}Body")
        context.envelope = soap.signed(etree.tostring(request).decode(), *self._pems)


def ec2(cloud, pems, version):
    return suds.client.Client(
        f"{cloud.url}/services/Eucalyptus?wsdl&Version={version}",
        plugins=[Signing(pems)],
        cache=None,
        port="AmazonEC2BindingPort",
        headers={"Content-Type": "text/xml"},
    )


@pytest.mark.parametrize("version", ["2008-02-01", "2009-04-04", ec2_shapes.NEWEST])
def test_suds_makes_shows_and_deletes_a_key_pair(cloud, pems, version):
    service = ec2(cloud, pems, version).service
    made = service.CreateKeyPair(keyName="by-suds")
    assert made.keyMaterial.startswith("-----BEGIN")
    shown = service.DescribeKeyPairs(keySet={"item": [{"keyName": "by-suds"}]})
    # Of an answer with one element suds gives that element.
    assert [item.keyName for item in getattr(shown, "keySet", shown).item] == ["by-suds"]
    service.DeleteKeyPair(keyName="by-suds")


def test_suds_runs_and_ends_an_instance(cloud, pems):
    service = ec2(cloud, pems, "2009-04-04").service
    image_id = cloud.register_images()[-1]
    made = service.RunInstances(imageId=image_id, minCount=1, maxCount=1, instanceType="m1.small")
    [instance] = made.instancesSet.item
    assert instance.instanceState.name == "pending"
    service.TerminateInstances(instancesSet={"item": [{"instanceId": instance.instanceId}]})


def test_suds_reads_a_fault(cloud, pems):
    with pytest.raises(suds.WebFault) as caught:
        ec2(cloud, pems, "2009-04-04").service.TerminateInstances(
            instancesSet={"item": [{"instanceId": "i-00000000"}]}
        )
    assert caught.value.fault.faultcode == "Client.InvalidInstanceID.NotFound"


# SOAP::Lite


def has_soap_lite():
    perl = shutil.which("perl")
    return (
        bool(perl) and subprocess.run([perl, "-MSOAP::Lite", "-e", "1"], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not has_soap_lite(), reason="Perl's SOAP::Lite is missing: libsoap-lite-perl")
@pytest.mark.parametrize("path", ["/services/Walrus", "/soap"])
def test_soap_lite_keeps_lists_reads_and_removes_an_object(cloud, path):
    key, secret = cloud.credentials("alice")
    done = subprocess.run(
        ["perl", str(Path(__file__).with_name("s3_soap.pl")), cloud.url + path, "from-perl"],
        env=os.environ | {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == ["key a/b", "data from perl", "fault Client.NoSuchKey"]


# WSS4J 1.6.19: Body and Timestamp are signed, and KeyInfo refers to the token


def recorded(name):
    """The envelope, who signed it, and a moment at which it was good."""
    document = (RECORDED / f"{name}.xml").read_bytes()
    root = envelopes.parse(document)
    token = "".join(root.find(f".//{{{soap.WSSE}}}BinarySecurityToken").text.split())
    certificate = x509.load_pem_x509_certificate(
        f"-----BEGIN CERTIFICATE-----\n{token}\n-----END CERTIFICATE-----\n".encode()
    )
    known = {certificate.public_bytes(Encoding.DER): wsse.Signer(certificate.public_key(), "somebody")}
    created = re.search(rb"Created>([^<Z]+)Z", document)[1].decode()
    return document, known, datetime.fromisoformat(created).replace(tzinfo=UTC) + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("name", "legacy"), [("soap11-sha256", False), ("soap12-sha256", False), ("soap11-sha1", True)]
)
def test_what_wss4j_signed_is_believed(name, legacy):
    document, known, now = recorded(name)
    found = wsse.verify(envelopes.parse(document), known.get, now, legacy=legacy)
    assert found.who == "somebody" and etree.QName(found.body[0]).localname == "DescribeInstances"


@pytest.mark.parametrize("name", ["soap11-sha256", "soap12-sha256", "soap11-sha1"])
def test_what_was_changed_in_it_is_refused(name):
    document, known, now = recorded(name)
    changed = document.replace(b"DescribeInstances", b"TerminateInstances")
    with pytest.raises(wsse.NotBelieved):
        wsse.verify(envelopes.parse(changed), known.get, now, legacy=True)


def test_sha1_of_wss4j_is_refused_unless_switched_on():
    document, known, now = recorded("soap11-sha1")
    with pytest.raises(wsse.NotBelieved):
        wsse.verify(envelopes.parse(document), known.get, now)
