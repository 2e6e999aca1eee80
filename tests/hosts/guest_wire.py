# ruff: noqa: T201
"""The wire between a host's tap and a tap in a guest's namespace: what QEMU does, without the machine.

Arguments: host's namespace, host's tap, uid that opens it, guest's namespace, guest's MAC. Prints "ready".
"""

import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys

TAP = 0x0002 | 0x1000 | 0x4000  # IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, as libvirt opens it
_libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace: str) -> None:
    with open(f"/run/netns/{namespace}", "rb") as file:
        if _libc.setns(file.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


def open_tap(device: str, uid: int) -> int:
    """As that user: a tap opens for its owner only."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    os.seteuid(uid)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", device.encode(), TAP))
    os.seteuid(0)
    return tun


def pump(one: int, other: int) -> None:
    peers = {one: other, other: one}
    while True:
        for ready in select.select([one, other], [], [])[0]:
            try:
                frame = os.read(ready, 70000)
            except BlockingIOError:
                continue
            except OSError:
                return  # the host took its tap away
            try:
                os.write(peers[ready], frame)
            except OSError:
                continue


def main(host: str, device: str, uid: str, guest: str, mac: str) -> None:
    enter(host)
    host_side = open_tap(device, int(uid))
    enter(guest)
    guest_side = open_tap("eth0", 0)
    subprocess.run(["ip", "link", "set", "eth0", "address", mac, "up"], check=True)
    print("ready", flush=True)
    pump(host_side, guest_side)


if __name__ == "__main__":
    main(*sys.argv[1:])
