"""Commit a change of the index, with what must follow it whether or not the caller still waits."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from euca_box.model.notifications import Notice
from euca_box.model.s3_errors import InsufficientStorage
from euca_box.objects.cache import Cache, Key
from euca_box.objects.data import DataEngine
from euca_box.objects.index import Changes, Committed, Measure, ObjectIndex
from euca_box.objects.notices import Notices
from euca_box.objects.usage import Usage
from euca_box.store.store import Conflict, StoreFull

log = logging.getLogger(__name__)


class Commits:
    def __init__(
        self, index: ObjectIndex, files: DataEngine, cache: Cache, usage: Usage, notices: Notices
    ) -> None:
        self._index, self._files, self._cache = index, files, cache
        self.usage, self.notices = usage, notices
        self._tasks: set[asyncio.Task[Committed]] = set()

    async def commit(
        self,
        changes: Changes,
        keys: Iterable[Key] = (),
        new_files: Sequence[str] = (),
        kept_files: frozenset[str] = frozenset(),
        *,
        removes: bool = False,
        uploads: Sequence[str] = (),
        notices: Sequence[Notice] = (),
    ) -> Committed:
        """Commit; then forget the keys, and remove the files that the change released (but kept_files).

        When nothing was kept, new_files go. A cancelled caller changes nothing of that. With
        `removes` the ballast is thrown out when the disk is full. `uploads`: whose parts change; they are of
        the keys' bucket. `notices` tell of the change and are kept with it.
        Raises Conflict, InsufficientStorage.
        """
        names = list(keys)
        is_counted = bool(names) and self.usage.counts(names[0][0])
        if notices:
            changes = [*changes, *self.notices.put(notices)]
        measure = Measure(names, uploads) if is_counted else None
        work = self._commit(changes, names, new_files, kept_files, measure, removes, notices)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def forget_notices(self, notices: Sequence[Notice]) -> None:
        """They were told, or will not be. Works on a full disk."""
        await self.commit(self.notices.delete(notices), removes=True)
        self.notices.gone(notices)

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _commit(
        self,
        changes: Changes,
        keys: list[Key],
        new_files: Sequence[str],
        kept_files: frozenset[str],
        measure: Measure | None,
        removes: bool,
        notices: Sequence[Notice],
    ) -> Committed:
        try:
            committed = await self._write(changes, measure, removes)
        except (Conflict, StoreFull) as error:
            self._files.release(-1, list(new_files))
            if isinstance(error, StoreFull):
                raise InsufficientStorage() from error
            raise
        finally:
            # After any other StoreError the outcome is unknown: the files stay for the sweep at the
            # next start, and the cache must ask the index again.
            for key in keys:
                self._cache.drop(key)
        if notices:
            self.notices.arrived(notices)
        if measure is not None:
            self.usage.take(keys[0][0], committed.grown_bytes)
        for generation, names in committed.released.items():
            self._files.release(generation, [name for name in names if name not in kept_files])
        return committed

    async def _write(self, changes: Changes, measure: Measure | None, removes: bool) -> Committed:
        try:
            return await self._index.commit(changes, measure)
        except StoreFull:
            if not removes or not await self._files.run(self._files.release_ballast):
                raise
            log.warning("the disk is full: the ballast was given back so that deleting works")
            return await self._index.commit(changes, measure)
