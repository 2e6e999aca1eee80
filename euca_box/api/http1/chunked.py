"""The chunked transfer coding (RFC 9112 7.1), decoded strictly and in bounded memory."""

import re

from euca_box.api.http1.heads import Refused

LONGEST_LINE = 256  # of a chunk's size and extensions
LARGEST_TRAILER_BYTES = 16 * 1024

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t -~\x80-\xff]*)?")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")


class ChunkedBody:
    """Feed it what arrives; `rest` is what follows the body, once that has ended."""

    def __init__(self) -> None:
        self.rest: bytes | None = None
        self._kept = b""  # the begin of a line
        self._left = 0  # bytes of this chunk that are still to come
        self._after_data = False
        self._trailer_bytes = -1  # -1: not there yet

    def feed(self, data: bytes) -> bytes:
        """The decoded bytes in `data`. Extensions and trailer fields are dropped. Raises Refused."""
        if self._kept:
            data, self._kept = self._kept + data, b""
        pieces, at, end = [], 0, len(data)
        while at < end or not self._left:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._after_data = not self._left
                continue
            line = self._line(data, at)
            if line is None:
                self._kept = data[at:]
                break
            at += len(line) + 2
            if self._ends_with(line):
                self.rest = data[at:]
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _line(self, data: bytes, at: int) -> bytes | None:
        longest = 0 if self._after_data else LONGEST_LINE
        if self._trailer_bytes >= 0:
            longest = LARGEST_TRAILER_BYTES - self._trailer_bytes
        end = data.find(b"\r\n", at, at + longest + 2)
        if end >= 0:
            return data[at:end]
        if len(data) - at >= longest + 2:
            raise Refused(400)
        return None

    def _ends_with(self, line: bytes) -> bool:
        if self._after_data:
            self._after_data = False
        elif self._trailer_bytes >= 0:
            self._trailer_bytes += len(line) + 2
            if not line:
                return True
            if not _FIELD.fullmatch(line):
                raise Refused(400)
        else:
            match = _SIZE.fullmatch(line)
            if match is None:
                raise Refused(400)
            self._left = int(match[1], 16)
            if not self._left:
                self._trailer_bytes = 0
        return False
