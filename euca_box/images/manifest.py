"""The manifest of a bundled image: read with distrust, and written as ec2-ami-tools writes it.

A bundle is one file that went through tar, gzip and AES-128-CBC and was cut into parts. The manifest names
the parts with their SHA-1, holds the AES key for the cloud and for the user (hex of RSA PKCS#1 v1.5 of the
hex text), and is signed over the literal text of two of its elements. Manifest version 2007-10-10.
"""

import re
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from lxml import etree

from euca_box.model.images import ImageType

MANIFEST_BYTES = 4 * 1024 * 1024
MOST_PARTS = 20_000
LARGEST_PART_BYTES = 5 << 30
SUFFIX = ".manifest.xml"

# One file name below the manifest's own folder: a part is never looked for elsewhere.
_PART_NAME = re.compile(r"[A-Za-z0-9._@()+=, -]{1,255}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){1,2048}")
_SHA1 = re.compile(r"[0-9a-fA-F]{40}")
_ID = re.compile(r"[ae](?:mi|ki|ri)-[0-9a-fA-F]{1,17}")
_DEVICE = re.compile(r"[A-Za-z0-9/_.-]{1,64}")
_YES = ("true", "yes")


class ManifestError(Exception):
    """The manifest is not accepted; the text says why, for who made it."""


@dataclass(frozen=True)
class Part:
    name: str
    sha1: str


@dataclass(frozen=True)
class Manifest:
    """What a manifest says. `size_bytes` is the image's, `bundled_bytes` that of all parts; keys are hex."""

    name: str
    user: str
    type: ImageType
    architecture: str
    size_bytes: int
    bundled_bytes: int
    digest: str
    parts: tuple[Part, ...]
    cloud_key: str = field(repr=False)
    cloud_iv: str = field(repr=False)
    user_key: str = field(repr=False)
    user_iv: str = field(repr=False)
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    block_devices: tuple[tuple[str, str], ...] = ()  # virtual name, device
    signature: str = ""
    signed: bytes = field(default=b"", repr=False)


def parse_manifest(data: bytes) -> Manifest:
    """Raises ManifestError. The signature is not checked here: `signed` is what it covers, and all that is
    told was read from those bytes and from nothing else."""
    if len(data) > MANIFEST_BYTES:
        raise ManifestError(f"it has more than {MANIFEST_BYTES} bytes")
    signed = _element(data, b"machine_configuration") + _element(data, b"image")
    # A document of the signed text alone: what stands around it (comments, a second <image>) says nothing.
    root = _document(b"<manifest>" + signed + b"</manifest>")
    if [child.tag for child in root] != ["machine_configuration", "image"]:
        raise ManifestError("its elements are not where they should be")
    machine, image = root
    kernel, ramdisk = _text(machine, "kernel_id", ""), _text(machine, "ramdisk_id", "")
    return Manifest(
        name=_text(image, "name"),
        user=_text(image, "user", ""),
        type=_type(image, kernel, ramdisk),
        architecture=_text(machine, "architecture", "i386"),
        size_bytes=_number(image, "size"),
        bundled_bytes=_number(image, "bundled_size"),
        digest=_text(image, "digest", ""),
        parts=_parts(image),
        cloud_key=_hex(image, "ec2_encrypted_key"),
        cloud_iv=_hex(image, "ec2_encrypted_iv"),
        user_key=_hex(image, "user_encrypted_key"),
        user_iv=_hex(image, "user_encrypted_iv"),
        kernel_id=_image_id(kernel),
        ramdisk_id=_image_id(ramdisk),
        block_devices=_block_devices(machine),
        signature=_hex(_document(data), "signature"),
        signed=signed,
    )


def signed_text(manifest: Manifest) -> bytes:
    """The two elements that the signature covers, in the order and without the white space of the tools."""
    mapping = "".join(
        f"<mapping><virtual>{escape(virtual)}</virtual><device>{escape(device)}</device></mapping>"
        for virtual, device in manifest.block_devices
    )
    mapping = mapping and f"<block_device_mapping>{mapping}</block_device_mapping>"
    kernel = "true" if manifest.type is ImageType.KERNEL else manifest.kernel_id
    ramdisk = "true" if manifest.type is ImageType.RAMDISK else manifest.ramdisk_id
    machine = (
        f"<architecture>{escape(manifest.architecture)}</architecture>{mapping}"
        f"{_optional('kernel_id', kernel)}{_optional('ramdisk_id', ramdisk)}"
    )
    parts = "".join(
        f'<part index="{index}"><filename>{escape(part.name)}</filename>'
        f'<digest algorithm="SHA1">{part.sha1}</digest></part>'
        for index, part in enumerate(manifest.parts)
    )
    image = (
        f"<name>{escape(manifest.name)}</name><user>{escape(manifest.user)}</user>"
        f'<type>{manifest.type.value}</type><digest algorithm="SHA1">{manifest.digest}</digest>'
        f"<size>{manifest.size_bytes}</size><bundled_size>{manifest.bundled_bytes}</bundled_size>"
        f'<ec2_encrypted_key algorithm="AES-128-CBC">{manifest.cloud_key}</ec2_encrypted_key>'
        f'<user_encrypted_key algorithm="AES-128-CBC">{manifest.user_key}</user_encrypted_key>'
        f"<ec2_encrypted_iv>{manifest.cloud_iv}</ec2_encrypted_iv>"
        f"<user_encrypted_iv>{manifest.user_iv}</user_encrypted_iv>"
        f'<parts count="{len(manifest.parts)}">{parts}</parts>'
    )
    return f"<machine_configuration>{machine}</machine_configuration><image>{image}</image>".encode()


def write_manifest(signed: bytes, signature: str, version: str) -> bytes:
    """The whole document around what was signed."""
    bundler = (
        f"<bundler><name>euca-box</name><version>{escape(version)}</version><release>0</release></bundler>"
    )
    head = f'<?xml version="1.0" ?><manifest><version>2007-10-10</version>{bundler}'
    return head.encode() + signed + f"<signature>{signature}</signature></manifest>".encode()


def _element(data: bytes, name: bytes) -> bytes:
    """The literal text of the element, as it was signed."""
    start, end = b"<" + name + b">", b"</" + name + b">"
    first, last = data.find(start), data.find(end)
    if first < 0 or last < first:
        raise ManifestError(f"it has no <{name.decode()}>")
    return data[first : last + len(end)]


def _document(data: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        raise ManifestError("it is no XML document") from None
    if b"<!DOCTYPE" in data:
        raise ManifestError("it has a document type")
    return root


def _text(parent: etree._Element, name: str, default: str | None = None) -> str:
    found = parent.findall(name)
    if len(found) > 1 or (found and len(found[0])):
        raise ManifestError(f"its {name} is not one text")
    text = (found[0].text or "").strip() if found else default
    if text is None or (text == "" and default is None):
        raise ManifestError(f"it has no {name}")
    return text


def _number(image: etree._Element, name: str) -> int:
    text = _text(image, name)
    if not re.fullmatch(r"[0-9]{1,15}", text) or int(text) == 0:
        raise ManifestError(f"its {name} is no number of bytes")
    return int(text)


def _hex(parent: etree._Element, name: str) -> str:
    text = "".join(_text(parent, name).split())
    if not _HEX.fullmatch(text):
        raise ManifestError(f"its {name} is not hexadecimal")
    return text


def _type(image: etree._Element, kernel: str, ramdisk: str) -> ImageType:
    """1.6.2 went by `kernel_id` and `ramdisk_id`, which say "true" of an image that is one."""
    if kernel.lower() in _YES:
        return ImageType.KERNEL
    if ramdisk.lower() in _YES:
        return ImageType.RAMDISK
    try:
        return ImageType(_text(image, "type", "machine"))
    except ValueError:
        raise ManifestError("its type is not machine, kernel or ramdisk") from None


def _image_id(text: str) -> str | None:
    if text in ("", *_YES) or text.lower() in _YES:
        return None
    if not _ID.fullmatch(text):
        raise ManifestError("its kernel_id or ramdisk_id is no image id")
    return text


def _parts(image: etree._Element) -> tuple[Part, ...]:
    found = image.findall("parts")
    if len(found) != 1:
        raise ManifestError("it has no list of parts")
    rows = found[0].findall("part")
    if not 1 <= len(rows) <= MOST_PARTS or found[0].get("count", str(len(rows))) != str(len(rows)):
        raise ManifestError("its number of parts is wrong")
    parts: dict[str, Part] = {}
    for row in rows:
        name, sha1 = _text(row, "filename"), _text(row, "digest")
        if not _PART_NAME.fullmatch(name) or name in (".", ".."):
            raise ManifestError("the name of a part is not that of a file beside it")
        if not _SHA1.fullmatch(sha1):
            raise ManifestError("the digest of a part is no SHA-1")
        parts[row.get("index", "")] = Part(name, sha1.lower())
    try:
        return tuple(parts[str(index)] for index in range(len(rows)))
    except KeyError:
        raise ManifestError("its parts are not numbered from 0") from None


def _block_devices(machine: etree._Element) -> tuple[tuple[str, str], ...]:
    rows = machine.findall("block_device_mapping/mapping")
    pairs = tuple((_text(row, "virtual"), _text(row, "device")) for row in rows[:64])
    if not all(_DEVICE.fullmatch(name) for pair in pairs for name in pair):
        raise ManifestError("its block device mapping has names that no device has")
    return pairs


def _optional(name: str, text: str | None) -> str:
    return f"<{name}>{escape(text)}</{name}>" if text else ""
