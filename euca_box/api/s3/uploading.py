"""What a request says of the bytes it sends: their encoding, digests, headers to keep, conditions."""

from collections.abc import AsyncIterator

from euca_box.api.s3.request import S3Request
from euca_box.auth.chunked import ChunkDecoder, decoder_for
from euca_box.model.s3_errors import (
    BadDigest,
    EntityTooLarge,
    InvalidArgument,
    InvalidRequest,
    MissingContentLength,
    S3NotImplemented,
)
from euca_box.objects.digests import DIGEST_BYTES, Digests, Expectation, decoded_digest
from euca_box.objects.rows import LARGEST_PART_BYTES

_CHECKSUM = "x-amz-checksum-"
_NOT_VALUES = {"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"}
# Headers that change what a write means, and that are not understood: refused, never ignored.
_NOT_IMPLEMENTED = frozenset({"x-amz-write-offset-bytes"})


def refuse_unknown(request: S3Request) -> None:
    """Raises S3NotImplemented for a header that asks for what is not there."""
    for name in request.headers.keys() & _NOT_IMPLEMENTED:
        raise S3NotImplemented(Header=name)


def body_of(request: S3Request, *, needs_length: bool = True) -> tuple[AsyncIterator[bytes], int | None]:
    """The decoded bytes, and how many if it is said. Raises MissingContentLength, EntityTooLarge."""
    # Without its length in the clear it is only named: S3 drops the word and takes the bytes as they are.
    chunked = "aws-chunked" in request.headers.get("content-encoding", "")
    chunked = chunked and "x-amz-decoded-content-length" in request.headers
    length = request.body.content_length
    decoder: ChunkDecoder | None = None
    if request.verified is not None and request.verified.payload.startswith("STREAMING"):
        length = _decoded_length(request)
        decoder = decoder_for(request.verified, length, tuple(_trailer_names(request)))
    elif chunked:
        # Anonymous or signed in the URL: the chunks cannot be signed, a trailer may be there.
        length = _decoded_length(request)
        decoder = ChunkDecoder(length, None, tuple(_trailer_names(request)))
    if length is None:
        if needs_length and request.headers.get("transfer-encoding", "").lower() != "chunked":
            raise MissingContentLength()
        return request.body.pieces(decoder), None
    if length > LARGEST_PART_BYTES:
        raise EntityTooLarge(ProposedSize=str(length), MaxSizeAllowed=str(LARGEST_PART_BYTES))
    return request.body.pieces(decoder), length


def _decoded_length(request: S3Request) -> int:
    text = request.headers.get("x-amz-decoded-content-length")
    if text is None:
        raise MissingContentLength()
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidArgument("x-amz-decoded-content-length is not a number.")
    return int(text)


def _trailer_names(request: S3Request) -> list[str]:
    given = request.headers.get("x-amz-trailer", "")
    return [name.strip().lower() for name in given.split(",") if name.strip()]


def expectation_of(request: S3Request) -> Expectation:
    """What the headers say the bytes must be. Raises InvalidDigest, BadDigest, InvalidRequest."""
    md5 = request.headers.get("content-md5")
    digest = decoded_digest(md5, 16).hex() if md5 is not None else None
    sha256 = request.verified.payload_sha256 if request.verified else None
    in_header = [n for n in request.headers if n.startswith(_CHECKSUM) and n not in _NOT_VALUES]
    in_trailer = _trailer_names(request)
    if len(in_header) + len(in_trailer) > 1:
        raise InvalidRequest(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    announced = request.headers.get("x-amz-sdk-checksum-algorithm", "").upper()
    if not in_header and not in_trailer:
        if announced:
            raise InvalidRequest(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
                "x-amz-trailer headers were found."
            )
        return Expectation(digest, sha256)
    name = (in_header or in_trailer)[0]
    algorithm = name.removeprefix(_CHECKSUM).upper()
    if algorithm not in DIGEST_BYTES or not name.startswith(_CHECKSUM):
        raise InvalidRequest("The value specified in the x-amz-trailer header is not supported")
    if announced and announced != algorithm:
        raise InvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
    if in_trailer:
        return Expectation(digest, sha256, algorithm, lambda: request.body.trailer.get(name))
    value = request.headers[name]
    decoded = _valid_checksum(value, algorithm, name)
    return Expectation(digest, sha256, algorithm, lambda: decoded)


def _valid_checksum(value: str, algorithm: str, name: str) -> str:
    try:
        decoded_digest(value, DIGEST_BYTES[algorithm])
    except Exception:
        raise BadDigest(f"Value for {name} header is invalid.") from None
    return value


async def read_document(request: S3Request, limit_bytes: int) -> bytes:
    """A whole small body, its digests checked. Raises EntityTooLarge, BadDigest, ..."""
    pieces, length = body_of(request, needs_length=False)
    if length is not None and length > limit_bytes:
        raise EntityTooLarge("The document is too large.", MaxSizeAllowed=str(limit_bytes))
    digests, document = Digests(expectation_of(request)), bytearray()
    async for piece in pieces:
        document += piece
        if len(document) > limit_bytes:
            raise EntityTooLarge("The document is too large.", MaxSizeAllowed=str(limit_bytes))
    digests.update(bytes(document))
    digests.check()
    return bytes(document)
