"""Bundles: checked, unpacked once for all who wait, kept for those who come later.

1.6.2's CheckImage, CacheImage, GetDecryptedImage and FlushCachedImage. The controller that asks has read the
manifest, checked its signature and opened its key; here are the parts.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import trio

from euca_box.auth.bundle_keys import BundleKey
from euca_box.images.bundle import PIECE_BYTES, BundleError, checked, unbundle
from euca_box.images.inspect import ImageRefused
from euca_box.images.manifest import MANIFEST_BYTES, Part
from euca_box.messages import walrus as messages
from euca_box.messages.base import Call, Done
from euca_box.model.accounts import LENDER
from euca_box.model.ec2_errors import InvalidManifest
from euca_box.model.errors import EucaError, InternalError, Unavailable
from euca_box.model.s3_errors import (
    AccessDenied,
    InsufficientStorage,
    InvalidRequest,
    NoSuchBucket,
    NoSuchKey,
)
from euca_box.objects.making import Make, Read
from euca_box.objects.rows import ObjectFacts
from euca_box.observe.failpoints import fp
from euca_box.roles.walrus import images
from euca_box.roles.walrus.stored import StoredImage

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus

log = logging.getLogger(__name__)

READ_BYTES = 4 * PIECE_BYTES
KEY_HEX = 32


@dataclass
class Job:
    """One unpacking. `read_bytes` is written by its thread."""

    bundled_bytes: int
    read_bytes: int = 0
    done: trio.Event = field(default_factory=trio.Event)
    error: EucaError | None = None

    @property
    def percent(self) -> int:
        return min(99, 100 * self.read_bytes // self.bundled_bytes)


async def get_manifest(walrus: "Walrus", call: Call, op: messages.GetManifest) -> messages.ManifestText:
    facts = await _stat(walrus, call, op.bucket, op.key)
    if facts.size_bytes > MANIFEST_BYTES:
        raise InvalidManifest(f"{_shown(op.bucket, op.key)} has more than {MANIFEST_BYTES} bytes.")
    try:
        data = await walrus.vault.read_at(op.bucket, op.key, facts.generation, 0, facts.size_bytes)
    except InvalidRequest:
        raise InvalidManifest(f"{_shown(op.bucket, op.key)} is encrypted with your own key.") from None
    return messages.ManifestText(data)


async def keep_bundle(walrus: "Walrus", call: Call, op: messages.KeepBundle) -> Done:
    """The caller's right to read is asked here, once; the digests say later that the parts are the same."""
    bundle = op.bundle
    if bundle.size_bytes > walrus.settings.max_image_bytes:
        raise InvalidManifest(
            f"The image has {bundle.size_bytes} bytes; {walrus.settings.max_image_bytes} are allowed."
        )
    found = [await _stat(walrus, call, bundle.bucket, key) for key, _ in bundle.parts]
    if (sizes := sum(facts.size_bytes for facts in found)) != bundle.bundled_bytes:
        raise InvalidManifest(f"Its parts have {sizes} bytes, not the {bundle.bundled_bytes} that it says.")
    sealed = walrus.sealer.seal((op.key + op.iv).hex(), op.image_id)
    await walrus.stored.keep(StoredImage(op.image_id, walrus.now(), bundle=bundle, sealed_key=sealed))
    return Done()


async def cache_image(walrus: "Walrus", call: Call, op: messages.CacheImage) -> messages.Caching:
    image = _known(walrus, op.image_id)
    if image.image is not None:
        await walrus.stored.touch(op.image_id)
        return messages.Caching(100, image.image)
    job = _job(walrus, image)
    with trio.move_on_after(op.wait_seconds):
        await job.done.wait()
    if job.error is not None:
        raise job.error
    return messages.Caching(job.percent, _known(walrus, op.image_id).image)


async def get_decrypted_image(
    walrus: "Walrus", call: Call, op: messages.GetDecryptedImage
) -> messages.ImageUrl:
    """Raises InvalidManifest when it cannot be unpacked any more."""
    await whole(walrus, op.image_id)
    return images.lend(walrus, call, walrus.stored.bucket, op.image_id, op.etag)


async def whole(walrus: "Walrus", image_id: str) -> None:
    """Return when its bytes are there. Raises InvalidManifest."""
    image = _known(walrus, image_id)
    if image.image is None:
        job = _job(walrus, image)
        await job.done.wait()
        if job.error is not None:
            raise job.error
    await walrus.stored.touch(image_id)


async def flush_cached_image(walrus: "Walrus", call: Call, op: messages.FlushCachedImage) -> Done:
    if walrus.stored.find(op.image_id) is not None:
        await walrus.stored.forget(op.image_id)
    return Done()


async def list_stored_images(
    walrus: "Walrus", call: Call, op: messages.ListStoredImages
) -> messages.StoredImages:
    before = walrus.now() - op.older_than_seconds
    return messages.StoredImages(tuple(i.image_id for i in walrus.stored.all() if i.since <= before))


def _known(walrus: "Walrus", image_id: str) -> StoredImage:
    image = walrus.stored.find(image_id)
    if image is None:
        raise InvalidManifest(f"{image_id} is no longer kept.")
    return image


def _job(walrus: "Walrus", image: StoredImage) -> Job:
    """The unpacking that runs, or a new one. It goes on when who asked goes away."""
    job = walrus.jobs.get(image.image_id)
    if job is None:
        assert image.bundle is not None
        assert walrus.tasks is not None
        job = walrus.jobs[image.image_id] = Job(image.bundle.bundled_bytes)
        walrus.tasks.start_soon(_work, walrus, image, job)
    return job


async def _work(walrus: "Walrus", image: StoredImage, job: Job) -> None:
    try:
        async with walrus.unpacking:
            await _unpack(walrus, image, job)
    except (BundleError, ImageRefused) as error:
        job.error = InvalidManifest(f"The bundle of {image.image_id} is not accepted: {error}.")
    except (NoSuchBucket, NoSuchKey):
        job.error = InvalidManifest(f"A part of the bundle of {image.image_id} is no longer there.")
    except InsufficientStorage:
        job.error = Unavailable("The disk of Walrus is full.")
    except EucaError as error:
        job.error = error
    except Exception:
        # Nobody waits for this task; what escaped it would end the role.
        log.exception("%s was not unpacked", image.image_id)
        job.error = InternalError()
    finally:
        del walrus.jobs[image.image_id]
        job.done.set()


async def _unpack(walrus: "Walrus", image: StoredImage, job: Job) -> None:
    bundle = image.bundle
    assert bundle is not None
    if bundle.size_bytes > walrus.settings.image_cache_bytes:
        raise BundleError("it is larger than the image cache (walrus.image_cache_gib)")
    await walrus.stored.make_room(bundle.size_bytes, walrus.settings.image_cache_bytes)
    parts = [
        (Part(key, sha1), await walrus.vault.stat(LENDER, bundle.bucket, key)) for key, sha1 in bundle.parts
    ]
    text = walrus.sealer.open(image.sealed_key, image.image_id)
    key = BundleKey(bytes.fromhex(text[:KEY_HEX]), bytes.fromhex(text[KEY_HEX:]))
    where = walrus.stored.bucket, image.image_id
    facts = await walrus.vault.make(*where, _pieces_of(bundle, parts, key, job), bundle.size_bytes)
    fp("walrus.unpack.after-object")
    try:
        found = await images.examined(walrus, *where, facts)
        if found.type is not bundle.type:
            raise BundleError(
                f"its manifest says {bundle.type.value}, its bytes are a {found.type.value} image"
            )
    except BaseException:
        with trio.CancelScope(shield=True):
            await walrus.vault.remove(*where)
        raise
    if walrus.stored.find(image.image_id) is None:
        await walrus.vault.remove(*where)  # it was flushed meanwhile
        raise BundleError("it was deregistered")
    made = replace(found, data=replace(found.data, stored=image.image_id))
    await walrus.stored.keep(replace(image, image=made))
    log.info("%s was unpacked: %d bytes", image.image_id, facts.size_bytes)


def _pieces_of(
    bundle: messages.Bundle, parts: list[tuple[Part, ObjectFacts]], key: BundleKey, job: Job
) -> Make:
    def encrypted(read: Read) -> Iterator[bytes]:
        for part, facts in parts:
            yield from checked(ranges(read, part.name, facts), part)

    def ranges(read: Read, name: str, facts: ObjectFacts) -> Iterator[bytes]:
        for offset in range(0, facts.size_bytes, READ_BYTES):
            piece = read(bundle.bucket, name, facts.generation, offset, READ_BYTES)
            job.read_bytes += len(piece)
            yield piece

    return lambda read: unbundle(encrypted(read), key, bundle.size_bytes)


async def _stat(walrus: "Walrus", call: Call, bucket: str, key: str) -> ObjectFacts:
    """Raises InvalidManifest: another account's object does not exist."""
    try:
        return await walrus.vault.stat(call.principal, bucket, key)
    except (NoSuchBucket, NoSuchKey, AccessDenied):
        raise InvalidManifest(f"There is no object {_shown(bucket, key)} that you may read.") from None


def _shown(bucket: str, key: str) -> str:
    return f"{bucket}/{key}"[:200]
