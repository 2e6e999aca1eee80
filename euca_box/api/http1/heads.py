"""The head of a request, read strictly: what two readers could understand in two ways is refused.

httptools (llhttp) judges the grammar; what the fields mean together is judged here (RFC 9112).
"""

from dataclasses import dataclass

import httptools

MOST_HEADERS = 1000
LONGEST_NUMBER = 18  # digits of a Content-Length

Headers = list[tuple[bytes, bytes]]

_MAY_JOIN = (b"connection", b"expect", b"upgrade")
_JUDGED = frozenset((*_MAY_JOIN, b"host", b"content-length", b"transfer-encoding"))


class Refused(Exception):
    """The request cannot be understood; the connection ends with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class Head:
    """Names of `headers` are in lower case. `length` in bytes; None: the body is chunked."""

    method: str
    target: bytes
    version: str
    headers: Headers
    length: int | None
    keeps_alive: bool
    expects_continue: bool
    is_websocket: bool


class HeadParser:
    """For one connection; reads one whole head at a time."""

    def __init__(self) -> None:
        self._parser: httptools.HttpRequestParser | None = None
        self._target = b""
        self._headers: Headers = []
        self._heads = 0

    def parse(self, data: bytes) -> Head:
        """`data` ends with the empty line. Raises Refused."""
        parser = self._parser or httptools.HttpRequestParser(self)
        self._parser = None
        self._target, self._headers, self._heads = b"", [], 0
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # an offer that may be ignored: RFC 9110 7.8
        except httptools.HttpParserInvalidMethodError:
            raise Refused(501) from None
        except httptools.HttpParserError:
            raise Refused(400) from None
        if self._heads != 1:
            raise Refused(400)
        head = self._judged(parser, data)
        if head.length == 0:
            self._parser = parser  # it expects another head, and no body
        return head

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self._heads += 1

    def _judged(self, parser: httptools.HttpRequestParser, data: bytes) -> Head:
        method, version = parser.get_method(), parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refused(400 if version == "0.9" else 505)
        # llhttp also takes several spaces, RTSP and ICE.
        if not data.startswith(b"%b %b HTTP/%b\r\n" % (method, self._target, version.encode())):
            raise Refused(400)
        if len(self._headers) > MOST_HEADERS:
            raise Refused(431)
        if not self._target.isascii():
            raise Refused(400)
        if method == b"CONNECT":
            raise Refused(501)
        found = _single(self._headers)
        if version == "1.1" and b"host" not in found:
            raise Refused(400)
        options = _tokens(found.get(b"connection", b""))
        # Other expectations may be ignored (RFC 9110 10.1.1), as S3 does.
        expects_continue = found.get(b"expect", b"").lower() == b"100-continue"
        return Head(
            method=method.decode(),
            target=self._target,
            version=version,
            headers=self._headers,
            length=_length(found, version),
            keeps_alive=b"close" not in options if version == "1.1" else b"keep-alive" in options,
            expects_continue=expects_continue and version == "1.1",
            is_websocket=(
                b"upgrade" in options and method == b"GET" and b"websocket" in _tokens(found[b"upgrade"])
                if b"upgrade" in found
                else False
            ),
        )


def _single(headers: Headers) -> dict[bytes, bytes]:
    """The fields that decide about the connection; one that comes twice is refused (RFC 9112 3.2, 6.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _JUDGED:
            if name in found:
                if name not in _MAY_JOIN:
                    raise Refused(400)
                value = found[name] + b"," + value
            found[name] = value
    return found


def _length(found: dict[bytes, bytes], version: str) -> int | None:
    coding, length = found.get(b"transfer-encoding"), found.get(b"content-length")
    if coding is not None:
        if length is not None or version == "1.0":
            raise Refused(400)
        if coding.lower() != b"chunked":
            raise Refused(501)
        return None
    if length is None:
        return 0
    if not length.isdigit():
        raise Refused(400)
    if len(length) > LONGEST_NUMBER:
        raise Refused(413)
    return int(length)


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip() for token in value.lower().split(b",")] if value else []
