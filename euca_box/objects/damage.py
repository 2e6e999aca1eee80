"""Versions whose bytes are damaged: noted durably, kept aside, told to the operator.

A version in quarantine is not read any more, whole or in part, until a scrub finds it whole again (its
file was restored) or it is deleted or overwritten.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from euca_box.objects.rows import StoredObject
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Statement, StoreError, insert

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Damage:
    """Where it was found. `file` is empty for bytes in the database."""

    generation: int
    bucket: str
    key: str
    version_id: str
    file: str
    offset_bytes: int
    found_ms: int


class Quarantine:
    def __init__(self, store: SqliteStore, now_ms: Callable[[], int]) -> None:
        self._store, self._now_ms = store, now_ms
        self._damages: dict[int, Damage] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Take over what was noted, except of versions that are gone."""
        gone = (
            "DELETE FROM damage WHERE generation NOT IN"
            " (SELECT generation FROM piece UNION SELECT generation FROM blob)"
        )
        await self._store.write(Statement(gone))
        rows = await self._store.read("SELECT * FROM damage")
        self._damages = {row["generation"]: Damage(**dict(row)) for row in rows}
        for damage in self._damages.values():
            log.error("damaged object: %s", damage)

    def __contains__(self, generation: int) -> bool:
        return generation in self._damages

    def all(self) -> list[Damage]:
        return list(self._damages.values())

    def add(self, generation: int, name: tuple[str, str, str], file: str, offset_bytes: int) -> None:
        """Of a version (bucket, key, version id). At once in memory, soon on the disk."""
        if generation in self._damages:
            return
        damage = Damage(generation, *name, file, offset_bytes, self._now_ms())
        log.error("damaged object: %s", damage)
        self._damages[generation] = damage
        row = {field: getattr(damage, field) for field in Damage.__dataclass_fields__}
        self._keep(self._write(insert("damage", row, or_replace=True)))

    def note(self, stored: StoredObject, file: str, offset_bytes: int) -> None:
        self.add(stored.generation, (stored.bucket, stored.key, stored.version_id), file, offset_bytes)

    def remove(self, generation: int) -> None:
        """It was found whole."""
        if self._damages.pop(generation, None) is not None:
            log.warning("object data of generation %d is whole again", generation)
            self._keep(self._write(Statement("DELETE FROM damage WHERE generation = ?", (generation,))))

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, change: Statement) -> None:
        try:
            await self._store.write(change)
        except StoreError as error:
            log.error("damage of an object could not be written down: %s", error)
