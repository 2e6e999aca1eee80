"""Results of mutating operations by op id, in the role's own store (table op_result)."""

from collections.abc import Callable
from typing import Any

from euca_box.messages import base
from euca_box.messages.base import Op
from euca_box.store.store import Statement, Store, one

KEPT_SECONDS = 24 * 3600.0


class StoredResults:
    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    async def find(self, op_id: str, op: Op[Any]) -> Any | None:
        kind: Any = type(op)
        row = one(await self._store.read("SELECT reply FROM op_result WHERE op_id = ?", op_id))
        return None if row is None else base.decode(row["reply"], base.reply_type(kind))

    async def keep(self, op_id: str, op: Op[Any], reply: Any) -> None:
        await self._store.write(
            Statement(
                "INSERT INTO op_result (op_id, reply, at) VALUES (?, ?, ?) ON CONFLICT (op_id) DO NOTHING",
                (op_id, base.encode(reply), self._now()),
            )
        )

    async def forget_old(self) -> None:
        """Drop results that nobody will ask for again."""
        oldest = self._now() - KEPT_SECONDS
        await self._store.write(Statement("DELETE FROM op_result WHERE at < ?", (oldest,)))
