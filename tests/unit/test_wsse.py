"""Which SOAP messages are believed: recorded ones, honest ones, and whatever can be made of an honest one."""

import base64
import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from lxml import etree

from euca_box.api.soap import envelopes
from euca_box.api.xml_documents import BadDocument
from euca_box.auth import wsse
from euca_box.auth.wsse import SOAP_11, SOAP_12, NotBelieved, Signer
from tests import soap

VECTORS = Path(__file__).parents[1] / "vectors"
CASES = json.loads((VECTORS / "wsse/manifest.json").read_text())
CLOCK = datetime.fromisoformat(CASES["clock"])
ACTION = soap.ec2_request("DescribeInstances", "<instancesSet/>")
NAMESPACE = soap.EC2.format("2009-04-04")
EVIL = soap.ec2_request(
    "TerminateInstances", "<instancesSet><item><instanceId>i-1</instanceId></item></instancesSet>"
)
KNOWN = {
    der: Signer(x509.load_der_x509_certificate(der).public_key(), "victim")
    for der in map(base64.b64decode, CASES["known_certificates"])
}


@pytest.fixture(scope="module")
def victim():
    """Certificate and key, and what the verifier knows."""
    pem, key = soap.new_certificate()
    certificate = x509.load_pem_x509_certificate(pem)
    known = {certificate.public_bytes(serialization.Encoding.DER): Signer(certificate.public_key(), "victim")}
    return pem, key, known


def believed(document, known=KNOWN, now=None, **how):
    root = envelopes.parse(document) if isinstance(document, bytes) else document
    return wsse.verify(root, known.get, now or datetime.now(UTC), **how)


@pytest.mark.parametrize(
    "name", [name for name, case in CASES["cases"].items() if case["expect"] == "reject"]
)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_forged_message_is_refused(name, legacy):
    with pytest.raises((NotBelieved, BadDocument)):
        believed((VECTORS / f"wsse/{name}.xml").read_bytes(), now=CLOCK, legacy=legacy)


def test_a_good_message_is_believed_until_it_expires():
    document = (VECTORS / "wsse/valid-sha256.xml").read_bytes()
    assert believed(document, now=CLOCK).who == "victim"
    with pytest.raises(NotBelieved) as caught:
        believed((VECTORS / "wsse/xsw-26-expired.xml").read_bytes(), now=CLOCK + timedelta(minutes=6))
    assert caught.value.is_expired


def test_sha1_is_believed_only_where_that_was_switched_on():
    document = (VECTORS / "wsse/valid-sha1-legacy.xml").read_bytes()
    with pytest.raises(NotBelieved):
        believed(document, now=CLOCK)
    assert believed(document, now=CLOCK, legacy=True).who == "victim"


def test_every_recorded_case_is_one_of_these():
    kinds = {case["expect"] for case in CASES["cases"].values()}
    # A second delivery is refused where it would change something: tests/api/test_soap.py.
    assert kinds <= {"accept", "policy", "reject", "reject-at-00:06", "reject-second"}


@pytest.mark.parametrize("space", [SOAP_11, SOAP_12])
def test_what_libxmlsec_signs_is_believed_and_its_body_is_handed_on(victim, space):
    pem, key, known = victim
    found = believed(soap.signed(ACTION, pem, key, space=space), known)
    assert etree.QName(found.body[0]).localname == "DescribeInstances"


def test_prefixes_that_java_clients_list_are_rendered(victim):
    pem, key, known = victim
    root = soap.envelope(ACTION, pem)
    document = soap.sign(root, key, prefixes=["e", "wsse"])
    assert b"InclusiveNamespaces" in document
    assert believed(document, known).who == "victim"
    with pytest.raises(NotBelieved):
        believed(document.replace(b'PrefixList="e wsse"', b'PrefixList="e"'), known)


def test_a_clock_may_differ_by_five_minutes_and_a_message_live_for_fifteen(victim):
    pem, key, known = victim
    now = datetime.now(UTC).replace(microsecond=0)
    document = soap.signed(ACTION, pem, key, created=now)
    assert believed(document, known, now - timedelta(minutes=5))
    for moment in (now - timedelta(minutes=5, seconds=1), now + timedelta(minutes=5)):
        with pytest.raises(NotBelieved) as caught:
            believed(document, known, moment)
        assert caught.value.is_expired
    long = soap.envelope(ACTION, pem, created=now)
    expires = long.find(f".//{{{soap.WSU}}}Expires")
    expires.text = f"{now + timedelta(minutes=16):%Y-%m-%dT%H:%M:%SZ}"
    with pytest.raises(NotBelieved, match="15 minutes"):
        believed(soap.sign(long, key), known)


def test_a_certificate_that_is_not_registered_is_nobodys(victim):
    _, _, known = victim
    pem, key = soap.new_certificate()
    with pytest.raises(NotBelieved, match="not registered"):
        believed(soap.signed(ACTION, pem, key), known)


def test_an_id_given_twice_is_refused_wherever_it_stands(victim):
    pem, key, known = victim
    root = envelopes.parse(soap.signed(ACTION, pem, key))
    body_id = root[1].get(f"{{{soap.WSU}}}Id")
    root.find(f".//{{{soap.DS}}}Signature").set("ID", body_id)
    with pytest.raises(NotBelieved, match="twice"):
        believed(root, known)


def test_a_key_that_is_not_the_token_is_refused(victim):
    pem, key, known = victim
    root = envelopes.parse(soap.signed(ACTION, pem, key))
    reference = root.find(f".//{{{soap.WSSE}}}Reference")
    reference.set("URI", "#" + root[1].get(f"{{{soap.WSU}}}Id"))
    with pytest.raises(NotBelieved, match="security token"):
        believed(root, known)


# Whatever is made of a signed message: it is refused, or it is the same request.


def parts(root):
    space = etree.QName(root).namespace
    names = (f"{{{space}}}Body", f"{{{soap.WSU}}}Timestamp", f"{{{soap.WSSE}}}BinarySecurityToken")
    names += (f"{{{soap.DS}}}Signature", f"{{{soap.DS}}}SignedInfo", f"{{{soap.DS}}}Reference")
    names += (f"{{{soap.WSSE}}}Security", f"{{{space}}}Header", f"{{{NAMESPACE}}}DescribeInstances")
    return [next(root.iter(name)) for name in names]


def evil_twin(element):
    """The same element, with another request in it where there is one."""
    twin = copy.deepcopy(element)
    for child in list(twin.iter(f"{{{NAMESPACE}}}DescribeInstances")):
        if child.getparent() is None:
            return etree.fromstring(EVIL)
        child.getparent().replace(child, etree.fromstring(EVIL))
    for moment in twin.iter(f"{{{soap.WSU}}}Expires"):
        moment.text = "2099-01-01T00:00:00Z"
    return twin


def moved(root):
    """Each part under each other part, an evil twin with the same id, another or none in its place."""
    for source in range(len(parts(root))):
        for target in range(len(parts(root))):
            for ids in ("same", "other", "none"):
                changed = copy.deepcopy(root)
                part, place = parts(changed)[source], parts(changed)[target]
                parent = part.getparent()
                if parent is None or part is place or any(above is part for above in place.iterancestors()):
                    continue
                twin = evil_twin(part)
                if ids != "same":
                    twin.attrib.pop(f"{{{soap.WSU}}}Id", None)
                if ids == "other":
                    twin.set(f"{{{soap.WSU}}}Id", "another")
                parent.replace(part, twin)
                etree.SubElement(place, "{urn:x}Wrapper").append(part)
                yield f"moved {source} under {target}, twin id {ids}", changed


def doubled(root):
    for place in range(len(parts(root))):
        for before in (True, False):
            for make in (copy.deepcopy, evil_twin):
                changed = copy.deepcopy(root)
                part = parts(changed)[place]
                if part.getparent() is None:
                    continue
                (part.addprevious if before else part.addnext)(make(part))
                yield f"doubled {place}, {before}, {make.__name__}", changed


def renamed(root):
    for place in range(len(parts(root))):
        for tag in ("{urn:x}" + etree.QName(parts(root)[place]).localname, f"{{{soap.WSU}}}Other"):
            changed = copy.deepcopy(root)
            parts(changed)[place].tag = tag
            yield f"renamed {place} {tag}", changed


def without(root):
    for place in range(len(parts(root))):
        changed = copy.deepcopy(root)
        part = parts(changed)[place]
        part.getparent().remove(part)
        yield f"without {place}", changed


def edited(root):
    """Each text and each attribute changed, each element given one more child."""
    count = len(list(root.iter()))
    for place in range(count):
        changed = copy.deepcopy(root)
        element = list(changed.iter())[place]
        etree.SubElement(element, "{urn:x}More")
        yield f"child of {element.tag}", changed
        changed = copy.deepcopy(root)
        element = list(changed.iter())[place]
        element.text = (element.text or "") + "x"
        yield f"text of {element.tag}", changed
        for name in root.attrib if place == 0 else list(root.iter())[place].attrib:
            changed = copy.deepcopy(root)
            list(changed.iter())[place].set(name, "x")
            yield f"{name} of {element.tag}", changed


@pytest.mark.parametrize("make", [moved, doubled, renamed, without, edited])
def test_nothing_unsigned_is_ever_handed_on(victim, make):
    pem, key, known = victim
    honest = envelopes.parse(soap.signed(ACTION, pem, key))
    wanted = etree.tostring(believed(copy.deepcopy(honest), known).body[0], method="c14n", exclusive=True)
    tried = 0
    for what, changed in make(honest):
        tried += 1
        try:
            body = believed(etree.tostring(changed), known).body
        except (NotBelieved, BadDocument):
            continue
        assert etree.tostring(body[0], method="c14n", exclusive=True) == wanted, what
        assert len(body) == 1, what
    assert tried >= 8


def test_bad_documents_are_refused_cheaply():
    """The bombs of the XML corpus, and one of our own: depth, width, namespaces."""
    bombs = [path.read_bytes() for path in sorted((VECTORS / "xml").glob("*.xml"))]
    deep = b"<a>" * 40_000 + b"</a>" * 40_000
    wide = (
        b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">'
        + b"<a/>" * 50_000
        + b"</e:Envelope>"
    )
    spaces = b"<a" + b"".join(b' xmlns:n%d="urn:%d"' % (n, n) for n in range(5000)) + b"/>"
    for document in (*bombs, deep, wide, spaces):
        with pytest.raises((NotBelieved, BadDocument)):
            believed(document[: 256 * 1024])
