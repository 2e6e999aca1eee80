"""The source of a copy: named in a header, read with the caller's rights."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote

from euca_box.api.s3.downloading import check_conditions
from euca_box.api.s3.encryption import customer_key_of
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.model.s3_errors import InvalidArgument, InvalidRequest, NoSuchBucket
from euca_box.objects.cache import Found
from euca_box.objects.digests import DIGEST_BYTES, Expectation
from euca_box.objects.encryption import CustomerKey
from euca_box.objects.rows import is_hidden


def source_name(request: S3Request) -> tuple[str, str, str | None]:
    """Bucket, key and version of x-amz-copy-source, which is percent-encoded.

    Raises InvalidArgument, NoSuchBucket.
    """
    path, mark, version = request.headers["x-amz-copy-source"].partition("?versionId=")
    try:
        bucket, _, key = unquote(path, errors="strict").removeprefix("/").partition("/")
    except UnicodeDecodeError:
        bucket = key = ""
    if not bucket or not key or (mark and not version):
        raise InvalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ArgumentName="x-amz-copy-source",
            ArgumentValue=request.headers["x-amz-copy-source"],
        )
    if is_hidden(bucket):
        raise NoSuchBucket(BucketName=bucket)
    return bucket, key, version if mark else None


def source_key(request: S3Request) -> CustomerKey | None:
    """The customer's key that opens the source."""
    return customer_key_of(request, of_source=True)


def checksum_wish(request: S3Request) -> Expectation:
    """The checksum that the copy shall have; that of the source when none is named. Raises InvalidRequest."""
    algorithm = request.headers.get("x-amz-checksum-algorithm", "").upper()
    if algorithm and algorithm not in DIGEST_BYTES:
        raise InvalidRequest("Checksum algorithm provided is unsupported.")
    return Expectation(algorithm=algorithm)


@asynccontextmanager
async def opened_source(front: Front, request: S3Request) -> AsyncIterator[Found]:
    """The source, its conditions met; readable until the block ends."""
    async with front.objects.opened(request.principal, *source_name(request)) as found:
        check_conditions(request.headers, found.stored, "x-amz-copy-source-")
        yield found
