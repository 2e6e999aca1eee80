"""Ends the connections of an address.

One filtered flush for each way it can occur (ctnetlink, Linux 5.8 and later).

Source: linux/net/netfilter/nf_conntrack_netlink.c, ctnetlink_del_conntrack: with CTA_FILTER the kernel
deletes every entry whose tuple agrees in the flagged fields; the family counts only when the message's
version is not 0.
"""

import socket
import struct
from ipaddress import IPv4Address

from euca_box.net.network import NetError

_NETFILTER = 12  # NETLINK_NETFILTER
_DELETE = (1 << 8) | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
_REQUEST_ACK = 0x01 | 0x04
_NESTED = 0x8000
_TUPLES = {"original": 1, "reply": 2}  # CTA_TUPLE_*; the same numbers are CTA_FILTER_*_FLAGS
_FILTER = 25  # CTA_FILTER
_FIELDS = {"source": 1, "destination": 2}  # CTA_IP_V4_*; as bits they are CTA_FILTER_F_CTA_IP_*


def forget_connections(address: IPv4Address) -> None:
    """Delete every tracked connection that the address takes part in, before or after NAT.

    Raises NetError.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as netlink:
        netlink.settimeout(5)
        for tuple_name in _TUPLES:
            for field in _FIELDS:
                _ask(netlink, _flush_message(address, tuple_name, field))


def _flush_message(address: IPv4Address, tuple_name: str, field: str) -> bytes:
    way = _TUPLES[tuple_name]
    ip = _attribute(_FIELDS[field], address.packed)
    tuple_ = _attribute(way | _NESTED, _attribute(1 | _NESTED, ip))
    flags = _attribute(_FILTER | _NESTED, _attribute(way, struct.pack("=I", _FIELDS[field])))
    body = struct.pack("!BBH", socket.AF_INET, 1, 0) + tuple_ + flags
    return struct.pack("=IHHII", 16 + len(body), _DELETE, _REQUEST_ACK, 1, 0) + body


def _ask(netlink: socket.socket, message: bytes) -> None:
    try:
        netlink.send(message)
        answer = netlink.recv(4096)
    except OSError as error:
        raise NetError(f"conntrack does not answer: {error}") from error
    (code,) = struct.unpack_from("=i", answer, 16)
    if code:
        raise NetError(f"conntrack refuses to forget: error {-code}")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
