"""The cloud's name service as a function of packets: names as in Eucalyptus 1.6, and what strangers send."""

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from euca_box.api.dns.answers import TTL, Zones, answer
from euca_box.messages.dns import AddressesInUse
from euca_box.model.instance_names import InstanceNames, address_in

IN_USE = AddressesInUse(frozenset({"172.31.1.1"}), frozenset({"198.51.100.77"}))
ZONES = Zones(InstanceNames("cloud.example"), "198.51.100.1", lambda: IN_USE)


def ask(name: str, kind: str = "A", *, over_udp: bool = True, **more: object) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **more)
    reply = answer(ZONES, query.to_wire(), over_udp=over_udp)
    assert reply is not None
    response = dns.message.from_wire(reply)
    assert response.id == query.id and response.flags & dns.flags.QR
    assert not response.flags & dns.flags.RA
    return response


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("euca-172-31-1-1.eucalyptus.internal", "172.31.1.1"),
        ("EUCA-172-31-1-1.Eucalyptus.Internal.", "172.31.1.1"),
        ("euca-198-51-100-77.eucalyptus.cloud.example", "198.51.100.77"),
        ("bucket.walrus.cloud.example", "198.51.100.1"),
        ("walrus.cloud.example", "198.51.100.1"),
        ("cloud.example", "198.51.100.1"),
        ("ns.cloud.example", "198.51.100.1"),
    ],
)
def test_a_name_has_its_address(name: str, address: str) -> None:
    response = ask(name)

    assert response.rcode() == dns.rcode.NOERROR and response.flags & dns.flags.AA
    [records] = response.answer
    assert [record.to_text() for record in records] == [address] and records.ttl == TTL


@pytest.mark.parametrize(
    "name",
    [
        "euca-172-31-1-2.eucalyptus.internal",
        "euca-172-31-1-1.eucalyptus.cloud.example",
        "euca-198-51-100-77.eucalyptus.internal",
        "euca-172-31-1-01.eucalyptus.internal",
        "euca-999-1-1-1.eucalyptus.internal",
        "x.euca-172-31-1-1.eucalyptus.internal",
        "a.bucket.walrus.cloud.example",
        "nothing.cloud.example",
    ],
)
def test_what_has_no_instance_has_no_name(name: str) -> None:
    response = ask(name)

    assert response.rcode() == dns.rcode.NXDOMAIN and not response.answer
    assert [r.rdtype.name for r in response.authority] == ["SOA"]


def test_a_name_without_the_record_asked_for_is_there_all_the_same() -> None:
    for name in ("euca-172-31-1-1.eucalyptus.internal", "eucalyptus.cloud.example"):
        response = ask(name, "AAAA")
        assert response.rcode() == dns.rcode.NOERROR and not response.answer
        assert response.authority[0].ttl == 60


@pytest.mark.parametrize("name", ["example.com", "example", ".", "internal", "notcloud.example"])
def test_other_zones_are_refused(name: str) -> None:
    response = ask(name, "NS")

    assert response.rcode() == dns.rcode.REFUSED and not response.answer


@pytest.mark.parametrize("kind", ["AXFR", "IXFR", "TXT", "PTR"])
def test_nothing_can_be_listed(kind: str) -> None:
    assert not ask("cloud.example", kind, over_udp=False).answer


def test_an_apex_says_who_serves_it() -> None:
    assert ask("cloud.example", "NS").answer[0][0].to_text() == "ns.cloud.example."
    assert (
        ask("eucalyptus.internal", "SOA").answer[0][0].to_text().startswith("ns.cloud.example. hostmaster.")
    )


def test_updates_notifies_and_other_classes_are_not_implemented() -> None:
    query = dns.message.make_query("cloud.example", "A")
    query.set_opcode(dns.opcode.NOTIFY)
    reply = answer(ZONES, query.to_wire(), over_udp=True)
    assert reply is not None and dns.message.from_wire(reply).rcode() == dns.rcode.NOTIMP
    assert ask("cloud.example", "A", rdclass="CH").rcode() == dns.rcode.NOTIMP


def test_what_is_no_question_gets_no_answer() -> None:
    good = dns.message.make_query("cloud.example", "A").to_wire()
    response = bytes([*good[:2], good[2] | 0x80, *good[3:]])
    looping = good[:12] + b"\xc0\x0c" + good[-4:]
    for packet in (b"", b"\0" * 11, good[:-3], response, looping, b"\xff" * 600, good[:4] + bytes(8)):
        assert answer(ZONES, packet, over_udp=True) is None


def test_no_answer_is_larger_than_what_it_amplifies_from() -> None:
    for name, kind in (("cloud.example", "ANY"), ("euca-172-31-1-1.eucalyptus.internal", "A")):
        query = dns.message.make_query(name, kind, use_edns=0, payload=4096).to_wire()
        reply = answer(ZONES, query, over_udp=True)
        assert reply is not None and len(reply) <= 512


@pytest.mark.parametrize(
    ("label", "address"),
    [
        ("euca-10-0-0-1", "10.0.0.1"),
        ("euca-10-0-0-256", None),
        ("euca-010-0-0-1", None),
        ("ip-10-0-0-1", None),
    ],
)
def test_a_label_is_an_address_in_one_spelling(label: str, address: str | None) -> None:
    assert address_in(label) == address


def test_names_are_those_of_ec2_without_a_domain() -> None:
    plain, named = InstanceNames(), InstanceNames("cloud.example")

    assert (plain.private("172.31.0.5"), plain.public("1.2.3.4")) == ("ip-172-31-0-5.ec2.internal", "1.2.3.4")
    assert named.private("172.31.0.5") == "euca-172-31-0-5.eucalyptus.internal"
    assert named.public("1.2.3.4") == "euca-1-2-3-4.eucalyptus.cloud.example"
    assert (named.private(None), named.public(None)) == ("", "")
