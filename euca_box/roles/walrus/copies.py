"""Images that Walrus stores for good: copies of others, and what nodes upload of their instances."""

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from euca_box.images.inspect import ImageRefused
from euca_box.messages import walrus as messages
from euca_box.messages.base import Call
from euca_box.model.ec2_errors import InvalidManifest
from euca_box.model.errors import Unavailable
from euca_box.model.s3_errors import InsufficientStorage, InvalidPart, NoSuchBucket, NoSuchKey, NoSuchUpload
from euca_box.objects.rows import ObjectFacts
from euca_box.observe.failpoints import fp
from euca_box.roles.walrus import bundles, images
from euca_box.roles.walrus.lending import ca_file_for, lent_url
from euca_box.roles.walrus.stored import StoredImage

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus

PART_BYTES = 64 << 20
FULL = "The disk of Walrus is full."


async def find_stored_image(walrus: "Walrus", call: Call, op: messages.FindStoredImage) -> messages.Caching:
    found = walrus.stored.find(op.image_id)
    return messages.Caching(100, found.image) if found and found.image else messages.Caching(0)


async def copy_stored_image(walrus: "Walrus", call: Call, op: messages.CopyStoredImage) -> messages.Caching:
    """Raises InvalidManifest, Unavailable."""
    done = await find_stored_image(walrus, call, messages.FindStoredImage(op.image_id))
    if done.image is not None:
        return done
    data = op.data
    if data.stored:
        await bundles.whole(walrus, data.stored)
    try:
        facts = await walrus.vault.copy(data.bucket, data.key, data.etag, walrus.stored.bucket, op.image_id)
    except (NoSuchBucket, NoSuchKey):
        raise InvalidManifest(f"The object {data.location[:200]} was replaced or deleted.") from None
    except InsufficientStorage:
        raise Unavailable(FULL) from None
    return await _kept(walrus, op.image_id, replace(facts, sha256=data.sha256))


async def begin_image_upload(
    walrus: "Walrus", call: Call, op: messages.BeginImageUpload
) -> messages.ImageUpload:
    if op.size_bytes > walrus.settings.max_image_bytes:
        raise InvalidManifest(
            f"The image has {op.size_bytes} bytes; {walrus.settings.max_image_bytes} are allowed."
        )
    upload_id = await walrus.vault.begin_upload(walrus.stored.bucket, op.image_id)
    return messages.ImageUpload(upload_id, PART_BYTES, ca_file_for(walrus, call))


async def get_bucket_url(walrus: "Walrus", call: Call, op: messages.GetBucketUrl) -> messages.BucketUrl:
    """Unsigned: who may what there says the form."""
    # Asked by the CLC for a node, which may be on another host.
    is_shared = walrus.settings.has_other_hosts()
    endpoint = walrus.settings.shared_endpoint if is_shared else walrus.settings.endpoint
    ca_file = "" if is_shared else walrus.settings.ca_file
    return messages.BucketUrl(f"{endpoint}/{quote(op.bucket, safe='')}", ca_file)


async def get_part_url(walrus: "Walrus", call: Call, op: messages.GetPartUrl) -> messages.PartUrl:
    query = f"partNumber={op.number}&uploadId={quote(op.upload_id, safe='')}"
    return messages.PartUrl(lent_url(walrus, call, "PUT", walrus.stored.bucket, op.image_id, query))


async def end_image_upload(walrus: "Walrus", call: Call, op: messages.EndImageUpload) -> messages.Caching:
    """Raises InvalidManifest, Unavailable (the upload is gone: it begins again)."""
    try:
        facts = await walrus.vault.end_upload(walrus.stored.bucket, op.image_id, op.upload_id, op.etags)
    except (NoSuchUpload, InvalidPart, NoSuchKey):
        raise Unavailable(f"The upload of {op.image_id} is no longer there.") from None
    except InsufficientStorage:
        raise Unavailable(FULL) from None
    fp("walrus.upload.after-object")
    return await _kept(walrus, op.image_id, facts)


async def _kept(walrus: "Walrus", image_id: str, facts: ObjectFacts) -> messages.Caching:
    try:
        found = await images.examined(walrus, walrus.stored.bucket, image_id, facts)
    except ImageRefused as refused:
        await walrus.vault.remove(walrus.stored.bucket, image_id)
        raise InvalidManifest(f"{image_id} is not accepted as an image: {refused}") from None
    await walrus.stored.keep(StoredImage(image_id, walrus.now(), image=found))
    return messages.Caching(100, found)
