"""Bundled images: the manifest is believed when the account signed it and the cloud's key opens it."""

from typing import TYPE_CHECKING

import trio

from euca_box.auth.bundle_keys import BundleKey, BundleKeyError, is_signed_by
from euca_box.images.manifest import Manifest, ManifestError, parse_manifest
from euca_box.messages.base import Call
from euca_box.messages.walrus import Bundle, GetManifest, KeepBundle
from euca_box.model.ec2_errors import InvalidManifest
from euca_box.roles.clc import certificates

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


async def read_bundle(clc: "Clc", call: Call, bucket: str, key: str) -> tuple[Manifest, BundleKey]:
    """Raises InvalidManifest with the reason, in words for the user."""
    where = f"{bucket}/{key}"[:200]
    text = await clc.bus.ask("walrus", GetManifest(bucket, key), call)
    try:
        manifest = await trio.to_thread.run_sync(parse_manifest, text.data)
    except ManifestError as error:
        raise InvalidManifest(f"{where} is not accepted as a manifest: {error}.") from None
    keys = await certificates.public_keys(clc, call)
    if not await trio.to_thread.run_sync(is_signed_by, manifest.signed, manifest.signature, keys):
        raise InvalidManifest(f"The signature of {where} is of no certificate of account {call.account}.")
    try:
        return manifest, clc.notary.open_bundle(manifest.cloud_key, manifest.cloud_iv)
    except BundleKeyError:
        raise InvalidManifest(f"The key in {where} is not encrypted to this cloud's certificate.") from None


async def keep_bundle(
    clc: "Clc", call: Call, image_id: str, bucket: str, key: str, manifest: Manifest, secret: BundleKey
) -> None:
    """Have Walrus check the parts, which lie beside the manifest, and remember it. Raises InvalidManifest."""
    folder = key[: key.rfind("/") + 1]
    parts = tuple((folder + part.name, part.sha1) for part in manifest.parts)
    bundle = Bundle(bucket, parts, manifest.type, manifest.size_bytes, manifest.bundled_bytes)
    await clc.bus.ask("walrus", KeepBundle(image_id, bundle, secret.key, secret.iv), call)
