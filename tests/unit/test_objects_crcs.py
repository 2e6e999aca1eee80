"""CRCs: known values, continuing, joining, any kind of buffer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from euca_box.objects.crcs import CRCS, WIDTH_BYTES, crc32c, join_crc


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [("CRC32", 0xCBF43926), ("CRC32C", 0xE3069283), ("CRC64NVME", 0xAE8B14860A799888)],
)
def test_the_check_value_of_the_catalogue(algorithm: str, value: int) -> None:
    for digits in (b"123456789", bytearray(b"123456789"), memoryview(b"0123456789")[1:]):
        assert CRCS[algorithm](digits, 0) == value < 1 << 8 * WIDTH_BYTES[algorithm]
    assert crc32c(b"") == 0


@given(st.binary(max_size=500), st.binary(max_size=500))
def test_a_crc_continued_or_joined_is_that_of_the_joined_bytes(first: bytes, second: bytes) -> None:
    for algorithm, crc in CRCS.items():
        whole = crc(first + second, 0)
        assert crc(second, crc(first, 0)) == whole
        assert join_crc(algorithm, crc(first, 0), crc(second, 0), len(second)) == whole
