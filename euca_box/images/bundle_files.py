"""Bundles as files in a folder: what ec2-bundle-image and ec2-unbundle do. Blocks."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

import euca_box
from euca_box.auth import bundle_keys
from euca_box.auth.bundle_keys import BundleKey, BundleKeyError
from euca_box.images.bundle import PIECE_BYTES, Bundled, BundleError, bundle, checked, unbundle
from euca_box.images.manifest import SUFFIX, Manifest, parse_manifest, signed_text, write_manifest
from euca_box.model.images import ImageType

_ZEROS = bytes(PIECE_BYTES)

Progress = Callable[[int], object]
Sign = Callable[[bytes], str]  # the signature of a manifest's text, hex


@dataclass(frozen=True)
class Labels:
    """What a manifest says beside the bytes. `user` is the account's number."""

    name: str
    user: str
    type: ImageType = ImageType.MACHINE
    architecture: str = "x86_64"
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    block_devices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Recipients:
    """Who can open a bundle: the cloud, and the user who made it."""

    cloud: rsa.RSAPublicKey = field(repr=False)
    user: rsa.RSAPublicKey = field(repr=False)


def text_of(labels: Labels, size_bytes: int, told: Bundled, key: BundleKey, recipients: Recipients) -> bytes:
    """What the manifest says of the parts that were made, to be signed."""
    manifest = Manifest(
        name=labels.name,
        user=labels.user,
        type=labels.type,
        architecture=labels.architecture,
        size_bytes=size_bytes,
        bundled_bytes=told.bundled_bytes,
        digest=told.digest,
        parts=tuple(told.parts),
        cloud_key=bundle_keys.wrap(key.key, recipients.cloud),
        cloud_iv=bundle_keys.wrap(key.iv, recipients.cloud),
        user_key=bundle_keys.wrap(key.key, recipients.user),
        user_iv=bundle_keys.wrap(key.iv, recipients.user),
        kernel_id=labels.kernel_id,
        ramdisk_id=labels.ramdisk_id,
        block_devices=labels.block_devices,
    )
    return signed_text(manifest)


def bundle_file(
    image: Path, folder: Path, labels: Labels, recipients: Recipients, sign: Sign, progress: Progress
) -> Path:
    """Make the parts and the manifest in the folder; the manifest last. Raises BundleError, OSError."""
    key, told = bundle_keys.new_bundle_key(), Bundled([])
    size_bytes = image.stat().st_size
    if not size_bytes:
        raise BundleError("the image is empty")
    with image.open("rb") as file:
        before = 0
        for part in bundle(file, labels.name, size_bytes, key, told):
            (folder / told.parts[-1].name).write_bytes(part)
            progress(file.tell() - before)
            before = file.tell()
    manifest = folder / (labels.name + SUFFIX)
    text = text_of(labels, size_bytes, told, key, recipients)
    manifest.write_bytes(write_manifest(text, sign(text), euca_box.__version__))
    return manifest


def unbundle_file(manifest: Path, folder: Path, private: rsa.RSAPrivateKey, progress: Progress) -> Path:
    """Join the parts beside the manifest to a new file, with its holes.

    The key may be the user's or the cloud's. Raises ManifestError, BundleError, OSError; leaves no half file.
    """
    found = parse_manifest(manifest.read_bytes())
    target = folder / os.path.basename(found.name)
    with target.open("xb") as file:
        try:
            for piece in unbundle(
                _parts(found, manifest.parent, progress), opened(found, private), found.size_bytes
            ):
                if piece == _ZEROS[: len(piece)]:
                    file.seek(len(piece), os.SEEK_CUR)
                else:
                    file.write(piece)
            file.truncate(found.size_bytes)
        except BaseException:
            target.unlink()
            raise
    return target


def opened(manifest: Manifest, private: rsa.RSAPrivateKey) -> BundleKey:
    """Raises BundleError."""
    for key, iv in ((manifest.user_key, manifest.user_iv), (manifest.cloud_key, manifest.cloud_iv)):
        try:
            return bundle_keys.unwrap(key, iv, private)
        except BundleKeyError:
            continue
    raise BundleError("its key does not open with this private key")


def _parts(manifest: Manifest, folder: Path, progress: Progress) -> Iterator[bytes]:
    for part in manifest.parts:
        yield from checked(_read(folder / part.name, progress), part)


def _read(path: Path, progress: Progress) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            progress(len(piece))
            yield piece
