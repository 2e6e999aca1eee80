"""The source of a copy: named in a header, read with the caller's rights."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote

from euca_box.api.s3.downloading import check_conditions
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.model.s3_errors import InvalidArgument, NoSuchVersion, S3NotImplemented
from euca_box.objects.cache import Found


def source_name(request: S3Request) -> tuple[str, str]:
    """Bucket and key of x-amz-copy-source, which is percent-encoded. Raises InvalidArgument."""
    path, _, version = request.headers["x-amz-copy-source"].partition("?versionId=")
    if version not in ("", "null"):
        raise NoSuchVersion()
    try:
        bucket, _, key = unquote(path, errors="strict").removeprefix("/").partition("/")
    except UnicodeDecodeError:
        bucket = key = ""
    if not bucket or not key:
        raise InvalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ArgumentName="x-amz-copy-source",
            ArgumentValue=request.headers["x-amz-copy-source"],
        )
    return bucket, key


@asynccontextmanager
async def opened_source(front: Front, request: S3Request) -> AsyncIterator[Found]:
    """The source, its conditions met; readable until the block ends."""
    if request.headers.get("x-amz-tagging-directive", "COPY") != "COPY":
        raise S3NotImplemented(Header="x-amz-tagging-directive")
    bucket, key = source_name(request)
    async with front.objects.opened(request.principal, bucket, key) as found:
        check_conditions(request.headers, found.stored, "x-amz-copy-source-")
        yield found
