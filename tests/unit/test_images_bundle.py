"""Bundles: openssl and tar open ours, we open what they made, and lies are found out."""

import gzip
import hashlib
import io
import os
import random
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from euca_box.auth import bundle_keys
from euca_box.auth.bundle_keys import BundleKey, BundleKeyError
from euca_box.images.bundle import Bundled, BundleError, bundle, checked, unbundle
from euca_box.images.manifest import (
    Manifest,
    ManifestError,
    Part,
    parse_manifest,
    signed_text,
    write_manifest,
)
from euca_box.model.images import ImageType

VECTORS = Path(__file__).parent.parent / "vectors"
KEY = BundleKey(bytes(range(16)), bytes(range(16, 32)))
IMAGE = random.Random(7).randbytes(3_000_000) + bytes(2_000_000) + b"end"


def run(*argv: str, data: bytes = b"", cwd: Path | None = None) -> bytes:
    return subprocess.run(argv, input=data, check=True, capture_output=True, cwd=cwd).stdout


def encrypted(data: bytes) -> bytes:
    return run("openssl", "enc", "-e", "-aes-128-cbc", "-K", KEY.key.hex(), "-iv", KEY.iv.hex(), data=data)


def tarred(folder: Path, image: bytes, *more: str) -> bytes:
    """By GNU tar, as euca2ools calls it; the image gets real holes."""
    with (folder / "image.img").open("wb") as file:
        for start in range(0, len(image), 4096):
            piece = image[start : start + 4096]
            file.seek(len(piece), 1) if not any(piece) else file.write(piece)
        file.truncate(len(image))
    return run("tar", "c", "-h", "-S", *more, "image.img", cwd=folder)


def opened(packed: bytes, size: int | None = None, step: int = 70_001) -> bytes:
    pieces = (packed[n : n + step] for n in range(0, len(packed), step))
    return b"".join(unbundle(pieces, KEY, len(IMAGE) if size is None else size))


def archive(**more) -> bytes:
    """A tar of one small file, whose header is changed before its checksum is made."""
    info = tarfile.TarInfo("image")
    info.size = 5
    for name, value in more.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.GNU_FORMAT) + b"hello".ljust(512, b"\0") + bytes(1024)


@pytest.mark.parametrize("level", ["-1", "-9"])
def test_a_bundle_made_by_tar_gzip_and_openssl_opens(tmp_path, level):
    packed = encrypted(run("gzip", level, data=tarred(tmp_path, IMAGE)))
    assert opened(packed) == IMAGE


def test_holes_that_gnu_tar_left_out_are_zeros_again(tmp_path):
    image = b"".join(os.urandom(4096) if n % 3 == 0 else bytes(4096) for n in range(300)) + bytes(100_000)
    tar = tarred(tmp_path, image)
    assert tar[156:157] == b"S"
    assert len(tar) < len(image)
    assert opened(encrypted(gzip.compress(tar)), len(image)) == image


def test_a_bundle_of_ours_opens_with_openssl_and_tar(tmp_path):
    told = Bundled([])
    parts = list(bundle(io.BytesIO(IMAGE), "disk.img", len(IMAGE), KEY, told))
    assert [p.name for p in told.parts] == [f"disk.img.part.{n}" for n in range(len(parts))]
    assert [p.sha1 for p in told.parts] == [hashlib.sha1(part).hexdigest() for part in parts]
    assert told.bundled_bytes == sum(map(len, parts))
    plain = run(
        "openssl", "enc", "-d", "-aes-128-cbc", "-K", KEY.key.hex(), "-iv", KEY.iv.hex(), data=b"".join(parts)
    )
    tar = run("gzip", "-d", data=plain)
    assert told.digest == hashlib.sha1(tar).hexdigest()
    run("tar", "x", cwd=tmp_path, data=tar)
    assert (tmp_path / "disk.img").read_bytes() == IMAGE


@settings(max_examples=30, deadline=None)
@given(image=st.binary(min_size=1, max_size=3000), step=st.integers(1, 700))
def test_what_is_bundled_comes_back_in_pieces_of_any_size(image, step):
    told = Bundled([])
    packed = b"".join(bundle(io.BytesIO(image), "x", len(image), KEY, told))
    assert opened(packed, len(image), step) == image


def test_more_or_fewer_bytes_than_declared_are_refused(tmp_path):
    packed = encrypted(gzip.compress(tarred(tmp_path, IMAGE)))
    for size in (len(IMAGE) - 1, len(IMAGE) + 1):
        with pytest.raises(BundleError, match="bytes"):
            opened(packed, size)


def test_a_gzip_bomb_ends_at_the_declared_size():
    bomb = encrypted(gzip.compress(archive(size=1 << 30) + bytes(64 << 20), 9))
    with pytest.raises(BundleError, match="1073741824"):
        opened(bomb, 1 << 20)
    tail = encrypted(gzip.compress(archive() + bytes(64 << 20), 9))
    with pytest.raises(BundleError, match="more than one file"):
        opened(tail, 5)


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (b"", "breaks off"),
        (b"no gzip" * 9, "no gzip stream"),
        (gzip.compress(b"no tar" * 200), "no tar archive"),
        (gzip.compress(bytes(2048)), "no tar archive"),
        (gzip.compress(archive())[:-9], "breaks off"),
        (gzip.compress(archive()) + b"\0", "follows"),
        (gzip.compress(archive()) + gzip.compress(archive()), "follows"),
        (gzip.compress(archive()[:-1024] + archive()), "more than one file"),
        (gzip.compress(archive(type=tarfile.SYMTYPE, linkname="/etc/passwd")), "something else"),
        (gzip.compress(archive(type=tarfile.CHRTYPE)), "something else"),
        (gzip.compress(archive(type=tarfile.GNUTYPE_LONGNAME, size=1 << 40)), "too long"),
        (gzip.compress(archive(type=tarfile.XHDTYPE, size=1 << 40)), "too long"),
        (gzip.compress(archive(size=-5)), "octal|negative"),
        ((VECTORS / "images/gzip-trailing.gz").read_bytes(), "tar|follows|breaks"),
    ],
    ids=["nothing", "no gzip", "no tar", "zeros", "cut", "trailing", "two gzips", "two files", "link",
         "device", "long name", "pax", "negative", "vector"],
)  # fmt: skip
def test_what_is_no_bundle_is_refused(plain, words):
    with pytest.raises(BundleError, match=words):
        opened(encrypted(plain), 5)


def test_sparse_maps_that_lie_are_refused():
    def sparse(*extents, size=4096):
        head = bytearray(archive(type=b"S", size=sum(length for _, length in extents))[:512])
        for n, (offset, length) in enumerate(extents):
            head[386 + 24 * n : 410 + 24 * n] = b"%011o\0%011o\0" % (offset, length)
        head[483:495] = b"%011o\0" % size
        head[148:156] = b"        "
        head[148:156] = b"%06o\0 " % sum(head)
        return encrypted(gzip.compress(bytes(head) + bytes(40960)))

    assert opened(sparse((512, 512), (2048, 512)), 4096) == bytes(4096)
    for lie in (
        sparse((2048, 512), (512, 512)),
        sparse((0, 1024), (512, 512)),
        sparse((4096, 512)),
        sparse((0, 512), size=1 << 40),
    ):
        with pytest.raises(BundleError):
            opened(lie, 4096)


def test_a_wrong_key_is_refused(tmp_path):
    packed = encrypted(gzip.compress(tarred(tmp_path, IMAGE)))
    with pytest.raises(BundleError):
        b"".join(unbundle(iter([packed]), BundleKey(bytes(16), KEY.iv), len(IMAGE)))


def test_a_part_of_other_bytes_is_refused():
    part = Part("x.part.0", hashlib.sha1(b"right").hexdigest())
    assert b"".join(checked([b"ri", b"ght"], part)) == b"right"
    with pytest.raises(BundleError, match=r"x\.part\.0"):
        list(checked([b"wrong"], part))


# The manifest

MANIFEST = Manifest(
    "disk.img", "000100729354", ImageType.MACHINE, "x86_64", 5, 32, "0" * 40,
    (Part("disk.img.part.0", "a" * 40), Part("disk.img.part.1", "b" * 40)),
    cloud_key="aa", cloud_iv="bb", user_key="cc", user_iv="dd", kernel_id="eki-00000001",
    block_devices=(("ami", "sda"), ("root", "/dev/sda1")),
)  # fmt: skip


def written(manifest: Manifest = MANIFEST, signature: str = "00") -> bytes:
    return write_manifest(signed_text(manifest), signature, "1.0")


def test_a_manifest_of_ours_says_what_it_was_made_from():
    found = parse_manifest(written())
    assert found == replace(MANIFEST, signature="00", signed=signed_text(MANIFEST))


@pytest.mark.parametrize("kind", [ImageType.KERNEL, ImageType.RAMDISK])
def test_kernels_and_ramdisks_say_so_as_the_tools_do(kind):
    manifest = replace(MANIFEST, type=kind, kernel_id=None, block_devices=())
    assert b"_id>true</" in written(manifest)
    assert parse_manifest(written(manifest)).type is kind
    assert parse_manifest(written(manifest)).kernel_id is None


def test_the_signature_covers_the_text_as_openssl_sees_it(tmp_path):
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "pk.pem", "-out", "cert.pem",
        "-subj", "/CN=u", cwd=tmp_path)  # fmt: skip
    key = bundle_keys.private_key((tmp_path / "pk.pem").read_bytes())
    public = bundle_keys.public_key((tmp_path / "cert.pem").read_bytes())
    theirs = run(
        "openssl", "dgst", "-sha1", "-sign", "pk.pem", "-hex", cwd=tmp_path, data=signed_text(MANIFEST)
    )
    signature = theirs.decode().split()[-1]
    found = parse_manifest(written(signature=signature))
    assert bundle_keys.is_signed_by(found.signed, found.signature, [public])
    assert bundle_keys.sign(found.signed, key) == signature
    assert not bundle_keys.is_signed_by(found.signed + b" ", found.signature, [public])
    other = bundle_keys.public_key((VECTORS.parent / "unit" / "bundle_cert.pem").read_bytes())
    assert not bundle_keys.is_signed_by(found.signed, found.signature, [other])


def test_keys_open_that_openssl_wrapped_and_openssl_opens_ours(tmp_path):
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "pk.pem", "-out", "cert.pem",
        "-subj", "/CN=u", cwd=tmp_path)  # fmt: skip
    key = bundle_keys.private_key((tmp_path / "pk.pem").read_bytes())
    public = bundle_keys.public_key((tmp_path / "cert.pem").read_bytes())

    def wrapped(secret):
        argv = ("openssl", "pkeyutl", "-encrypt", "-certin", "-inkey", "cert.pem")
        return run(*argv, cwd=tmp_path, data=secret.hex().encode()).hex()

    assert bundle_keys.unwrap(wrapped(KEY.key), wrapped(KEY.iv), key) == KEY
    ours = bytes.fromhex(bundle_keys.wrap(KEY.key, public))
    assert (
        run("openssl", "pkeyutl", "-decrypt", "-inkey", "pk.pem", cwd=tmp_path, data=ours)
        == KEY.key.hex().encode()
    )
    for lie in ("00", "ff" * 256, wrapped(b"short")):
        with pytest.raises(BundleKeyError):
            bundle_keys.unwrap(lie, wrapped(KEY.iv), key)


@pytest.mark.parametrize(
    "name",
    [n.name for n in sorted((VECTORS / "images").glob("manifest-*.xml")) if "no-signature" not in n.name],
)
def test_hostile_manifests_are_refused(name):
    with pytest.raises(ManifestError):
        parse_manifest((VECTORS / "images" / name).read_bytes())


@pytest.mark.parametrize("path", sorted((VECTORS / "xml").glob("*.xml")), ids=lambda p: p.name)
def test_hostile_documents_are_refused(path):
    with pytest.raises(ManifestError):
        parse_manifest(path.read_bytes())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<image>", b"<image><image>"),
        (b"<size>5</size>", b"<size>5</size><size>6</size>"),
        (b"<size>5</size>", b"<size>0</size>"),
        (b"<size>5</size>", b"<size>5e3</size>"),
        (b"<size>5</size>", b"<size><b>5</b></size>"),
        (b'count="2"', b'count="3"'),
        (b'index="1"', b'index="01"'),
        (b"disk.img.part.1", b".."),
        (b"disk.img.part.1", b"a/b"),
        (b"disk.img.part.1", b"a%2fb"),
        (b"disk.img.part.1", b"x\x01"),
        (b"a" * 40, b"a" * 39),
        (b"<type>machine</type>", b"<type>disk</type>"),
        (b">eki-00000001<", b">../x<"),
        (b">aa<", b">ag<"),
        (b"<signature>00</signature>", b""),
        (b"<virtual>ami</virtual>", b"<virtual>a b;c</virtual>"),
        (b"?><manifest>", b"?><!DOCTYPE m [<!ENTITY x 'y'>]><manifest>"),
    ],
)
def test_a_manifest_with_one_lie_is_refused(old, new):
    assert old in written()
    with pytest.raises(ManifestError):
        parse_manifest(written().replace(old, new, 1))


def test_only_what_was_signed_is_believed():
    """A second <image>, in front of the real one or behind it, says nothing, or all is refused."""
    other = signed_text(replace(MANIFEST, parts=(Part("other", "c" * 40),))).partition(
        b"</machine_configuration>"
    )[2]
    behind = written().replace(b"<signature>", other + b"<signature>")
    assert parse_manifest(behind).parts == MANIFEST.parts
    before = written().replace(b"<machine_configuration>", other + b"<machine_configuration>")
    found = parse_manifest(before)
    assert found.signed.endswith(other)  # what is believed is what the signature must cover
    comment = written().replace(b"<machine_configuration>", b"<!--" + other + b"--><machine_configuration>")
    assert parse_manifest(comment).signed.endswith(other)
