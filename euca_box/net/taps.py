"""Tap devices, made before their QEMU starts and kept without it (Linux, networking/tuntap.rst)."""

import fcntl
import os
import struct

from euca_box.net.network import NetError

_SET_INTERFACE = 0x400454CA  # TUNSETIFF
_SET_PERSISTENT = 0x400454CB  # TUNSETPERSIST
_SET_OWNER = 0x400454CC  # TUNSETOWNER
_TAP = 0x0002
_NO_PACKET_INFORMATION = 0x1000
_VNET_HEADER = (
    0x4000  # libvirt opens the tap with it; no multi-queue, which would have to agree on both sides
)


def create_tap(device: str, owner_uid: int) -> None:
    """A persistent tap that `owner_uid` may open without any right on the network. Raises NetError."""
    flags = _TAP | _NO_PACKET_INFORMATION | _VNET_HEADER
    try:
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise NetError(f"/dev/net/tun does not open: {error}") from error
    try:
        fcntl.ioctl(tun, _SET_INTERFACE, struct.pack("16sH22x", device.encode(), flags))
        fcntl.ioctl(tun, _SET_OWNER, owner_uid)
        fcntl.ioctl(tun, _SET_PERSISTENT, 1)
    except OSError as error:
        raise NetError(f"tap {device} cannot be made: {error}") from error
    finally:
        os.close(tun)
