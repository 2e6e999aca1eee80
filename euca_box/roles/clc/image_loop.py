"""Images on their way: each pending one has a task until it is available, or failed with a reason.

And what Walrus keeps for images that are gone is given back, when no instance may need it any more.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import system_call
from euca_box.messages.cc import CcCreateImage
from euca_box.messages.walrus import (
    CacheImage,
    Caching,
    CheckedImage,
    CopyStoredImage,
    FindStoredImage,
    FlushCachedImage,
    ListStoredImages,
)
from euca_box.model.errors import ClientFault, EucaError, InternalError
from euca_box.model.images import IMAGE, NO_DATA, Image, ImageEvent, ImageState
from euca_box.model.instances import InstanceState
from euca_box.roles.clc import image_snapshots, tickets

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
RETRY_SECONDS = 2.0
WAIT_SECONDS = 2.0  # how long a question for progress is held open; as old as what users see can be
FLUSH_SECONDS = 60.0
SNAPSHOT_SECONDS = 0.5
REGISTERING_SECONDS = 600.0  # Walrus may know an image that long before its row is here


async def make_images(clc: "Clc") -> None:
    """Every pending image has a task that works on it."""
    async with trio.open_nursery() as tasks:
        while True:
            for image in clc.images.all():
                if image.state is ImageState.PENDING and image.image_id not in clc.busy:
                    clc.busy.add(image.image_id)
                    tasks.start_soon(_work_on, clc, image.image_id)
            await clc.image_bell.wait(LOOK_SECONDS)


async def flush_images(clc: "Clc") -> None:
    """What Walrus keeps and no image or instance names; a crash may have left it, too."""
    while True:
        try:
            kept = await clc.bus.ask("walrus", ListStoredImages(REGISTERING_SECONDS), system_call("flush"))
            for image_id in kept.image_ids:
                await flush_if_unused(clc, image_id)
        except EucaError as error:
            log.debug("images were not flushed: %s", error.message)
        await trio.sleep(FLUSH_SECONDS)


async def flush_if_unused(clc: "Clc", image_id: str) -> None:
    """Raises what Walrus answers."""
    if clc.images.find(image_id) is None and not _is_used(clc, image_id):
        await clc.bus.ask("walrus", FlushCachedImage(image_id), system_call("flush"))


async def wait_made(clc: "Clc", image_id: str, seconds: float) -> Image | None:
    """The image when it is no longer pending, or as it is after so long; None when it was deregistered."""
    with trio.move_on_after(seconds):
        while (image := clc.images.find(image_id)) is not None and image.state is ImageState.PENDING:
            await clc.image_news.wait()
    return clc.images.find(image_id)


def _is_used(clc: "Clc", image_id: str) -> bool:
    """By an instance that a node may still have to fetch it for."""
    return any(
        image_id in (record.image_id, record.kernel_id, record.ramdisk_id)
        for record in clc.instances.all()
        if record.state is not InstanceState.TERMINATED
    )


async def _work_on(clc: "Clc", image_id: str) -> None:
    try:
        while (image := clc.images.find(image_id)) is not None and image.state is ImageState.PENDING:
            await _step(clc, image)
    finally:
        clc.busy.discard(image_id)
        clc.image_progress.pop(image_id, None)


async def _step(clc: "Clc", image: Image) -> None:
    """Ask how far it is; fail it at its deadline, or when there is no hope."""
    try:
        if image.origin is not None and image.origin.snapshots:
            found = await _of_snapshots(clc, image)
        else:
            found = await _asked(clc, image)
    except ClientFault as error:
        await _fail(clc, image.image_id, error.message)
    except EucaError as error:
        await _try_again(clc, image, error.message)
    except Exception:
        log.exception("%s: a step failed; tried again in %g s", image.image_id, RETRY_SECONDS)
        await _try_again(clc, image, InternalError().message)
    else:
        clc.image_progress[image.image_id] = found.percent
        if found.image is not None:
            await _made(clc, image.image_id, found.image)
        elif clc.now() > image.deadline:
            await _fail(clc, image.image_id, f"It was not ready in time: {found.percent} % was done.")


async def _of_snapshots(clc: "Clc", image: Image) -> Caching:
    percent = await image_snapshots.progress(clc, image)
    if percent < 100:
        await trio.sleep(SNAPSHOT_SECONDS)
        return Caching(percent)
    data = replace(NO_DATA, bootable=image.kernel_id is None)
    return Caching(100, CheckedImage(image.type, data, image.architecture))


async def _asked(clc: "Clc", image: Image) -> Caching:
    """How far it is, asked of whoever makes it."""
    image_id, origin, call = image.image_id, image.origin, system_call(f"image-{image.image_id}")
    if origin is None or origin.bundle:
        return await clc.bus.ask("walrus", CacheImage(image_id, WAIT_SECONDS), call)
    if origin.image is not None:
        return await clc.bus.ask("walrus", CopyStoredImage(image_id, origin.image), call)
    found = await clc.bus.ask("walrus", FindStoredImage(image_id), call)
    if found.image is not None:
        return found  # its node had told us, and we had no time to write it down
    ticket = tickets.for_upload(clc, image_id)
    op = CcCreateImage(origin.instance_id, image_id, origin.no_reboot, WAIT_SECONDS, ticket)
    record = clc.instances.find(origin.instance_id)
    return await clc.bus.ask(clc.cc_of(record.zone if record else ""), op, call)


async def _try_again(clc: "Clc", image: Image, why: str) -> None:
    if clc.now() > image.deadline:
        await _fail(clc, image.image_id, f"It was not ready in time: {why}")
        return
    log.warning("%s: %s; tried again in %g s", image.image_id, why, RETRY_SECONDS)
    await trio.sleep(RETRY_SECONDS)


async def _made(clc: "Clc", image_id: str, checked: CheckedImage) -> None:
    def made(current: Image) -> Image | None:
        if not IMAGE.takes(current.state, ImageEvent.MADE):
            return None
        state = IMAGE.after(current.state, ImageEvent.MADE)
        return replace(current, state=state, data=checked.data)

    await _change(clc, image_id, made)
    log.info("%s is available", image_id)


async def _fail(clc: "Clc", image_id: str, reason: str) -> None:
    def fail(current: Image) -> Image | None:
        if not IMAGE.takes(current.state, ImageEvent.GIVEN_UP):
            return None
        return replace(current, state=IMAGE.after(current.state, ImageEvent.GIVEN_UP), reason=reason)

    await _change(clc, image_id, fail)
    if (image := clc.images.find(image_id)) is not None and image.origin and image.origin.snapshots:
        await image_snapshots.drop(clc, image)
    log.warning("%s failed: %s", image_id, reason)


async def _change(clc: "Clc", image_id: str, change: Callable[[Image], Image | None]) -> None:
    await clc.images.change(image_id, change)
    clc.image_news.set()
    clc.image_news = trio.Event()
