"""Ends connections: all of an address, or single ones that were listed.

Of an address by one filtered flush for each way it can occur (ctnetlink, Linux 5.8 and later).

Source: linux/net/netfilter/nf_conntrack_netlink.c, ctnetlink_del_conntrack: with CTA_FILTER the kernel
deletes every entry whose tuple agrees in the flagged fields; the family counts only when the message's
version is not 0.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from euca_box.net.network import NetError

_NETFILTER = 12  # NETLINK_NETFILTER
_GET = (1 << 8) | 1  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
_DELETE = (1 << 8) | 2  # IPCTNL_MSG_CT_DELETE
_DONE = 3  # NLMSG_DONE
_DUMP = 0x01 | 0x300  # NLM_F_REQUEST, NLM_F_DUMP
_ABSENT = 2  # ENOENT
_REQUEST_ACK = 0x01 | 0x04
_NESTED = 0x8000
_TUPLES = {"original": 1, "reply": 2}  # CTA_TUPLE_*; the same numbers are CTA_FILTER_*_FLAGS
_FILTER = 25  # CTA_FILTER
_FIELDS = {"source": 1, "destination": 2}  # CTA_IP_V4_*; as bits they are CTA_FILTER_F_CTA_IP_*


@dataclass(frozen=True, slots=True)
class Tuple:
    """One direction of a connection. Of icmp `to_port` is type * 256 + code, as of the first packet."""

    source: str
    destination: str
    from_port: int
    to_port: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A tracked connection: as it was dialled, and as the answers go. `raw` is the kernel's name of it."""

    protocol: int
    original: Tuple
    reply: Tuple
    raw: bytes


def list_flows() -> list[Flow]:
    """Every tracked connection of IPv4. Raises NetError."""
    found: list[Flow] = []
    with _opened() as netlink:
        try:
            netlink.send(struct.pack("=IHHIIBBH", 20, _GET, _DUMP, 1, 0, socket.AF_INET, 0, 0))
            while True:
                data, at = netlink.recv(1 << 17), 0
                while at + 16 <= len(data):
                    size, kind = struct.unpack_from("=IH", data, at)
                    if kind == _DONE:
                        return found
                    if kind == _GET & 0xFF00 and (flow := _flow(data[at + 20 : at + size])) is not None:
                        found.append(flow)
                    at += (size + 3) & ~3
        except OSError as error:
            raise NetError(f"conntrack does not answer: {error}") from error


def forget_flow(flow: Flow) -> None:
    """Delete this one; one that has ended is no error. Raises NetError."""
    body = struct.pack("!BBH", socket.AF_INET, 0, 0) + _attribute(_TUPLES["original"] | _NESTED, flow.raw)
    message = struct.pack("=IHHII", 16 + len(body), _DELETE, _REQUEST_ACK, 1, 0) + body
    with _opened() as netlink:
        _ask(netlink, message, fine=_ABSENT)


def forget_connections(address: IPv4Address) -> None:
    """Delete every tracked connection that the address takes part in, before or after NAT.

    Raises NetError.
    """
    with _opened() as netlink:
        for tuple_name in _TUPLES:
            for field in _FIELDS:
                _ask(netlink, _flush_message(address, tuple_name, field))


@contextmanager
def _opened() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as netlink:
        netlink.settimeout(5)
        yield netlink


def _flow(message: bytes) -> Flow | None:
    """Of one message of a dump, behind its headers."""
    parts = _attributes(message)
    original, reply = parts.get(_TUPLES["original"]), parts.get(_TUPLES["reply"])
    if original is None or reply is None:
        return None
    protocol, dialled = _tuple(original)
    return Flow(protocol, dialled, _tuple(reply)[1], original)


def _tuple(data: bytes) -> tuple[int, Tuple]:
    """CTA_TUPLE_IP with CTA_IP_V4_*, CTA_TUPLE_PROTO with CTA_PROTO_NUM, _SRC_PORT, _DST_PORT, _ICMP_*."""
    parts = _attributes(data)
    ip, proto = _attributes(parts.get(1, b"")), _attributes(parts.get(2, b""))
    ports = [int.from_bytes(proto.get(number, b"")) for number in (2, 3)]
    if 5 in proto:
        ports = [int.from_bytes(proto.get(4, b"")), proto[5][0] << 8 | proto.get(6, b"\0")[0]]
    addresses = [str(IPv4Address(ip.get(number, bytes(4)))) for number in (1, 2)]
    return proto.get(1, b"\0")[0], Tuple(addresses[0], addresses[1], ports[0], ports[1])


def _attributes(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + size]
        at += (size + 3) & ~3
    return found


def _flush_message(address: IPv4Address, tuple_name: str, field: str) -> bytes:
    way = _TUPLES[tuple_name]
    ip = _attribute(_FIELDS[field], address.packed)
    tuple_ = _attribute(way | _NESTED, _attribute(1 | _NESTED, ip))
    flags = _attribute(_FILTER | _NESTED, _attribute(way, struct.pack("=I", _FIELDS[field])))
    body = struct.pack("!BBH", socket.AF_INET, 1, 0) + tuple_ + flags
    return struct.pack("=IHHII", 16 + len(body), _DELETE, _REQUEST_ACK, 1, 0) + body


def _ask(netlink: socket.socket, message: bytes, fine: int = 0) -> None:
    try:
        netlink.send(message)
        answer = netlink.recv(4096)
    except OSError as error:
        raise NetError(f"conntrack does not answer: {error}") from error
    (code,) = struct.unpack_from("=i", answer, 16)
    if code and -code != fine:
        raise NetError(f"conntrack refuses to forget: error {-code}")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
