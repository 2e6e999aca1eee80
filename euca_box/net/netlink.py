"""The only door to pyroute2: an open netlink socket, and errors in our words."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENODEV, ENOENT, ESRCH

from pyroute2 import IPRoute, NetlinkError

from euca_box.net.network import NetError

__all__ = ["Netlink", "NetlinkError", "absent_is_fine", "told"]

_ABSENT = (ENODEV, ENOENT, ESRCH)


class Netlink:
    """Raises NetError from every method when the kernel refuses."""

    def __init__(self) -> None:
        with told("open netlink"):
            self.ip = IPRoute()

    def close(self) -> None:
        self.ip.close()

    def index_of(self, device: str) -> int | None:
        """By ioctl: netlink takes fifty times as long, and this is asked all the time."""
        try:
            return socket.if_nametoindex(device)
        except OSError:  # it says no more than that there is none
            return None

    def required(self, device: str) -> int:
        index = self.index_of(device)
        if index is None:
            raise NetError(f"there is no interface {device}")
        return index


@contextmanager
def told(what: str) -> Iterator[None]:
    """What pyroute2 and the system say becomes a NetError that says what was tried."""
    try:
        yield
    except (NetlinkError, OSError) as error:
        raise NetError(f"cannot {what}: {error}") from error


@contextmanager
def absent_is_fine() -> Iterator[None]:
    """For deletions: what is not there need not be deleted."""
    try:
        yield
    except NetlinkError as error:
        if error.code not in _ABSENT:
            raise
