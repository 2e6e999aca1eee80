"""Images in the nodes' caches: what is there, and what the operator wants there before a launch."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from euca_box.messages import admin
from euca_box.messages.base import Call
from euca_box.messages.cc import CcCacheImages, ImageCache
from euca_box.model import ids
from euca_box.model.ec2_errors import InvalidAMIIDNotFound
from euca_box.model.images import Image
from euca_box.roles.clc import tickets
from euca_box.roles.clc.known_hosts import zone_names

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

LONGEST_WAIT_SECONDS = 20.0


async def cache_images(clc: "Clc", call: Call, op: admin.CacheImages) -> admin.CachedImages:
    """Raises InvalidAMIID.NotFound, InvalidAMIID.Malformed."""
    wanted = _with_boot_files(clc, [_image(clc, image_id) for image_id in op.image_ids])
    wait_seconds = max(0.0, min(op.wait_seconds, LONGEST_WAIT_SECONDS))
    data = tuple(tickets.for_image(clc, image.data) for image in wanted)
    caches: list[ImageCache] = []
    for zone in zone_names(clc):
        found = await clc.bus.ask(clc.cc_of(zone), CcCacheImages(data, wait_seconds), call)
        caches += found.caches
    known = {image.data.sha256: image.image_id for image in clc.images.all()}
    rows = [row for cache in caches for row in _rows(cache, known)]
    asked = {image.image_id for image in wanted}
    return admin.CachedImages(tuple(row for row in rows if not asked or row.image_id in asked))


def _image(clc: "Clc", image_id: str) -> Image:
    image = clc.images.find(ids.checked_image(image_id))
    if image is None:
        raise InvalidAMIIDNotFound(image_id)
    return image


def _with_boot_files(clc: "Clc", images: list[Image]) -> list[Image]:
    """The images, and the kernels and ramdisks that they were registered with."""
    found = {image.image_id: image for image in images}
    for image in images:
        for other in (image.kernel_id, image.ramdisk_id):
            if other and (boot := clc.images.find(other)) is not None:
                found[other] = boot
    return list(found.values())


def _rows(cache: ImageCache, known: dict[str, str]) -> Iterable[admin.CachedImageRow]:
    for file in cache.images:
        name = known.get(file.sha256, file.sha256)
        state = "in use" if file.in_use else "cached"
        yield admin.CachedImageRow(cache.node, name, state, file.size_bytes, file.used_at)
    for sha256 in cache.missing:
        yield admin.CachedImageRow(cache.node, known.get(sha256, sha256), "fetching")
    for sha256, why in cache.failed:
        yield admin.CachedImageRow(cache.node, known.get(sha256, sha256), f"failed: {why}")
