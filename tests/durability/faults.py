"""`python -m tests.durability.faults FOLDER`: change objects, with the n-th call to the disk failing.

Under `recorder.c`, for every n up to where the change no longer reaches it. What failed may have happened
or not; what succeeded has happened; the store goes on working. Prints how often each kind of change
failed, as JSON.
"""

import asyncio
import collections
import ctypes
import json
import random
import sys
from pathlib import Path
from typing import Any

from euca_box.model.errors import EucaError
from euca_box.objects import completion
from euca_box.objects.engine import Objects
from euca_box.objects.sqlite.index import SqliteIndex
from euca_box.store.sqlite_store import open_store
from euca_box.store.store import StoreError
from tests.durability.acknowledged import Acknowledged
from tests.durability.checking import held_by, told_of, wrongs_of, wrongs_of_key
from tests.durability.workload import MIGRATIONS, OPTIONS, Worker, prepare

KINDS = (("put", 100), ("put", 70_000), ("multipart", 70_000), ("copy", 0), ("delete", 0))
MOST_CALLS = 100


class Sweep:
    def __init__(self, objects: Objects, recorder: Any) -> None:
        self._objects, self._recorder = objects, recorder
        self.known = Acknowledged({})
        self.failed: collections.Counter[str] = collections.Counter()

    async def run(self) -> None:
        for bucket in ("plain", "versioned"):
            for number, (kind, size) in enumerate(KINDS):
                worker = Worker(self._objects, bucket, f"k{number}", random.Random(0))
                for at in range(1, MOST_CALLS):
                    if not await self._step(worker, f"{bucket}/k{number}", kind, size, at):
                        break
                else:
                    raise AssertionError(f"{kind} makes more than {MOST_CALLS} calls")

    async def _step(self, worker: Worker, name: str, kind: str, size: int, at: int) -> bool:
        """Whether the fault was reached."""
        if kind == "delete":
            await self._change(worker, name, "put", at + MOST_CALLS, 100)
        self._recorder.record_fault(at)
        try:
            await self._change(worker, name, kind, at, size)
        except (EucaError, StoreError, OSError) as error:
            self.failed[f"{kind} {type(error).__name__}"] += 1
        reached = self._recorder.record_calls() >= at
        self._recorder.record_fault(0)
        wrongs = await wrongs_of_key(self._objects, name, self.known)
        assert not wrongs, f"call {at} of {kind} failed: {wrongs}"
        await self._settle(name)
        return reached

    async def _change(self, worker: Worker, name: str, kind: str, step: int, size: int) -> None:
        facts = {"key": name, "step": step, "kind": kind, "size": size, "victim": None}
        self.known.feed({"event": "begin", **facts})
        version = await worker.change(kind, step, size, None)
        self.known.ids[name, step] = version
        self.known.feed({"event": "end", **facts})

    async def _settle(self, name: str) -> None:
        """What was under way has happened or not; from here on it is one of the two."""
        if name not in self.known.under_way:
            return
        self.known.held[name] = await held_by(self._objects, *name.split("/"))
        self.known.told[name] = await told_of(self._objects, *name.split("/"))
        del self.known.under_way[name]


async def main(folder: Path, recorder: Any) -> None:
    store = await open_store(folder / "walrus.db", MIGRATIONS)
    objects = await Objects.open(SqliteIndex(store), folder, **OPTIONS)
    await prepare(objects)
    sweep = Sweep(objects, recorder)
    await sweep.run()
    await objects.close()
    await store.close()
    wrongs = await wrongs_of(folder, sweep.known)
    assert not wrongs, wrongs
    print(json.dumps(sweep.failed))  # noqa: T201


if __name__ == "__main__":
    completion.SMALLEST_PART_BYTES = 0
    asyncio.run(main(Path(sys.argv[1]), ctypes.CDLL(None)))
