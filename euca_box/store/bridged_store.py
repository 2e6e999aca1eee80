"""A store that lives in asyncio, seen from a role in trio."""

import asyncio
from typing import Protocol

import trio

from euca_box.bridge import Bridge
from euca_box.store.store import Row, Statement, Store, Value


class AsyncioStore(Store, Protocol):
    def submit(self, *batch: Statement) -> asyncio.Future[list[list[Row]]]:
        """As `write`; it is under way when this returns."""


class BridgedStore:
    """A `Store` for trio. Every call crosses the bridge once."""

    def __init__(self, store: AsyncioStore, bridge: Bridge) -> None:
        self._store = store
        self._bridge = bridge

    async def read(self, sql: str, *args: Value) -> list[Row]:
        return await self._bridge.to_asyncio(self._store.read, sql, *args)

    async def write(self, *batch: Statement) -> list[list[Row]]:
        await trio.lowlevel.checkpoint_if_cancelled()  # nothing is begun that nobody waits for
        return await self._bridge.outcome(self._store.submit(*batch))

    async def close(self) -> None:
        await self._bridge.to_asyncio(self._store.close)
