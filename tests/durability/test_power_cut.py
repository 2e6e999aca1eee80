"""The power goes at any moment: what was acknowledged is there, whole, and nothing has wrong bytes.

A workload is recorded write by write; then the disks that a power cut could have left are made one by one,
and the store is opened on each. `EUCA_BOX_CRASH_STATES=20000` makes a long run of it.
"""

import asyncio
import os
import random
import tempfile
from pathlib import Path

import pytest

from tests.durability.acknowledged import Acknowledged
from tests.durability.checking import wrongs_of
from tests.durability.crash_states import Disk, LoseAll, LoseAnything, Loss
from tests.durability.recording import Event, note_of, read_log, run_recorded

STATES = int(os.environ.get("EUCA_BOX_CRASH_STATES", "300"))
STATES_A_RECORD = 600
VARIANTS = 6  # of each moment: nothing lost, all lost, the rest by dice


def recorded(recorder: Path, scratch: Path, seed: int, *without: str) -> tuple[Path, list[Event]]:
    root, log = scratch / "disk", scratch / "log"
    root.mkdir()
    steps = "12"
    done = run_recorded(
        recorder, root, ["tests.durability.workload", str(root), str(seed), steps, *without], log
    )
    assert done.returncode == 0, done.stderr
    events = list(read_log(log))
    log.unlink()
    return root, events


def losses(dice: random.Random) -> list[Loss]:
    return [Loss(), LoseAll(), *(LoseAnything(dice) for _ in range(VARIANTS - 2))]


async def wrongs_after_crashes(
    root: Path, events: list[Event], scratch: Path, dice: random.Random, states: int
) -> tuple[int, list[str]]:
    """How many states were looked at, and what was wrong with them."""
    notes = [note_of(event) for event in events if event.kind == "N"]
    known = Acknowledged({(n["key"], n["step"]): n["version"] for n in notes if n["event"] == "end"})
    disk, wrongs, count = Disk(root), [], 0
    moments = set(dice.sample(range(len(events)), min(len(events), states // VARIANTS)))
    for moment, event in enumerate(events):
        if event.kind == "N":
            known.feed(note_of(event))
        else:
            disk.feed(event)
        for number, loss in enumerate(losses(dice) if moment in moments else ()):
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                disk.lay_out(Path(folder), loss)
                found = await wrongs_of(Path(folder), known)
            count += 1
            wrongs += [f"event {moment}, state {number}: {wrong}" for wrong in found]
    return count, wrongs


def test_what_was_acknowledged_survives_a_power_cut_at_any_moment(recorder: Path, scratch: Path) -> None:
    looked_at = 0
    for seed in range(max(1, STATES // STATES_A_RECORD)):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            root, events = recorded(recorder, Path(folder), seed)
            dice = random.Random(seed)
            wanted = min(STATES, STATES_A_RECORD)
            count, wrongs = asyncio.run(wrongs_after_crashes(root, events, Path(folder), dice, wanted))
        assert not wrongs, "\n".join([f"seed {seed}", *wrongs[:20]])
        looked_at += count
    assert looked_at >= STATES * 0.9


@pytest.mark.parametrize("without", ["data", "folder", "commit"])
def test_a_store_that_leaves_out_one_sync_is_found_out(recorder: Path, scratch: Path, without: str) -> None:
    root, events = recorded(recorder, scratch, 0, without)
    _, wrongs = asyncio.run(wrongs_after_crashes(root, events, scratch, random.Random(0), 60))
    assert wrongs
