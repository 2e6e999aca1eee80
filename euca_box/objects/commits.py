"""Commit a change of the index, with what must follow it whether or not the caller still waits."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from euca_box.model.s3_errors import InsufficientStorage
from euca_box.objects.cache import Cache, Key
from euca_box.objects.data import DataEngine
from euca_box.objects.index import released_files
from euca_box.objects.usage import Usage
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Conflict, Row, Statement, StoreFull

log = logging.getLogger(__name__)


class Commits:
    def __init__(self, store: SqliteStore, files: DataEngine, cache: Cache, usage: Usage) -> None:
        self._store, self._files, self._cache, self.usage = store, files, cache, usage
        self._tasks: set[asyncio.Task[list[list[Row]]]] = set()

    async def commit(
        self,
        batch: Sequence[Statement],
        keys: Iterable[Key] = (),
        new_files: Sequence[str] = (),
        kept_files: frozenset[str] = frozenset(),
        *,
        removes: bool = False,
        uploads: Sequence[str] = (),
    ) -> list[list[Row]]:
        """Commit; then forget the keys, and remove the files that the batch released (but kept_files).

        When nothing was kept, new_files go. A cancelled caller changes nothing of that. With
        `removes` the ballast is thrown out when the disk is full. `uploads`: whose parts change; they are of
        the keys' bucket. Raises Conflict, InsufficientStorage.
        """
        names = list(keys)
        if names and self.usage.counts(names[0][0]):
            work = self._counted(batch, names, uploads, new_files, kept_files, removes)
        else:
            work = self._commit(batch, names, new_files, kept_files, removes)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _counted(
        self,
        batch: Sequence[Statement],
        keys: list[Key],
        uploads: Sequence[str],
        new_files: Sequence[str],
        kept_files: frozenset[str],
        removes: bool,
    ) -> list[list[Row]]:
        names = list(dict.fromkeys(keys))
        measured = self.usage.measured(names, uploads)
        whole = [*measured, *batch, *measured]
        results = await self._commit(whole, keys, new_files, kept_files, removes)
        count = len(measured)
        self.usage.take(names[0][0], results[:count], results[-count:])
        return results[count:-count]

    async def _commit(
        self,
        batch: Sequence[Statement],
        keys: list[Key],
        new_files: Sequence[str],
        kept_files: frozenset[str],
        removes: bool,
    ) -> list[list[Row]]:
        try:
            results = await self._write(batch, removes)
        except (Conflict, StoreFull) as error:
            self._files.release(-1, list(new_files))
            if isinstance(error, StoreFull):
                raise InsufficientStorage() from error
            raise
        finally:
            # After any other StoreError the outcome is unknown: the files stay for the sweep at the
            # next start, and the cache must ask the database again.
            for key in keys:
                self._cache.drop(key)
        for generation, names in released_files(r for r in results if r and "file" in r[0].keys()).items():  # noqa: SIM118
            self._files.release(generation, [name for name in names if name not in kept_files])
        return results

    async def _write(self, batch: Sequence[Statement], removes: bool) -> list[list[Row]]:
        try:
            return await self._store.write(*batch)
        except StoreFull:
            if not removes or not await self._files.run(self._files.release_ballast):
                raise
            log.warning("the disk is full: the ballast was given back so that deleting works")
            return await self._store.write(*batch)
