import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.recording import build_recorder


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_recorder(tmp_path_factory.mktemp("recorder"))


@pytest.fixture
def scratch() -> Iterator[Path]:
    """In memory where that is possible: each state is a new disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder)
