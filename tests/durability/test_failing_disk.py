"""The disk refuses the n-th call of a change: all of it happens or nothing, and nothing else breaks."""

import errno
import json
from pathlib import Path

import pytest

from tests.durability.recording import run_recorded


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_every_call_may_fail_once_or_some_times(
    recorder: Path, scratch: Path, number: int, count: int
) -> None:
    done = run_recorded(
        recorder,
        scratch,
        ["tests.durability.faults", str(scratch)],
        FAULT_ERRNO=str(number),
        FAULT_COUNT=str(count),
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    failed = json.loads(done.stdout)
    for kind in ("put", "multipart", "copy", "delete"):
        assert any(name.startswith(kind) for name in failed), failed
    if number == errno.ENOSPC:
        assert {"put InsufficientStorage", "multipart InsufficientStorage"} <= set(failed)
