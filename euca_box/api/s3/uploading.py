"""What a request says of the bytes it sends: their encoding, digests, headers to keep, conditions."""

from collections.abc import AsyncIterator

from euca_box.api.s3.grants import acl_of_headers
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.auth.chunked import ChunkDecoder, decoder_for
from euca_box.model.s3_errors import (
    EntityTooLarge,
    InvalidArgument,
    InvalidRequest,
    MetadataTooLarge,
    MissingContentLength,
    S3NotImplemented,
)
from euca_box.objects.digests import DIGEST_BYTES, Digests, Expectation, decoded_digest
from euca_box.objects.rows import LARGEST_PART_BYTES
from euca_box.objects.versions import Wish

LARGEST_METADATA_BYTES = 2048
KEPT_HEADERS = ("cache-control", "content-disposition", "content-language", "expires")
_CHECKSUM = "x-amz-checksum-"
_NOT_VALUES = {"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"}
# Headers that change what a write means, and that are not understood: refused, never ignored.
_NOT_IMPLEMENTED = (
    "x-amz-server-side-encryption",
    "x-amz-copy-source-server-side-encryption",
    "x-amz-object-lock",
    "x-amz-bucket-object-lock",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
)


def refuse_unknown(request: S3Request) -> None:
    """Raises S3NotImplemented for a header that asks for what is not there."""
    for name in request.headers:
        if name.startswith(_NOT_IMPLEMENTED):
            raise S3NotImplemented(Header=name)
    if request.headers.get("x-amz-storage-class", "STANDARD") != "STANDARD":
        raise S3NotImplemented(Header="x-amz-storage-class")


def body_of(request: S3Request, *, needs_length: bool = True) -> tuple[AsyncIterator[bytes], int]:
    """The decoded bytes and how many there will be. Raises MissingContentLength, EntityTooLarge."""
    chunked = "aws-chunked" in request.headers.get("content-encoding", "")
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
        if needs_length:
            raise MissingContentLength()
        length = 0
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
    """What the headers say the bytes must be. Raises InvalidDigest, InvalidRequest."""
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
        raise InvalidRequest(f"Value for {name} header is invalid.") from None
    return value


def kept_headers(request: S3Request) -> dict[str, str]:
    """Headers that a GET will answer again. Raises MetadataTooLarge."""
    kept = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
    kept["content-type"] = request.headers.get("content-type") or "binary/octet-stream"
    codings = [c.strip() for c in request.headers.get("content-encoding", "").split(",")]
    codings = [coding for coding in codings if coding and coding != "aws-chunked"]
    if codings:
        kept["content-encoding"] = ",".join(codings)
    metadata = {n: v for n, v in request.headers.items() if n.startswith("x-amz-meta-")}
    size = sum(len(n) - len("x-amz-meta-") + len(v) for n, v in metadata.items())
    if size > LARGEST_METADATA_BYTES:
        raise MetadataTooLarge(Size=str(size), MaxSizeAllowed=str(LARGEST_METADATA_BYTES))
    return kept | metadata


def wish_of(front: Front, request: S3Request, expect: Expectation | None = None) -> Wish:
    """Everything but the bytes. Raises S3NotImplemented, InvalidArgument, MetadataTooLarge."""
    refuse_unknown(request)
    none_match = request.headers.get("if-none-match")
    if none_match not in (None, "*"):
        raise S3NotImplemented(Header="If-None-Match")
    match = request.headers.get("if-match")
    return Wish(
        headers=kept_headers(request),
        acl=acl_of_headers(request, front.keyring),
        expect=expect or Expectation(),
        only_if_absent=none_match is not None,
        only_if_etag=match.strip('"') if match is not None else None,
    )


async def read_document(request: S3Request, limit_bytes: int) -> bytes:
    """A whole small body, its digests checked. Raises EntityTooLarge, BadDigest, ..."""
    pieces, length = body_of(request, needs_length=False)
    if length > limit_bytes:
        raise EntityTooLarge("The document is too large.", MaxSizeAllowed=str(limit_bytes))
    digests, document = Digests(expectation_of(request)), bytearray()
    async for piece in pieces:
        document += piece
        if len(document) > limit_bytes:
            raise EntityTooLarge("The document is too large.", MaxSizeAllowed=str(limit_bytes))
    digests.update(bytes(document))
    digests.check()
    return bytes(document)
