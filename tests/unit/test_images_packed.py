"""Compressed images: unpacked by their first bytes, never beyond the ceiling."""

import gzip
import lzma
import os
import tracemalloc

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from euca_box.images.packed import PackedError, unpacked

MIB = 1 << 20
IMAGE = os.urandom(300_000) + bytes(3 * MIB) + os.urandom(1000)
CHECKED = {zstd.CompressionParameter.checksum_flag: 1}  # as the program zstd has it


def zstd_compress(data):
    return zstd.compress(data, options=CHECKED)


WAYS = {"gzip": gzip.compress, "xz": lzma.compress, "zstd": zstd_compress}


def opened(data, most=100 * MIB, step=50_000):
    return b"".join(unpacked((data[n : n + step] for n in range(0, len(data), step)), most))


@pytest.mark.parametrize("way", WAYS)
def test_a_compressed_image_is_unpacked(way):
    packed = WAYS[way](IMAGE)
    assert opened(packed) == IMAGE
    assert opened(packed, step=1013) == IMAGE
    assert opened(packed + WAYS[way](b"more")) == IMAGE + b"more"


@settings(max_examples=40, deadline=None)
@given(data=st.binary(min_size=1, max_size=4000), way=st.sampled_from(sorted(WAYS)), step=st.integers(1, 999))
def test_any_bytes_come_back_in_pieces_of_any_size(data, way, step):
    assert opened(WAYS[way](data), step=step) == (WAYS[way](data) if data.startswith(b"07070") else data)


def test_what_is_not_compressed_stays_as_it_is():
    assert opened(IMAGE) == IMAGE
    assert opened(b"x") == b"x"
    assert opened(b"") == b""


@pytest.mark.parametrize("way", WAYS)
def test_a_compressed_ramdisk_stays_as_it_is(way):
    packed = WAYS[way](b"070701" + bytes(5000))
    assert opened(packed) == packed


@pytest.mark.parametrize("way", WAYS)
def test_a_bomb_ends_at_the_ceiling_and_takes_little_memory(way):
    bomb = WAYS[way](bytes(80 * MIB))
    tracemalloc.start()
    with pytest.raises(PackedError, match="allowed"):
        for _ in unpacked(iter([bomb]), 60 * MIB):
            pass
    assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    tracemalloc.stop()


@pytest.mark.parametrize("way", WAYS)
def test_what_is_damaged_or_cut_is_refused(way):
    packed = WAYS[way](IMAGE)
    with pytest.raises(PackedError, match="breaks off"):
        opened(packed[:-20])
    with pytest.raises(PackedError):
        opened(packed[:1000] + b"damage" * 20 + packed[1120:])


def test_a_decoder_that_asks_for_much_memory_is_refused():
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    with pytest.raises(PackedError, match="does not unpack"):
        opened(lzma.compress(b"x" * 1000, filters=filters))
