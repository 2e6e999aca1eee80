"""A simulation is worth something only if it can be run again: the same seed, the same run."""

import random

import pytest
import trio
import trio._core._run as scheduler
import trio.testing

from tests.sim.cloud import cloud


async def history(folder, seed):
    """When each instance ran, and what it was given."""
    events = []
    async with cloud(folder, seed) as c:
        for instance_id in await c.run_instances(count=2):
            events.append((trio.current_time(), await c.until(instance_id, "running")))
    return events


@pytest.fixture
def _seeded(monkeypatch):
    """trio shuffles ready tasks with a generator of its own, which must be seeded too (private names)."""
    monkeypatch.setattr(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    yield
    scheduler._r.seed(random.random())


@pytest.mark.usefixtures("_seeded")
def test_the_same_seed_gives_the_same_run(tmp_path):
    runs = []
    for n in range(2):
        folder = tmp_path / str(n)
        folder.mkdir()
        scheduler._r.seed(7)
        runs.append(trio.run(history, folder, 7, clock=trio.testing.MockClock(autojump_threshold=0)))
    assert runs[0] == runs[1]
