"""Images that are fetched before an instance needs them, and what the cache has."""

from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import Call
from euca_box.messages.cc import CachedImage, ImageCache
from euca_box.messages.nc import NcCacheImages
from euca_box.model.images import ImageData
from euca_box.roles.nc import staging

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc


async def cache_images(nc: "Nc", call: Call, op: NcCacheImages) -> ImageCache:
    assert nc.tasks is not None
    wanted = {image.sha256: image for image in op.images}
    for sha256, image in wanted.items():
        if sha256 not in nc.prefetching and not nc.cache.has(image):
            nc.prefetching[sha256] = ""
            nc.tasks.start_soon(_prefetch, nc, image)
    with trio.move_on_after(op.wait_seconds):
        while any(nc.prefetching.get(sha256) == "" for sha256 in wanted):
            await nc.news.wait()
    failed = {s: nc.prefetching.pop(s) for s in wanted if nc.prefetching.get(s)}
    return ImageCache(
        node=nc.address,
        limit_bytes=nc.cache.limit_bytes,
        images=tuple(CachedImage(f.sha256, f.size_bytes, f.used_at, f.in_use) for f in nc.cache.files()),
        missing=tuple(s for s in wanted if s in nc.prefetching),
        failed=tuple(failed.items()),
    )


async def _prefetch(nc: "Nc", image: ImageData) -> None:
    """Nobody waits for this task; why it failed is kept for the next who asks."""
    try:
        await nc.cache.get(image)
        del nc.prefetching[image.sha256]
    except Exception as error:
        nc.prefetching[image.sha256] = staging.reason_of(error).message.partition(": ")[2]
    nc.changed()
