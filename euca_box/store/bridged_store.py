"""A store that lives in asyncio, seen from a role in trio."""

from euca_box.bridge import Bridge
from euca_box.store.store import Row, Statement, Store, Value


class BridgedStore:
    """A `Store` for trio. Every call crosses the bridge once."""

    def __init__(self, store: Store, bridge: Bridge) -> None:
        self._store = store
        self._bridge = bridge

    async def read(self, sql: str, *args: Value) -> list[Row]:
        return await self._bridge.to_asyncio(self._store.read, sql, *args)

    async def write(self, *batch: Statement) -> list[list[Row]]:
        return await self._bridge.to_asyncio(self._store.write, *batch)

    async def close(self) -> None:
        await self._bridge.to_asyncio(self._store.close)
