"""`python -m tests.durability.workload FOLDER SEED STEPS [WITHOUT]`: change objects, noted in the record.

Every key has one worker, so what the key may hold at any moment is known: what was acknowledged last, or
what is under way. WITHOUT leaves a promise out, so that a test can see that its loss is found.
"""

import asyncio
import ctypes
import hashlib
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from euca_box.model.accounts import Principal
from euca_box.model.notifications import Event, NotificationConfiguration, QueueConfiguration
from euca_box.objects import completion, files
from euca_box.objects.completion import NamedPart
from euca_box.objects.digests import Expectation
from euca_box.objects.engine import Objects
from euca_box.objects.sqlite.index import SqliteIndex
from euca_box.objects.versions import Wish
from euca_box.store import engine
from euca_box.store.sqlite_store import open_store

MIGRATIONS = Path(__file__).parents[2] / "euca_box/roles/walrus/migrations"
ALICE = Principal("000000000002", "alice", "a" * 64, "alice")
OPTIONS = {"reserve_bytes": 1 << 20, "ballast_bytes": 0}
NOTIFICATIONS = NotificationConfiguration(
    queue_configuration=(
        QueueConfiguration(
            ("s3:ObjectCreated:*", "s3:ObjectRemoved:*"), queue="arn:aws:sqs:us-east-1:000000000002:hook"
        ),
    )
)
KEYS = 4
SOURCE_SIZES = (9_000, 90_000)
SIZES = (0, 100, 16_384, 16_385, 70_000, 300_000)


def content(name: str, step: int, size: int) -> bytes:
    """Bytes of which every 32 say whose they are."""
    seed = hashlib.sha256(f"{name} {step}".encode()).digest()
    return (seed * (size // 32 + 1))[:size]


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65536):
        yield data[start : start + 65536]


class Worker:
    def __init__(self, objects: Objects, bucket: str, key: str, dice: random.Random) -> None:
        self._objects, self._bucket, self._key, self._dice = objects, bucket, key, dice
        self._versions: list[str] = []

    async def run(self, steps: int) -> None:
        kinds = ["put", "put", "multipart", "copy", "delete"]
        kinds += ["delete version"] if self._bucket == "versioned" else []
        for step in range(steps):
            kind, size = self._dice.choice(kinds), self._dice.choice(SIZES)
            victim = (
                self._dice.choice(self._versions) if kind == "delete version" and self._versions else None
            )
            if kind == "delete version" and victim is None:
                continue
            key = f"{self._bucket}/{self._key}"
            facts = {"key": key, "step": step, "kind": kind, "size": size, "victim": victim}
            note({"event": "begin", **facts})
            version = await self.change(kind, step, size, victim)
            note({"event": "end", **facts, "version": version})

    async def change(self, kind: str, step: int, size: int, victim: str | None) -> str:
        objects, bucket, key = self._objects, self._bucket, self._key
        data = content(f"{bucket}/{key}", step, size)
        if kind == "put":
            made = (await objects.put(ALICE, bucket, key, pieces(data), Wish())).version_id
        elif kind == "multipart":
            made = await self._multipart(data)
        elif kind == "copy":
            async with objects.opened(ALICE, "plain", f"source{step % 2}") as source:
                made = (await objects.copy(ALICE, source, bucket, key, Wish(event=Event.COPY))).version_id
        elif victim is not None:
            await objects.delete(ALICE, bucket, key, victim)
            self._versions.remove(victim)
            return ""
        else:
            made = (await objects.delete(ALICE, bucket, key)).version_id
        if bucket == "versioned":
            self._versions.append(made)
        return made

    async def _multipart(self, data: bytes) -> str:
        uploads, half = self._objects.uploads, len(data) // 2
        upload = await uploads.create(ALICE, self._bucket, self._key, Wish())
        named = []
        for number, part in enumerate((data[:half], data[half:]), start=1):
            made = await uploads.put_part(upload, number, pieces(part), Expectation())
            named.append(NamedPart(number, made.etag))
        _, version = await uploads.complete(ALICE, self._bucket, self._key, upload.upload_id, named, Wish())
        return version


def note(facts: dict[str, Any]) -> None:
    RECORDER.record_note(json.dumps(facts).encode())


async def prepare(objects: Objects) -> None:
    for bucket in ("plain", "versioned"):
        await objects.buckets.create(ALICE, bucket)
        await objects.buckets.put_setting(bucket, NOTIFICATIONS)
    await objects.buckets.set_versioning(ALICE, "versioned", "Enabled")
    for number, size in enumerate(SOURCE_SIZES):
        data = content("source", number, size)
        await objects.put(ALICE, "plain", f"source{number}", pieces(data), Wish())


async def main(folder: Path, seed: int, steps: int) -> None:
    store = await open_store(folder / "walrus.db", MIGRATIONS)
    objects = await Objects.open(SqliteIndex(store), folder, **OPTIONS)
    await prepare(objects)
    note({"event": "ready"})
    workers = [
        Worker(objects, bucket, f"k{n}", random.Random(f"{seed} {bucket} {n}"))
        for n in range(KEYS)
        for bucket in ("plain", "versioned")
    ]
    await asyncio.gather(*(worker.run(steps) for worker in workers))
    await objects.close()
    await store.close()


def leave_out(promise: str) -> None:
    nothing: Any = lambda *_: None  # noqa: E731
    if promise == "data":
        files.os = type("os", (), {**vars(os), "fdatasync": staticmethod(nothing)})
    elif promise == "folder":
        files._sync_folder = nothing
    elif promise == "commit":
        prepare = engine.prepare

        def careless(db: Any, path: str) -> None:
            prepare(db, path)
            db.execute("PRAGMA synchronous = OFF")

        engine.prepare = careless


if __name__ == "__main__":
    RECORDER = ctypes.CDLL(None)
    completion.SMALLEST_PART_BYTES = 0
    where, seed_text, steps_text, *without = sys.argv[1:]
    for promise in without:
        leave_out(promise)
    asyncio.run(main(Path(where), int(seed_text), int(steps_text)))
