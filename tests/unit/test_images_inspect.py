"""What comes in as an image, and what is refused before any other program opens it."""

import gzip
import lzma
import os
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from euca_box.images.inspect import ImageFacts, ImageRefused, inspect, open_image

VECTORS = Path(__file__).parents[1] / "vectors" / "images"
CPIO = b"070701" + b"0" * 104 + b"TRAILER!!!\0\0\0\0"
MIB = 1 << 20


def facts(data: bytes, **limits: int) -> ImageFacts:
    return inspect(lambda offset, count: data[offset : offset + count], len(data), **limits)


def at(offset: int, mark: bytes, size: int = 128 * 1024) -> bytes:
    data = bytearray(size)
    data[offset : offset + len(mark)] = mark
    return bytes(data)


def qcow2(changes: dict[int, bytes] | None = None, version: int = 3, size: int = MIB) -> bytes:
    """A minimal sane image: header, L1, reference counts, each in a cluster of 64 KiB."""
    head = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", version, 0, 0, 16, size, 0, 1, 0x10000, 0x20000, 1, 0, 0
    )
    data = bytearray(head + struct.pack(">QQQII", 0, 0, 0, 4, 104)).ljust(0x40000, b"\0")
    for offset, value in (changes or {}).items():
        data[offset : offset + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("qcow2-backing-etc-passwd.qcow2", "backing file"),
        ("qcow2-backing-json.qcow2", "backing file"),
        ("qcow2-datafile.qcow2", "another file"),
        ("qcow2-huge-virtual.qcow2", "17592186044416 bytes"),
        ("qcow2-cluster-bits-31.qcow2", "cluster size"),
        ("qcow2-l1-huge.qcow2", "L1"),
        ("vmdk-flat-etc-passwd.vmdk", "VMDK"),
        ("raw-with-qcow2-magic.img", "backing file"),
    ],
)
def test_a_hostile_image_is_refused_with_its_reason(name, reason):
    with pytest.raises(ImageRefused, match=reason):
        open_image(VECTORS / name)


def test_no_hostile_image_makes_us_open_another_file():
    files = [str(path) for path in sorted(VECTORS.iterdir())]
    script = (
        "import sys\nfrom pathlib import Path\nfrom euca_box.images.inspect import open_image, ImageRefused\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "for name in sys.argv[1:]:\n"
        "    try: open_image(Path(name))\n"
        "    except ImageRefused: pass\n"
        "print(*[name for name in opened if name not in sys.argv])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *files], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )

    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_gzip_file_that_is_no_ramdisk_is_just_unknown_data():
    assert open_image(VECTORS / "gzip-trailing.gz") == ImageFacts("raw", 26, "unknown")


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"KDMV\1\0\0\0", "VMDK"),
        (b"\n# Disk DescriptorFile\nversion=1\n", "VMDK"),
        (b"<<< Oracle VM VirtualBox Disk Image >>>\n\0", "VDI"),
        (at(0x40, b"\x7f\x10\xda\xbe", 512), "VDI"),
        (b"conectix\0\0\0\2", "VHD"),
        (b"vhdxfile\0", "VHDX"),
        (b"QED\0\0", "QED"),
        (b"WithoutFreeSpace\0", "Parallels"),
        (b"WithouFreSpacExt\0", "Parallels"),
        (b"OOOM\0\0\0\2", "cow"),
        (b"LUKS\xba\xbe\0\1", "LUKS"),
        (b"QFI\xfb\0\0\0\1" + bytes(100), "qcow version 1"),
        (b'json:{"driver":"nbd"}', "text file"),
        (b"nbd://127.0.0.1/", "text file"),
    ],
)
def test_another_format_is_refused_by_its_name(start, name):
    with pytest.raises(ImageRefused, match=name):
        facts(start)


@pytest.mark.parametrize(("trailer", "name"), [(b"conectix", "VHD"), (b"koly", "DMG")])
def test_a_format_with_its_mark_at_the_end_is_refused_too(trailer, name):
    with pytest.raises(ImageRefused, match=name):
        facts(bytes(4096) + trailer.ljust(512, b"\0"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({8: struct.pack(">Q", 0x200)}, "backing"),
        ({16: struct.pack(">I", 11)}, "backing"),
        ({20: struct.pack(">I", 8)}, "cluster"),
        ({20: struct.pack(">I", 22)}, "cluster"),
        ({24: struct.pack(">Q", 0)}, "0 bytes"),
        ({24: struct.pack(">Q", 513)}, "513 bytes"),
        ({32: struct.pack(">I", 1)}, "encrypted"),
        ({32: struct.pack(">I", 2)}, "encrypted"),
        ({36: struct.pack(">I", 0)}, "L1"),
        ({40: struct.pack(">Q", 0x10001)}, "L1 is not inside"),
        ({40: struct.pack(">Q", 0xFFFFFFFFFFFF0000)}, "L1 is not inside"),
        ({48: struct.pack(">Q", 0)}, "reference counts is not inside"),
        ({56: struct.pack(">I", 0)}, "reference count"),
        ({56: struct.pack(">I", 0xFFFFFFFF)}, "reference count"),
        ({60: struct.pack(">I", 1)}, "snapshots"),
        ({72: struct.pack(">Q", 1)}, "cleanly"),
        ({72: struct.pack(">Q", 2)}, "corrupt"),
        ({72: struct.pack(">Q", 4)}, "another file"),
        ({72: struct.pack(">Q", 16)}, "feature 4"),
        ({72: struct.pack(">Q", 1 << 63)}, "feature 63"),
        ({96: struct.pack(">I", 7)}, "wider"),
        ({100: struct.pack(">I", 96)}, "length of 96"),
        ({100: struct.pack(">I", 0xFFFFFFF8)}, "length of"),
        ({72: struct.pack(">Q", 8), 100: struct.pack(">I", 112), 104: b"\2"}, "compression type 2"),
        ({104: struct.pack(">II", 0x44415441, 4)}, "another file"),
        ({104: struct.pack(">II", 0x0537BE77, 16)}, "encrypted"),
        ({104: struct.pack(">II", 1, 0xFFFFFFFF)}, "longer than the header"),
        ({104: struct.pack(">II", 1, 0) * 100}, "too many"),
    ],
)
def test_a_qcow2_that_is_not_plain_is_refused(changes, reason):
    with pytest.raises(ImageRefused, match=reason):
        facts(qcow2(changes))


@pytest.mark.parametrize("version", [2, 3])
def test_a_plain_qcow2_passes_with_the_size_that_the_guest_sees(version):
    assert facts(qcow2(version=version)) == ImageFacts("qcow2", MIB, "unknown")


def test_a_disk_larger_than_allowed_is_refused_whatever_its_format():
    assert facts(bytes(4096), max_virtual_bytes=4096).virtual_size_bytes == 4096
    with pytest.raises(ImageRefused, match="4095 are allowed"):
        facts(bytes(4096), max_virtual_bytes=4095)
    with pytest.raises(ImageRefused, match="are allowed"):
        facts(qcow2(), max_virtual_bytes=MIB - 1)


@pytest.mark.parametrize(
    ("data", "content", "architecture"),
    [
        (at(0x202, b"HdrS\x0f\x02"), "kernel", "i386"),
        (at(0x202, b"HdrS\x0f\x02" + bytes(0x2E) + b"\1"), "kernel", "x86_64"),
        (at(0x38, b"ARM\x64"), "kernel", "arm64"),
        (b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HH", 2, 62) + bytes(100), "kernel", "x86_64"),
        (CPIO, "ramdisk", None),
        (gzip.compress(CPIO), "ramdisk", None),
        (lzma.compress(CPIO), "ramdisk", None),
        (b"\x28\xb5\x2f\xfd" + bytes(60), "ramdisk", None),
        (b"\x02\x21\x4c\x18" + bytes(60), "ramdisk", None),
        (gzip.compress(bytes(100)), "unknown", None),
        (at(512, b"EFI PART"), "disk", None),
        (at(0x8001, b"CD001"), "disk", None),
        (at(446, struct.pack("<B3xB3xII", 0x80, 0x83, 2048, 9) + bytes(48) + b"\x55\xaa"), "disk", None),
        (at(510, b"\x55\xaa"), "unknown", None),
        (at(0x438, b"\x53\xef"), "filesystem", None),
        (at(0, b"XFSB"), "filesystem", None),
        (at(0, b"hsqs"), "filesystem", None),
        (at(0x10040, b"_BHRfS_M"), "filesystem", None),
        (bytes(MIB), "unknown", None),
    ],
)
def test_the_content_is_recognized(data, content, architecture):
    assert facts(data) == ImageFacts("raw", len(data), content, architecture)


@pytest.mark.parametrize("options", [[], ["-c"], ["-o", "cluster_size=512"], ["-o", "compat=0.10"]])
def test_a_qcow2_made_by_qemu_img_is_recognized_by_what_the_guest_sees(tmp_path, options):
    raw = tmp_path / "raw"
    raw.write_bytes(at(0x438, b"\x53\xef"))
    made = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, raw, made], check=True)

    assert open_image(made) == ImageFacts("qcow2", 128 * 1024, "filesystem")


def test_an_empty_file_and_what_is_not_a_file_are_refused(tmp_path):
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")

    with pytest.raises(ImageRefused, match="empty"):
        open_image(tmp_path / "empty")
    with pytest.raises(ImageRefused, match="regular"):
        open_image(tmp_path / "fifo")  # and does not wait for a writer
    with pytest.raises(OSError, match="symbolic"):
        open_image(tmp_path / "link")


def test_a_gzip_bomb_costs_no_more_than_an_honest_ramdisk():
    reads = []
    bomb = gzip.compress(bytes(256 * MIB), compresslevel=1)

    def read_at(offset, count):
        reads.append(count)
        return bomb[offset : offset + count]

    assert inspect(read_at, len(bomb)).content == "unknown"
    assert max(reads) <= 65536


@given(st.binary(max_size=600), st.integers(0, 4))
def test_no_bytes_make_it_fail_in_another_way(data, kind):
    prefix = [b"", b"QFI\xfb\0\0\0\2", b"QFI\xfb\0\0\0\3", b"\x1f\x8b\x08", b"\xfd7zXZ\0"][kind]
    with suppress(ImageRefused):
        facts(prefix + data)


@given(st.dictionaries(st.integers(0, 300), st.binary(min_size=1, max_size=9), max_size=4))
def test_no_damage_to_a_qcow2_header_gets_another_file_in(changes):
    data = qcow2(changes)
    try:
        found = facts(data)
    except ImageRefused:
        return
    if found.format == "qcow2":
        assert data[8:20] == bytes(12)
        assert not struct.unpack(">Q", data[72:80])[0] & 4 or data[4:8] == b"\0\0\0\2"
