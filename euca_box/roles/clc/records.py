"""Hot records: one noun's frozen values in memory, written through to the store.

Memory changes only after the row is committed. A change is made on the version that was read and is
repeated on the newer one when somebody was faster: two changes, none lost.
"""

import gc
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Generic, TypeVar

from euca_box.messages import base
from euca_box.messages.base import Call
from euca_box.store.store import Conflict, Statement, Store, one

T = TypeVar("T")


class Records(Generic[T]):
    """Rows of `table (id, account, version, record)`. `id_of` and `T.account` say where a record belongs."""

    def __init__(
        self,
        store: Store,
        table: str,
        kind: type[T],
        id_of: Callable[[T], str],
        watch: Callable[[T | None, T | None], None] | None = None,
    ) -> None:
        """`watch(before, after)` is called for each record that comes, changes or goes."""
        self._store = store
        self._table = table
        self._kind = kind
        self._id_of = id_of
        self._watch = watch or (lambda before, after: None)
        self._records: dict[str, T] = {}
        self._versions: dict[str, int] = {}
        self._of_account: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._changes: Counter[str] = Counter()  # account -> changes of its records
        self._sorted: dict[str, list[str]] = {}  # account -> ids, until one comes or goes

    async def load(self) -> None:
        rows = await self._store.read(f"SELECT id, version, record FROM {self._table} ORDER BY rowid")  # noqa: S608
        with _no_collection():
            for row in rows:
                self._keep(row["id"], base.decode(row["record"], self._kind), row["version"])

    def id_of(self, record: T) -> str:
        return self._id_of(record)

    def find(self, record_id: str) -> T | None:
        return self._records.get(record_id)

    def owned(self, account: str, record_id: str) -> T | None:
        """The record if it is of this account. Another account's does not exist."""
        record = self._records.get(record_id)
        return record if record is not None and self._account_of(record) == account else None

    def reachable(self, call: Call, record_id: str) -> T | None:
        """The caller's record; an administrator's are those of every account."""
        return self.find(record_id) if call.admin else self.owned(call.account, record_id)

    def reachable_by(self, call: Call) -> Iterable[T]:
        return self.all() if call.admin else self.of(call.account)

    def of(self, account: str) -> Iterator[T]:
        """An account's records, oldest first."""
        return (self._records[i] for i in tuple(self._of_account.get(account, ())))

    def sorted_of(self, account: str, after: str = "") -> Iterator[T]:
        """An account's records by id, those beyond `after`: for pages, which need only their own part."""
        known = self._sorted.get(account)
        if known is None:
            known = self._sorted[account] = sorted(self._of_account.get(account, ()))
        at = bisect_right(known, after)
        return (self._records[i] for i in islice(known, at, None))

    def changes_of(self, account: str) -> int:
        """Grows with every change of the account's records; caches compare it."""
        return self._changes[account]

    def all(self) -> list[T]:
        return list(self._records.values())

    async def add(self, records: Iterable[T], *more: Statement) -> None:
        """New rows, together with `more`, in one transaction. Raises Conflict when an id is taken."""
        records = list(records)
        await self._store.write(*(self._inserted(r) for r in records), *more)
        for record in records:
            self._keep(self._id_of(record), record, 1)

    def inserts(self, records: Iterable[T]) -> list[Statement]:
        """Rows for the transaction of another noun; `take` the records when it is committed."""
        return [self._inserted(record) for record in records]

    def take(self, records: Iterable[T]) -> None:
        for record in records:
            self._keep(self._id_of(record), record, 1)

    async def change(self, record_id: str, change: Callable[[T], T | None], *more: Statement) -> T | None:
        """Replace the record by change(record), with `more` in the same transaction.

        `change` may run several times and answers None to leave all as it is; then None is returned,
        as when the record is not there.
        """
        while (record := self._records.get(record_id)) is not None:
            version = self._versions[record_id]
            changed = change(record)
            if changed is None or changed == record:
                return changed
            update = Statement(
                f"UPDATE {self._table} SET record = ?, version = ? WHERE id = ? AND version = ?",  # noqa: S608
                (base.encode(changed), version + 1, record_id, version),
                expect=1,
            )
            try:
                await self._store.write(update, *more)
            except Conflict:
                if not await self._refreshed(record_id, version):
                    raise
                continue
            if self._versions.get(record_id, version) <= version:
                self._keep(record_id, changed, version + 1)
            return changed
        return None

    async def remove(self, record_id: str, *more: Statement) -> None:
        delete = Statement(f"DELETE FROM {self._table} WHERE id = ?", (record_id,))  # noqa: S608
        await self._store.write(delete, *more)
        record = self._records.pop(record_id, None)
        self._versions.pop(record_id, None)
        if record is not None:
            self._watch(record, None)
            account = self._account_of(record)
            self._of_account[account].pop(record_id, None)
            self._sorted.pop(account, None)
            self._changes[account] += 1

    async def _refreshed(self, record_id: str, stale: int) -> bool:
        """Read the row again after a lost race; False when the row was not what made the conflict."""
        row = one(
            await self._store.read(f"SELECT version, record FROM {self._table} WHERE id = ?", record_id)  # noqa: S608
        )
        if row is None or row["version"] == stale:
            return False
        self._keep(record_id, base.decode(row["record"], self._kind), row["version"])
        return True

    def _inserted(self, record: T) -> Statement:
        return Statement(
            f"INSERT INTO {self._table} (id, account, version, record) VALUES (?, ?, 1, ?)",  # noqa: S608
            (self._id_of(record), self._account_of(record), base.encode(record)),
        )

    def _keep(self, record_id: str, record: T, version: int) -> None:
        self._watch(self._records.get(record_id), record)
        self._records[record_id] = record
        self._versions[record_id] = version
        account = self._account_of(record)
        if record_id not in self._of_account[account]:
            self._of_account[account][record_id] = None
            self._sorted.pop(account, None)
        self._changes[account] += 1

    @staticmethod
    def _account_of(record: Any) -> str:
        return str(record.account)


@contextmanager
def _no_collection() -> Iterator[None]:
    """While many records are made none is garbage, and looking for some takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
