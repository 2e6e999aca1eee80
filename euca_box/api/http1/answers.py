"""What goes out: the head of an answer, its framing, and the answers that no application gave."""

import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

from euca_box.api.http1.heads import Head

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
WITHOUT_BODY = (204, 304)
_FRAMING = (b"connection", b"content-length", b"transfer-encoding")

_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class DateLine:
    """The Date header, written once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def __call__(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second, self._line = second, b"date: %b\r\n" % formatdate(second, usegmt=True).encode()
        return self._line


date_line = DateLine()


class Framing:
    """How the body of one answer is delimited, found from its headers when it begins."""

    __slots__ = ("closes", "has_body", "head", "is_chunked", "left")

    def __init__(
        self,
        request: Head,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        whole: int | None,
        closes: bool,
    ) -> None:
        """`whole`: bytes of the body, if all of it is here. Raises ValueError for broken headers."""
        lines = [_STATUS.get(status) or b"HTTP/1.1 %d \r\n" % status, date_line()]
        self.is_chunked = False
        self.has_body = status not in WITHOUT_BODY and request.method != "HEAD"
        length = None
        for name, value in headers:
            if (lower := name.lower()) in _FRAMING:
                if lower == b"connection":
                    closes = closes or value.lower() == b"close"
                    continue
                if lower == b"transfer-encoding" or status == 204:  # ours to choose; RFC 9110 8.6
                    continue
                length = int(value)
            lines.append(name + b": " + value + b"\r\n")
        if self.has_body and length is None:
            if whole is not None:
                length = whole
                lines.append(b"content-length: %d\r\n" % whole)
            elif request.version == "1.1":
                self.is_chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                closes = True
        if closes:
            lines.append(b"connection: close\r\n")
        elif request.version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        lines.append(b"\r\n")
        self.head = b"".join(lines)
        if self.head.count(b"\n") != len(lines) or self.head.count(b"\r") != len(lines) or b"\0" in self.head:
            raise ValueError("a header of the answer holds a line break or NUL")
        self.closes = closes
        self.left = length  # bytes that must still come; None: not said

    def framed(self, body: bytes, more: bool) -> list[bytes]:
        """What is sent for a piece. Raises RuntimeError when it is not what the head said."""
        if not self.has_body:
            return []
        if self.is_chunked:
            pieces = [b"%x\r\n" % len(body), body, b"\r\n"] if body else []
            return pieces if more else [*pieces, LAST_CHUNK]
        if self.left is not None:
            self.left -= len(body)
            if self.left < 0 or (self.left and not more):
                raise RuntimeError("the body of the answer is not as long as its Content-Length")
        return [body] if body else []


def bare_answer(status: int) -> bytes:
    """For a request that no application saw or answered; the connection ends with it."""
    return b"%b%bcontent-length: 0\r\nconnection: close\r\n\r\n" % (_STATUS[status], date_line())
