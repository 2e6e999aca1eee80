"""Images in the caches of the zone's nodes."""

from typing import TYPE_CHECKING

import trio

from euca_box.messages import cc as messages
from euca_box.messages.base import Call
from euca_box.messages.nc import NcCacheImages
from euca_box.model.errors import EucaError

if TYPE_CHECKING:
    from euca_box.roles.cc.role import Cc


async def cache_images(cc: "Cc", call: Call, op: messages.CcCacheImages) -> messages.ImageCaches:
    """All nodes at once. One that does not answer has failed for every image."""
    answers: dict[str, messages.ImageCache] = {}

    async def ask(node: str) -> None:
        try:
            answers[node] = await cc.bus.ask(node, NcCacheImages(op.images, op.wait_seconds), call)
        except EucaError as error:
            failed = tuple((image.sha256, error.message) for image in op.images)
            answers[node] = messages.ImageCache(node, 0, failed=failed)

    async with trio.open_nursery() as nursery:
        for node in cc.nodes.values():
            if node.up:
                nursery.start_soon(ask, node.address)
    return messages.ImageCaches(tuple(answers[name] for name in sorted(answers)))
