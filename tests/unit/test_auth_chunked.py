"""aws-chunked bodies: the published ones, whatever way they are cut, and broken ones."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from euca_box.auth.chunked import ChunkDecoder, ChunkSigner
from euca_box.auth.requests import AuthError, AuthKind
from euca_box.auth.sigv4 import derive_key

SIGNATURES = json.loads((Path(__file__).parents[1] / "vectors/signatures.json").read_text())
STREAMS = [v for v in SIGNATURES if v["kind"] == "sigv4-s3-streaming"]
SCOPE = "20130524/us-east-1/s3/aws4_request"
STAMP = "20130524T000000Z"


def signer_for(vector: dict[str, Any]) -> ChunkSigner:
    key = derive_key(vector["secret_key"], "20130524", "us-east-1", "s3")
    return ChunkSigner(key, STAMP, SCOPE, vector["seed_signature"])


def encoded(vector: dict[str, Any], ending: str = "\r\n") -> bytes:
    body = b""
    for chunk in vector["chunks"]:
        data = chunk["byte"].encode() * chunk["size"]
        body += f"{chunk['size']:x};chunk-signature={chunk['signature']}\r\n".encode() + data
        body += b"\r\n" if data else b""
    if vector["trailer"]:
        body += vector["trailer"].strip().encode() + ending.encode()
        body += f"x-amz-trailer-signature:{vector['trailer_signature']}\r\n".encode()
    return body + b"\r\n"


def decode(decoder: ChunkDecoder, *pieces: bytes) -> tuple[bytes, dict[str, str]]:
    out = b"".join(part for piece in pieces for part in decoder.feed(piece))
    return out, decoder.finish()


def decoder_of(vector: dict[str, Any], length: int = 66560) -> ChunkDecoder:
    names = ("x-amz-checksum-crc32c",) if vector["trailer"] else ()
    return ChunkDecoder(length, signer_for(vector), names)


@pytest.mark.parametrize("ending", ["\r\n", "\n\r\n"])
@pytest.mark.parametrize("cut", [1, 7, 65536, 10**6])
@pytest.mark.parametrize("vector", STREAMS, ids=lambda v: v["name"])
def test_the_published_streams_are_decoded_however_they_are_cut(
    vector: dict[str, Any], cut: int, ending: str
) -> None:
    body = encoded(vector, ending)
    pieces = [body[i : i + cut] for i in range(0, len(body), cut)]
    data, trailer = decode(decoder_of(vector), *pieces)
    assert data == b"a" * 66560
    assert trailer == ({"x-amz-checksum-crc32c": "sOO8/Q=="} if vector["trailer"] else {})


def test_every_flipped_bit_of_a_chunk_is_noticed() -> None:
    vector = STREAMS[1]
    body = encoded(vector)
    for at in [*range(0, 100, 7), 66_000, *range(len(body) - 250, len(body) - 4, 5)]:
        broken = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises(AuthError):
            decode(decoder_of(vector), broken)


def test_chunks_in_another_order_or_missing_are_refused() -> None:
    vector = STREAMS[0]
    first, second, last = (encoded({**vector, "chunks": [c]})[:-2] for c in vector["chunks"])
    for body in (second + first + last, first + last, second + last):
        with pytest.raises(AuthError) as error:
            decode(decoder_of(vector), body + b"\r\n")
        assert error.value.kind is AuthKind.BAD_SIGNATURE
    with pytest.raises(AuthError) as error:
        decode(decoder_of(vector), first + second)
    assert error.value.kind is AuthKind.INCOMPLETE_BODY


@pytest.mark.parametrize("length", [66559, 66561, 0])
def test_a_wrong_decoded_length_is_refused(length: int) -> None:
    with pytest.raises(AuthError) as error:
        decode(decoder_of(STREAMS[0], length), encoded(STREAMS[0]))
    assert error.value.kind is AuthKind.INCOMPLETE_BODY


def test_an_altered_or_absent_trailer_is_refused() -> None:
    vector = STREAMS[1]
    body = encoded(vector)
    for broken, kind in [
        (body.replace(b"sOO8", b"sOO9"), AuthKind.BAD_SIGNATURE),
        (body[: body.index(b"x-amz-checksum")] + b"\r\n", AuthKind.MALFORMED_TRAILER),
        (body[: body.index(b"x-amz-trailer")] + b"\r\n", AuthKind.BAD_SIGNATURE),
        (body.replace(b"x-amz-checksum-crc32c", b"x-amz-checksum-crc32"), AuthKind.MALFORMED_TRAILER),
    ]:
        with pytest.raises(AuthError) as error:
            decode(decoder_of(vector), broken)
        assert error.value.kind is kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", None),
        (b"5\r\nhello\r\n0\r\n\r\n", AuthKind.MALFORMED_TRAILER),
        (b"5\r\nhelloX\r\n0\r\n\r\n", AuthKind.MALFORMED_CHUNK),
        (b"5\r\nhell", AuthKind.INCOMPLETE_BODY),
        (b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n", AuthKind.MALFORMED_CHUNK),
        (b"-5\r\nhello\r\n0\r\n\r\n", AuthKind.MALFORMED_CHUNK),
        (b"fffffffffffffffff\r\n", AuthKind.MALFORMED_CHUNK),
        (b"ffffffffffffffff\r\n", AuthKind.INCOMPLETE_BODY),
        (b"5" + b"0" * 100_000, AuthKind.MALFORMED_CHUNK),
        (b"5\r\nhello\r\n0\r\n" + b"a:b\r\n" * 10_000, AuthKind.MALFORMED_TRAILER),
        (
            b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:1\r\nx-amz-checksum-crc32:2\r\n",
            AuthKind.MALFORMED_TRAILER,
        ),
    ],
)
def test_unsigned_chunks_with_a_trailer(body: bytes, kind: AuthKind | None) -> None:
    decoder = ChunkDecoder(5, None, ("x-amz-checksum-crc32",))
    if kind is None:
        assert decode(decoder, body) == (b"hello", {"x-amz-checksum-crc32": "NhCmhg=="})
        return
    with pytest.raises(AuthError) as error:
        decode(decoder, body)
    assert error.value.kind is kind


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=6), st.integers(1, 50))
def test_what_is_signed_chunk_by_chunk_is_decoded(chunks: list[bytes], cut: int) -> None:
    key = derive_key("s", "20260101", "r", "s3")
    signer = ChunkSigner(key, STAMP, SCOPE, "0" * 64)
    body = b""
    for data in [*chunks, b""]:
        signature = signer.next_chunk(hashlib.sha256(data).hexdigest())
        body += f"{len(data):X};chunk-signature={signature}\r\n".encode()
        body += data + b"\r\n"
    whole = b"".join(chunks)
    decoder = ChunkDecoder(len(whole), ChunkSigner(key, STAMP, SCOPE, "0" * 64))
    assert decode(decoder, *(body[i : i + cut] for i in range(0, len(body), cut))) == (whole, {})


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_only_typed_errors_escape(pieces: list[bytes]) -> None:
    decoder = ChunkDecoder(100, None, ("x-amz-checksum-crc32",))
    with pytest.raises(AuthError):
        decode(decoder, *pieces)
