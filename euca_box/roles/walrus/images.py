"""Images: what the bytes are, before anything that could be fooled by them opens them."""

from typing import TYPE_CHECKING

import trio

from euca_box.images.inspect import ImageFacts, ImageRefused, inspect
from euca_box.messages import walrus as messages
from euca_box.messages.base import Call
from euca_box.model.ec2_errors import InvalidManifest
from euca_box.model.images import ImageData, ImageType
from euca_box.model.s3_errors import AccessDenied, InvalidRequest, NoSuchBucket, NoSuchKey
from euca_box.objects.rows import ObjectFacts
from euca_box.roles.walrus.lending import ca_file_for, lent_url

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus

HEAD_BYTES = 4 * 1024 * 1024  # all that a header may need: magic numbers, qcow2's tables are elsewhere

TYPES = {
    "kernel": ImageType.KERNEL,
    "ramdisk": ImageType.RAMDISK,
    "disk": ImageType.MACHINE,
    "filesystem": ImageType.MACHINE,
}


async def check_image(walrus: "Walrus", call: Call, op: messages.CheckImage) -> messages.CheckedImage:
    """Raises InvalidManifest with the reason, in words for the user."""
    where = f"{op.bucket}/{op.key}"
    try:
        facts = await walrus.vault.stat(call.principal, op.bucket, op.key)
        return await examined(walrus, op.bucket, op.key, facts)
    except (NoSuchBucket, NoSuchKey, AccessDenied):
        # Another account's object does not exist.
        raise InvalidManifest(f"There is no object {where[:200]} that you may read.") from None
    except InvalidRequest:
        raise InvalidManifest(f"{where[:200]} is encrypted with a key that only you have.") from None
    except ImageRefused as refused:
        raise InvalidManifest(f"{where[:200]} is not accepted as an image: {refused}") from None


async def examined(walrus: "Walrus", bucket: str, key: str, facts: ObjectFacts) -> messages.CheckedImage:
    """What the object is, and its digest. Raises ImageRefused; NoSuchKey when it was replaced meanwhile."""
    found = await _inspected(walrus, bucket, key, facts)
    if found.content not in TYPES:
        raise ImageRefused("no kernel, no ramdisk, no file system and no disk with a boot record")
    data = ImageData(
        bucket=bucket,
        key=key,
        etag=facts.etag,
        sha256=facts.sha256 or await walrus.vault.sha256(bucket, key, facts),
        size_bytes=facts.size_bytes,
        format=found.format,
        virtual_size_bytes=found.virtual_size_bytes,
        bootable=found.content == "disk",
    )
    return messages.CheckedImage(TYPES[found.content], data, found.architecture)


async def get_image_url(walrus: "Walrus", call: Call, op: messages.GetImageUrl) -> messages.ImageUrl:
    """Signed with Walrus's own key; it gives this one object, and only as a whole."""
    return lend(walrus, call, op.bucket, op.key, op.etag)


def lend(walrus: "Walrus", call: Call, bucket: str, key: str, etag: str) -> messages.ImageUrl:
    return messages.ImageUrl(lent_url(walrus, call, "GET", bucket, key), etag, ca_file_for(walrus, call))


async def _inspected(walrus: "Walrus", bucket: str, key: str, facts: ObjectFacts) -> ImageFacts:
    """Inspect from a copy of the first bytes; the rest is fetched when the inspector wants it."""
    head = await walrus.vault.read_at(bucket, key, facts.generation, 0, HEAD_BYTES)

    def read_at(offset: int, length: int) -> bytes:
        if offset + length <= len(head) or facts.size_bytes <= len(head):
            return head[offset : offset + length]
        return trio.from_thread.run(walrus.vault.read_at, bucket, key, facts.generation, offset, length)

    return await trio.to_thread.run_sync(
        lambda: inspect(read_at, facts.size_bytes, max_virtual_bytes=walrus.settings.max_image_bytes)
    )
