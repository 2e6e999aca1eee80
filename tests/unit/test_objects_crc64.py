"""CRCs: known values, folding against the plain table, joining parts."""

import zlib

import google_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from euca_box.objects.crc64 import crc64nvme, join_crc

POLYNOMIAL = 0x9A6C9329AC4BC9B5


def slow_crc64(data: bytes) -> int:
    crc = (1 << 64) - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc ^ (1 << 64) - 1


def test_the_check_value_of_the_catalogue() -> None:
    assert crc64nvme(b"123456789") == 0xAE8B14860A799888
    assert crc64nvme(b"") == 0


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=3000), st.integers(0, 3000))
def test_folding_and_continuing_agree_with_the_definition(data: bytes, cut: int) -> None:
    assert crc64nvme(data[cut:], crc64nvme(data[:cut])) == slow_crc64(data)


def test_more_than_a_block_is_folded_in_blocks() -> None:
    data = bytes(range(256)) * 600
    assert crc64nvme(data) == crc64nvme(data[70_001:], crc64nvme(data[:70_001]))


@given(st.binary(max_size=500), st.binary(max_size=500))
def test_joined_crcs_are_those_of_the_joined_bytes(first: bytes, second: bytes) -> None:
    for algorithm, crc in (
        ("CRC32", zlib.crc32),
        ("CRC32C", google_crc32c.value),
        ("CRC64NVME", crc64nvme),
    ):
        assert join_crc(algorithm, crc(first), crc(second), len(second)) == crc(first + second)
