"""The image inspector looks into any bytes: facts or a reason, from few and small reads."""

import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from euca_box.images.inspect import ImageFacts, ImageRefused, inspect, open_image
from tests.fuzz.asgi_case import bounded

MIB = 1 << 20
MAGICS = [
    b"QFI\xfb\0\0\0\3", b"QFI\xfb\0\0\0\2", b"KDMV", b"vhdxfile", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0\0\4",
    b"\x5d\0\0\x80\0", b"070701", b"\x28\xb5\x2f\xfd", b"\x7fELF\2\1\1", b"hsqs", b"conectix", b"",
]  # fmt: skip
MARKS = [(0x202, b"HdrS\x0c\x02"), (0x38, b"ARM\x64"), (510, b"\x55\xaa"), (512, b"EFI PART"),
         (0x438, b"\x53\xef"), (0x8001, b"CD001"),
         (0x10040, b"_BHRfS_M"), (0x40, b"\x7f\x10\xda\xbe")]  # fmt: skip


class Reads:
    """The file as its reader sees it, and what was read of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sizes: list[int] = []

    def __call__(self, offset: int, count: int) -> bytes:
        assert 0 <= offset < 1 << 63
        assert count >= 0
        self.sizes.append(count)
        return self.data[offset : offset + count]


def look(data: bytes) -> ImageFacts | None:
    reads = Reads(data)
    try:
        found = inspect(reads, len(data))
    except ImageRefused:
        found = None
    # A compressed cluster of 2 MiB may take as much; everything else asks for 64 KiB at most.
    assert max(reads.sizes, default=0) <= 4 * MIB + 512
    assert len(reads.sizes) < 200
    return found


def marked(start: bytes, marks: list[tuple[int, bytes]], size: int) -> bytes:
    data = bytearray(max([size, len(start), *(at + len(mark) for at, mark in marks)]))
    data[: len(start)] = start
    for at, mark in marks:
        data[at : at + len(mark)] = mark
    return bytes(data)


files = st.builds(
    marked,
    st.builds(bytes.__add__, st.sampled_from(MAGICS), st.binary(max_size=600)),
    st.lists(st.sampled_from(MARKS), max_size=3),
    st.sampled_from([0, 512, 4096, 0x11000]),
)


@bounded
@given(st.one_of(st.binary(max_size=1200), files))
def test_any_file_is_known_or_refused(data: bytes) -> None:
    found = look(data)
    if found is not None and found.format == "raw":
        assert found.virtual_size_bytes == len(data)
        assert not data.startswith((b"QFI\xfb", b"KDMV", b"vhdxfile"))


@pytest.mark.parametrize("end", [0x206, 0x207, 0x208, 0x236])
def test_a_kernel_that_is_cut_within_its_header_is_not_a_kernel(end: int) -> None:
    look((bytes(0x202) + b"HdrS\x0c\x02" + bytes(64))[:end])


def plain_qcow2(version: int, cluster_bits: int) -> bytearray:
    """Header, L1, reference counts and L2, each in a cluster of its own; smaller clusters are tighter."""
    cluster = 1 << min(cluster_bits, 16)
    head = struct.pack(
        ">4sIQIIQIIQQIIQ",
        b"QFI\xfb", version, 0, 0, cluster_bits, MIB, 0, 32, cluster, 2 * cluster, 1, 0, 0,
    )  # fmt: skip
    data = bytearray(head + struct.pack(">QQQII", 0, 0, 0, 4, 104)).ljust(8 * cluster, b"\0")
    data[cluster : cluster + 8] = struct.pack(">Q", 3 * cluster)
    return data


fields = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from(
        [b"\xff" * 8, bytes(8), struct.pack(">Q", 1 << 62), b"\0\0\0\x68", b"DATA", b"\x05\x37\xbe\x77"]
    ),
)
changes = st.lists(st.tuples(st.integers(0, 160), fields), max_size=4)
tables = st.lists(st.tuples(st.sampled_from([1, 3, 4]), st.integers(0, 32), fields), max_size=4)


@bounded
@given(st.sampled_from([2, 3]), st.sampled_from([9, 12, 16, 21]), changes, tables, st.integers(0, 1 << 19))
@example(3, 16, [], [(3, 0, struct.pack(">Q", 1 << 62 | 0x1FF << 54))], 0)
def test_no_damage_to_a_qcow2_breaks_its_reader(
    version: int, cluster_bits: int, header: Any, entries: Any, cut: int
) -> None:
    data = plain_qcow2(version, cluster_bits)
    cluster = 1 << min(cluster_bits, 16)
    for offset, value in header:
        data[offset : offset + len(value)] = value
    for which, entry, value in entries:
        at = which * cluster + 8 * entry
        data[at : at + len(value)] = value
    whole = bytes(data[: max(1, len(data) - cut)])

    found = look(whole)

    if found is not None and found.format == "qcow2":
        assert whole[8:20] == bytes(12), "a backing file"
        assert not (version == 3 and whole[79] & 0b111), "dirty, corrupt, or with its data elsewhere"
        assert 0 < found.virtual_size_bytes <= 1 << 40


@bounded
@given(changes, tables)
def test_a_file_of_the_host_is_read_like_bytes(header: Any, entries: Any) -> None:
    """pread has limits of its own: an offset out of range is an OSError or an OverflowError."""
    data = plain_qcow2(3, 16)
    for which, entry, value in [(0, offset // 8, v) for offset, v in header] + entries:
        data[which << 16 | 8 * entry : (which << 16 | 8 * entry) + len(value)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(data)
        try:
            read = open_image(path)
        except ImageRefused as refused:
            with pytest.raises(ImageRefused, match="^" + str(refused)[:8]):
                inspect(Reads(bytes(data)), len(data))
        else:
            assert read == look(bytes(data))


def test_the_undamaged_one_passes() -> None:
    """The harness itself."""
    found = look(bytes(plain_qcow2(3, 16)))
    assert found is not None
    assert (found.format, found.virtual_size_bytes) == ("qcow2", MIB)
