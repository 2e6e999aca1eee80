"""Answers of the cloud's name service, as a function of the question; the only door to dnspython.

Authoritative for the cloud's domain and for eucalyptus.internal, and for nothing else: no recursion, no
transfer, no update. Names and TTL as in Eucalyptus 1.6. Source: RFC 1035, RFC 2308, RFC 6891.
"""

from collections.abc import Callable
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from euca_box.messages.dns import AddressesInUse
from euca_box.model.instance_names import INTERNAL, InstanceNames, address_in

TTL, NEGATIVE_TTL = 604_800, 60  # a name has its address in it, so an answer never grows wrong
LARGEST_UDP = 512


@dataclass(frozen=True)
class Zones:
    """`service_ip`: where the cloud's own names lead, the name server's and Walrus'. `serial`: of the SOA."""

    names: InstanceNames
    service_ip: str
    in_use: Callable[[], AddressesInUse]
    serial: int = 1


def answer(zones: Zones, packet: bytes, *, over_udp: bool) -> bytes | None:
    """None for what is no question: nothing is sent to whoever is named as its sender."""
    try:
        query = dns.message.from_wire(packet)
    except (dns.exception.DNSException, ValueError):
        return None
    if query.flags & dns.flags.QR or len(query.question) != 1:
        return None
    response = dns.message.make_response(query, recursion_available=False)
    if query.opcode() != dns.opcode.QUERY or query.question[0].rdclass != dns.rdataclass.IN:
        response.set_rcode(dns.rcode.NOTIMP)
    else:
        _fill(zones, response)
    wire = response.to_wire(max_size=65_535)
    if over_udp and len(wire) > LARGEST_UDP:
        response = dns.message.make_response(query, recursion_available=False)
        response.flags |= dns.flags.TC
        wire = response.to_wire()
    return wire


def _fill(zones: Zones, response: dns.message.Message) -> None:
    question = response.question[0]
    zone = _zone_of(zones, question.name)
    if zone is None:
        response.set_rcode(dns.rcode.REFUSED)
        return
    response.flags |= dns.flags.AA
    found = _records(zones, zone, question.name)
    if found is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
    wanted = [(kind, text) for kind, text in found or [] if question.rdtype in (kind, dns.rdatatype.ANY)]
    for kind, text in wanted:
        response.answer.append(dns.rrset.from_text(question.name, TTL, "IN", kind, text))
    if not wanted:
        soa = dns.rrset.from_text(zone, NEGATIVE_TTL, "IN", "SOA", _soa(zones, zone))
        response.authority.append(soa)


def _zone_of(zones: Zones, name: dns.name.Name) -> dns.name.Name | None:
    candidates = (dns.name.from_text(text) for text in (INTERNAL, zones.names.domain))
    return next((zone for zone in candidates if name.is_subdomain(zone)), None)


def _records(
    zones: Zones, zone: dns.name.Name, name: dns.name.Name
) -> list[tuple[dns.rdatatype.RdataType, str]] | None:
    """All of a name; None when there is no such name, none when it is only on the way to others."""
    own = [(dns.rdatatype.A, zones.service_ip)]
    text = name.to_text(omit_final_dot=True).lower()
    if name == zone:
        server = f"ns.{zones.names.domain}."
        return [(dns.rdatatype.SOA, _soa(zones, zone)), (dns.rdatatype.NS, server), *own]
    if text in (f"ns.{zones.names.domain}", zones.names.walrus):
        return own
    if text == zones.names.public_zone:
        return []
    label, _, parent = text.partition(".")
    if parent == zones.names.walrus:
        return own  # whether there is such a bucket, S3 answers
    address, known = address_in(label), zones.in_use()
    of_zone = {INTERNAL: known.private, zones.names.public_zone: known.public}
    if address is not None and address in of_zone.get(parent, ()):
        return [(dns.rdatatype.A, address)]
    return None


def _soa(zones: Zones, zone: dns.name.Name) -> str:
    domain = zones.names.domain
    return f"ns.{domain}. hostmaster.{domain}. {zones.serial} 3600 600 604800 {NEGATIVE_TTL}"
