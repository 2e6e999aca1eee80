import os
from collections.abc import Iterator

import pytest

from .lab import Lab


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        pytest.skip("needs root and /dev/net/tun")


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A host without an uplink for public addresses, as a laptop."""
    lab = Lab()
    yield lab
    lab.end()


@pytest.fixture
def rack_lab() -> Iterator[Lab]:
    """A host whose public addresses belong to the LAN outside."""
    lab = Lab(uplink=True)
    yield lab
    lab.end()
