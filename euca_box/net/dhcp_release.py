"""A DHCPRELEASE in the name of a guest that is gone (RFC 2131 4.4.6), as dnsmasq's own dhcp_release sends it.

Without it dnsmasq keeps an address for the old MAC until the lease ends and refuses it to the next instance.
"""

import socket
import struct
from ipaddress import IPv4Address

from euca_box.net.network import NetError

_COOKIE = 0x63825363
_RELEASE = 7


def release_lease(bridge: str, server: IPv4Address, address: str, mac: str) -> None:
    """Tell the DHCP server on this host that the MAC gives the address back. Raises NetError."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as udp:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, bridge.encode())
            udp.sendto(release_message(server, address, mac), (str(server), 67))
    except OSError as error:
        raise NetError(f"the lease of {address} cannot be released: {error}") from error


def release_message(server: IPv4Address, address: str, mac: str) -> bytes:
    """RFC 2131 figure 1; options: message type, server identifier."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    head = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0, 0, 0)
    addresses = IPv4Address(address).packed + bytes(12)
    options = struct.pack("!I", _COOKIE) + bytes([53, 1, _RELEASE, 54, 4]) + server.packed + b"\xff"
    return head + addresses + hardware.ljust(16, b"\0") + bytes(192) + options.ljust(64, b"\0")
