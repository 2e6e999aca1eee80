"""Decode aws-chunked bodies while they arrive, and believe each chunk only by its signature.

Source: S3 API reference, "Signature calculations: transferring payload in multiple chunks" and the
same "... with trailing headers". Bytes are given out before their chunk's signature is known, so the
caller must not keep them until `finish` has returned.
"""

import re
from collections.abc import Mapping
from hashlib import sha256

from euca_box.auth.requests import AuthError, AuthKind, hmac_sha256, is_same
from euca_box.auth.sigv4 import EMPTY_SHA256, PayloadKind, Verified

LONGEST_LINE = 1024  # "size;chunk-signature=" and 64 digits are about 100
LONGEST_TRAILER = 8192

_LINE = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_TRAILER = re.compile(rb"([A-Za-z0-9-]{1,128}):[ \t]*([^\r\n]{0,1024})")


class ChunkSigner:
    """The chain of chunk signatures: each signs the one before it."""

    def __init__(self, key: bytes, stamp: str, scope: str, seed_signature: str) -> None:
        self._key, self._head, self._last = key, f"{stamp}\n{scope}\n", seed_signature

    def next_chunk(self, data_sha256: str) -> str:
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{self._head}{self._last}\n{EMPTY_SHA256}\n{data_sha256}"
        self._last = hmac_sha256(self._key, text.encode()).hex()
        return self._last

    def trailer(self, trailer_sha256: str) -> str:
        text = f"AWS4-HMAC-SHA256-TRAILER\n{self._head}{self._last}\n{trailer_sha256}"
        return hmac_sha256(self._key, text.encode()).hex()


def signer_of(verified: Verified) -> ChunkSigner:
    return ChunkSigner(verified.signing_key, verified.stamp, verified.scope, verified.seed_signature)


class ChunkDecoder:
    """`feed` encoded bytes, take decoded ones; `finish` when the body has ended.

    `decoded_length` is x-amz-decoded-content-length; `signer` is None for unsigned chunks;
    `trailer_names` are those of x-amz-trailer, in lower case.
    """

    def __init__(
        self, decoded_length: int, signer: ChunkSigner | None, trailer_names: tuple[str, ...] = ()
    ) -> None:
        self._left = decoded_length
        self._signer = signer
        self._trailer_names = trailer_names
        self._buffer = bytearray()
        self._in_chunk = 0  # bytes of the current chunk still to come
        self._after_data = False  # the line end behind the data of a chunk is next
        self._expected = ""  # signature that the current chunk must have
        self._hash = sha256()
        self._ended = False

    def feed(self, data: bytes) -> list[bytes]:
        """The decoded bytes that came to light. Raises AuthError."""
        self._buffer += data
        out: list[bytes] = []
        while self._step(out):
            pass
        return out

    def finish(self) -> dict[str, str]:
        """The trailer's headers, lower-case names. Raises AuthError when the body is not whole."""
        if not self._ended or self._left:
            raise AuthError(
                AuthKind.INCOMPLETE_BODY,
                "You did not provide the number of bytes specified by the Content-Length HTTP header",
            )
        trailer = _parse_trailer(bytes(self._buffer))
        if self._trailer_names:
            self._check_trailer(trailer)
        elif trailer:
            raise AuthError(AuthKind.MALFORMED_TRAILER, "The request has a trailer that it did not announce.")
        trailer.pop("x-amz-trailer-signature", None)
        return trailer

    def _check_trailer(self, trailer: Mapping[str, str]) -> None:
        given = {name for name in trailer if name != "x-amz-trailer-signature"}
        if given != set(self._trailer_names):
            raise AuthError(AuthKind.MALFORMED_TRAILER, "The trailer is not the one that was announced.")
        if self._signer is None:
            return
        text = "".join(f"{name}:{trailer[name]}\n" for name in trailer if name in given)
        expected = self._signer.trailer(sha256(text.encode("latin-1")).hexdigest())
        if not is_same(expected, trailer.get("x-amz-trailer-signature", "")):
            raise _bad_chunk_signature()

    def _step(self, out: list[bytes]) -> bool:
        """One state forward; False when more bytes are needed."""
        if self._ended:
            if len(self._buffer) > LONGEST_TRAILER:
                raise AuthError(AuthKind.MALFORMED_TRAILER, "The trailer is too long.")
            return False
        if self._in_chunk:
            return self._take_data(out)
        if self._after_data:
            return self._take_line_end()
        return self._take_chunk_line()

    def _take_data(self, out: list[bytes]) -> bool:
        if not self._buffer:
            return False
        piece = bytes(self._buffer[: self._in_chunk])
        del self._buffer[: len(piece)]
        if self._signer is not None:
            self._hash.update(piece)
        self._in_chunk -= len(piece)
        out.append(piece)
        self._after_data = self._in_chunk == 0
        return True

    def _take_line_end(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise _malformed()
        del self._buffer[:2]
        self._after_data = False
        self._check_chunk()
        return True

    def _take_chunk_line(self) -> bool:
        end = self._buffer.find(b"\r\n", 0, LONGEST_LINE)
        if end < 0:
            if len(self._buffer) >= LONGEST_LINE:
                raise _malformed()
            return False
        match = _LINE.fullmatch(bytes(self._buffer[:end]))
        del self._buffer[: end + 2]
        if match is None or (match[2] is None) != (self._signer is None):
            raise _malformed()
        self._in_chunk = int(match[1], 16)
        self._expected = (match[2] or b"").decode()
        self._left -= self._in_chunk
        if self._left < 0:
            raise AuthError(AuthKind.INCOMPLETE_BODY, "The body is longer than x-amz-decoded-content-length.")
        if not self._in_chunk:
            self._check_chunk()
            self._ended = True
        return True

    def _check_chunk(self) -> None:
        if self._signer is None:
            return
        expected = self._signer.next_chunk(self._hash.hexdigest())
        self._hash = sha256()
        if not is_same(expected, self._expected):
            raise _bad_chunk_signature()


def decoder_for(
    verified: Verified, decoded_length: int, trailer_names: tuple[str, ...]
) -> ChunkDecoder | None:
    """The decoder that this signature's body needs; None when the body is sent as it is."""
    if verified.payload in (PayloadKind.SIGNED, PayloadKind.UNSIGNED):
        return None
    unsigned = verified.payload is PayloadKind.STREAMING_UNSIGNED_TRAILER
    return ChunkDecoder(decoded_length, None if unsigned else signer_of(verified), trailer_names)


def _parse_trailer(text: bytes) -> dict[str, str]:
    # The reference shows "\n\r\n" between trailer and signature, SDKs send "\r\n": both are taken.
    found: dict[str, str] = {}
    for line in text.replace(b"\r\n", b"\n").split(b"\n"):
        if not line:
            continue
        match = _TRAILER.fullmatch(line)
        name = match[1].decode().lower() if match else ""
        if match is None or name in found:
            raise AuthError(
                AuthKind.MALFORMED_TRAILER, "The request contained trailing data that was not well-formed."
            )
        found[name] = match[2].decode("latin-1").strip()
    return found


def _malformed() -> AuthError:
    return AuthError(AuthKind.MALFORMED_CHUNK, "The aws-chunked encoding of the body is not well-formed.")


def _bad_chunk_signature() -> AuthError:
    return AuthError(
        AuthKind.BAD_SIGNATURE,
        "The chunk signature we calculated does not match the signature you provided.",
    )
