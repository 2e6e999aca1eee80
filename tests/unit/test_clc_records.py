"""Hot records: memory and rows agree, and of two changes at once none is lost."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio

from euca_box.roles.clc import role
from euca_box.roles.clc.records import Records
from euca_box.store.store import Conflict, Statement, insert
from euca_box.store.sync_store import SyncStore

pytestmark = pytest.mark.trio
MIGRATIONS = Path(role.MIGRATIONS)


@dataclass(frozen=True)
class Thing:
    thing_id: str
    account: str
    count: int = 0


class SlowStore(SyncStore):
    """Between the question and the commit others have their turn."""

    async def write(self, *batch):
        await trio.sleep(0)
        done = await super().write(*batch)
        await trio.sleep(0)
        return done


@pytest.fixture
def store():
    return SlowStore(MIGRATIONS)


def records_of(store):
    return Records(store, "image", Thing, lambda r: r.thing_id)


def up(record):
    return replace(record, count=record.count + 1)


async def test_a_record_belongs_to_its_account_only(store):
    records = records_of(store)
    await records.add([Thing("t-1", "a"), Thing("t-2", "b"), Thing("t-3", "a")])
    assert [r.thing_id for r in records.of("a")] == ["t-1", "t-3"]
    assert records.owned("b", "t-1") is None
    assert records.owned("a", "t-1") == records.find("t-1") == Thing("t-1", "a")
    assert list(records.of("nobody")) == []


async def test_what_was_changed_is_there_after_a_restart(store):
    records = records_of(store)
    await records.add([Thing("t-1", "a"), Thing("t-2", "a")])
    await records.change("t-1", up)
    await records.remove("t-2")
    again = records_of(store)
    await again.load()
    assert again.all() == records.all() == [Thing("t-1", "a", 1)]


async def test_of_many_changes_at_once_none_is_lost(store):
    records = records_of(store)
    await records.add([Thing("t-1", "a")])
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(records.change, "t-1", up)
    assert records.find("t-1").count == 20
    again = records_of(store)
    await again.load()
    assert again.find("t-1").count == 20


async def test_a_change_that_another_process_made_is_taken_in(store):
    ours, theirs = records_of(store), records_of(store)
    await ours.add([Thing("t-1", "a")])
    await theirs.load()
    await theirs.change("t-1", up)
    assert (await ours.change("t-1", up)).count == 2


async def test_no_change_writes_nothing(store):
    records = records_of(store)
    await records.add([Thing("t-1", "a")])
    before = records.changes_of("a")
    assert await records.change("t-1", lambda r: None) is None
    assert await records.change("t-1", lambda r: r) == Thing("t-1", "a")
    assert await records.change("t-9", up) is None
    assert records.changes_of("a") == before


async def test_when_the_row_beside_it_conflicts_nothing_is_kept(store):
    records = records_of(store)
    name = insert("key_pair_name", {"account": "a", "name": "n"})
    await records.add([Thing("t-1", "a")], name)
    with pytest.raises(Conflict):
        await records.add([Thing("t-2", "a")], name)
    with pytest.raises(Conflict):
        await records.change("t-1", up, name)
    never = Statement("DELETE FROM key_pair_name WHERE name = 'absent'", expect=1)
    with pytest.raises(Conflict):
        await records.change("t-1", up, never)
    assert records.all() == [Thing("t-1", "a", 0)]


async def test_an_id_that_is_taken_is_refused(store):
    records = records_of(store)
    await records.add([Thing("t-1", "a")])
    with pytest.raises(Conflict):
        await records.add([Thing("t-2", "a"), Thing("t-1", "b")])
    assert [r.thing_id for r in records.all()] == ["t-1"]
