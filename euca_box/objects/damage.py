"""Versions whose bytes are damaged: noted durably, kept aside, told to the operator.

A version in quarantine is not read any more, whole or in part, until a scrub finds it whole again (its
file was restored) or it is deleted or overwritten.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from euca_box.objects.index import Changes, ObjectIndex
from euca_box.objects.rows import Damage, StoredObject
from euca_box.store.store import StoreError

log = logging.getLogger(__name__)


class Quarantine:
    def __init__(self, index: ObjectIndex, now_ms: Callable[[], int]) -> None:
        self._index, self._now_ms = index, now_ms
        self._damages: dict[int, Damage] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Take over what was noted, except of versions that are gone."""
        await self._index.commit(self._index.scrub.forget_gone())
        self._damages = {damage.generation: damage for damage in await self._index.scrub.damages()}
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
        self._keep(self._write(self._index.scrub.put_damage(damage)))

    def note(self, stored: StoredObject, file: str, offset_bytes: int) -> None:
        self.add(stored.generation, (stored.bucket, stored.key, stored.version_id), file, offset_bytes)

    def remove(self, generation: int) -> None:
        """It was found whole."""
        if self._damages.pop(generation, None) is not None:
            log.warning("object data of generation %d is whole again", generation)
            self._keep(self._write(self._index.scrub.delete_damage(generation)))

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, changes: Changes) -> None:
        try:
            await self._index.commit(changes)
        except StoreError as error:
            log.error("damage of an object could not be written down: %s", error)
