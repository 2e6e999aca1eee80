"""Who else changed our nftables tables: the kernel tells of every transaction, with the tables it touched.

Nothing is listed and nothing compared, so it costs the same with one rule and with ten thousand.

Source: linux/include/uapi/linux/netfilter/nf_tables.h. A transaction is its messages and then one
NFT_MSG_NEWGEN with the new generation. In all that name a table, the name is attribute 1.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOBUFS

from euca_box.net.network import NetError

_NETFILTER = 12  # NETLINK_NETFILTER
_ADD_MEMBERSHIP, _SOL_NETLINK, _GROUP_NFTABLES = 1, 270, 7
_RCVBUFFORCE = 33
_BUFFER_BYTES = 4 << 20
_NFTABLES = 10  # NFNL_SUBSYS_NFTABLES
_NEWGEN, _GETGEN = 15, 16
_HEADER, _BODY = 16, 4  # nlmsghdr, nfgenmsg
_SECONDS = 5


class TableWatch:
    """Belongs to the network namespace of the thread that made it. Raises NetError."""

    def __init__(self, table: str) -> None:
        self._table = table.encode() + b"\0"
        self._touched = self._others = False
        self._news = _open()
        self._asking = _open()
        self._news.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)
        self._news.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BUFFER_BYTES)
        self._news.setblocking(False)

    @contextmanager
    def own_change(self) -> Iterator[None]:
        """What is run inside is ours. Another's transaction at the same moment counts as a touch."""
        self._read_news()
        before = self._generation()
        yield
        alone = self._generation() - before in (0, 1)
        touched, others = self._touched, self._others
        self._read_news()
        if alone:
            self._touched, self._others = touched, others

    def was_touched(self) -> bool:
        """Whether another program has changed one of our tables since this was last asked, or may have."""
        self._read_news()
        touched, self._touched = self._touched, False
        return touched

    def have_others_changed(self) -> bool:
        """Whether another program has changed anything in nftables since this was last asked, or may have."""
        self._read_news()
        others, self._others = self._others, False
        return others

    def close(self) -> None:
        self._news.close()
        self._asking.close()

    def _read_news(self) -> None:
        while True:
            try:
                data = self._news.recv(1 << 17)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise NetError(f"nftables tells no news: {error}") from error
                self._touched = self._others = True  # something was lost
                continue
            self._others = True
            self._touched |= any(name == self._table for name in _tables_in(data))

    def _generation(self) -> int:
        request = struct.pack("=IHHIIBBH", 20, _NFTABLES << 8 | _GETGEN, 1, 1, 0, 0, 0, 0)
        try:
            self._asking.send(request)
            answer = self._asking.recv(4096)
        except OSError as error:
            raise NetError(f"nftables does not tell its generation: {error}") from error
        if struct.unpack_from("=H", answer, 4)[0] != _NFTABLES << 8 | _NEWGEN:
            raise NetError("nftables does not tell its generation")
        return int.from_bytes(answer[_HEADER + _BODY + 4 : _HEADER + _BODY + 8])


def _open() -> socket.socket:
    try:
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
        netlink.bind((0, 0))
        netlink.settimeout(_SECONDS)
    except OSError as error:
        raise NetError(f"cannot open netlink: {error}") from error
    return netlink


def _tables_in(data: bytes) -> Iterator[bytes]:
    """The first attribute of each message, which is the name of a table in all but NEWGEN."""
    at = 0
    while at + _HEADER + _BODY + 4 <= len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        attribute_size, attribute = struct.unpack_from("=HH", data, at + _HEADER + _BODY)
        if kind >> 8 == _NFTABLES and kind & 0xFF != _NEWGEN and attribute & 0x3FFF == 1:
            start = at + _HEADER + _BODY + 4
            yield data[start : start + attribute_size - 4]
        if size < _HEADER:
            return
        at += (size + 3) & ~3
