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
from tests.unit.test_wsse import ACTION, believed

MIB = 1 << 20
PEM, KEY = soap.new_certificate()
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


def test_bad_documents_take_little_memory() -> None:
    for name, document in soap.bad_documents(HONEST).items():
        tracemalloc.start()
        check(document)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 10 * MIB, name
