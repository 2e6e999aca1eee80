"""SOAP messages made of a signed one by chance: refused, or the same request; and what the refusal costs."""

import copy
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from euca_box.api.soap import envelopes
from euca_box.api.xml_documents import BadDocument
from euca_box.auth import wsse
from euca_box.auth.wsse import NotBelieved
from tests import soap
from tests.unit.test_wsse import ACTION, VECTORS, believed, new_certificate

KIB, MIB = 1 << 10, 1 << 20
PEM, KEY = new_certificate()
KNOWN = {
    soap.der_of(PEM): wsse.Signer(soap.public_key_of(PEM), "victim"),
}
HONEST = soap.signed(ACTION, PEM, KEY)
BODY = etree.tostring(believed(HONEST, KNOWN).body, method="c14n", exclusive=True)


def check(document: bytes) -> None:
    try:
        body = believed(document, KNOWN).body
    except (NotBelieved, BadDocument):
        return
    assert etree.tostring(body, method="c14n", exclusive=True) == BODY


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(document: bytes) -> None:
    check(document)


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_changed_bytes_are_refused_or_mean_the_same(data: st.DataObject) -> None:
    changed = bytearray(HONEST)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6))
    check(bytes(changed))


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_changed_trees_are_refused_or_mean_the_same(data: st.DataObject) -> None:
    root = envelopes.parse(HONEST)
    for _ in range(data.draw(st.integers(1, 4))):
        elements = list(root.iter())
        one, other = data.draw(st.sampled_from(elements)), data.draw(st.sampled_from(elements))
        match data.draw(st.sampled_from(["append", "copy", "remove", "tag", "attribute", "text"])):
            case "append" if (
                one is not root
                and all(above is not one for above in other.iterancestors())
                and other is not one
            ):
                other.append(one)
            case "copy":
                other.append(copy.deepcopy(one))
            case "remove" if one is not root:
                one.getparent().remove(one)
            case "tag":
                one.tag = other.tag
            case "attribute" if other.attrib:
                name, value = data.draw(st.sampled_from(sorted(other.attrib.items())))
                one.set(name, value)
            case "text":
                one.text = other.text
    check(etree.tostring(root))


def bad_documents() -> dict[str, bytes]:
    """Bombs, depth, width, ids, namespaces."""
    start = b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">'
    recorded = [*sorted((VECTORS / "xml").glob("*.xml")), *sorted((VECTORS / "wsse").glob("xsw*.xml"))]
    spaces = b" ".join(b'xmlns:a%d="urn:a"' % n for n in range(250))
    return {path.name: path.read_bytes()[: 256 * KIB] for path in recorded} | {
        "deep": (b"<a>" * 40_000)[: 256 * KIB],
        "wide": start + b"<a/>" * 39_000 + b"</e:Envelope>",
        "attributes": b"<a " + b" ".join(b'a%d="1"' % n for n in range(20_000)) + b"/>",
        "namespaces": b"<a " + spaces + b">" + b"<b/>" * 9_000 + b"</a>",
        "a body grown": HONEST.replace(b"<instancesSet/>", b'<a id="x"/>' * 15_000),
    }


def test_bad_documents_take_little_memory() -> None:
    for name, document in bad_documents().items():
        tracemalloc.start()
        check(document)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 10 * MIB, name
