"""What every store promises; run on the driver of the cloud and on that of the simulations."""

import asyncio
import sqlite3

import pytest

from euca_box.store import engine
from euca_box.store.sqlite_store import open_store
from euca_box.store.store import Conflict, Statement, StoreError, insert
from euca_box.store.sync_store import SyncStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def migrations(tmp_path):
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_first.sql").write_text(
        "CREATE TABLE thing (name text PRIMARY KEY, n integer NOT NULL);\nCREATE INDEX by_n ON thing (n);\n"
    )
    return folder


@pytest.fixture(params=["sqlite", "sync"])
async def store(request, tmp_path, migrations):
    opened = (
        await open_store(tmp_path / "x.db", migrations)
        if request.param == "sqlite"
        else SyncStore(migrations)
    )
    yield opened
    await opened.close()


def thing(name, n=0):
    return insert("thing", {"name": name, "n": n})


async def names(store):
    return [row["name"] for row in await store.read("SELECT name FROM thing ORDER BY name")]


async def test_a_write_is_seen_by_the_next_read(store):
    await store.write(thing("a"), thing("b"))
    assert await names(store) == ["a", "b"]


async def test_a_batch_is_kept_whole_or_not_at_all(store):
    await store.write(thing("a"))
    with pytest.raises(Conflict):
        await store.write(thing("b"), thing("a"))
    assert await names(store) == ["a"]


async def test_an_unmet_expectation_keeps_nothing(store):
    with pytest.raises(Conflict):
        await store.write(thing("a"), Statement("UPDATE thing SET n = 1 WHERE name = 'z'", expect=1))
    assert await names(store) == []


async def test_returning_gives_rows(store):
    [[row]] = await store.write(Statement("INSERT INTO thing VALUES ('a', 7) RETURNING n", expect=1))
    assert row["n"] == 7


async def test_one_refused_batch_harms_no_other_of_its_group(store):
    await store.write(thing("a"))
    outcomes = await asyncio.gather(
        *(store.write(thing(name)) for name in ("b", "a", "c", "a", "d")), return_exceptions=True
    )
    assert [isinstance(o, Conflict) for o in outcomes] == [False, True, False, True, False]
    assert await names(store) == ["a", "b", "c", "d"]


REFUSED = {
    "at once, by a constraint": [thing("a")],
    "at once, by no row": [Statement("UPDATE thing SET n = 7 WHERE name = 'none'", expect=1)],
    "after rows were changed": [Statement("UPDATE thing SET n = 7", expect=1)],
    "after a statement that was done": [thing("y"), thing("a")],
    "after rows that were returned": [Statement("DELETE FROM thing RETURNING name", expect=1)],
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
async def test_nothing_stays_of_a_refused_batch_wherever_it_stands_in_its_group(store, refused):
    await store.write(thing("a", 1), thing("b", 2))
    outcomes = await asyncio.gather(
        store.write(*refused),
        store.write(thing("c")),
        store.write(*refused),
        store.write(thing("d")),
        return_exceptions=True,
    )
    assert [isinstance(outcome, Conflict) for outcome in outcomes] == [True, False, True, False]
    rows = await store.read("SELECT name, n FROM thing ORDER BY name")
    assert [tuple(row) for row in rows] == [("a", 1), ("b", 2), ("c", 0), ("d", 0)]


async def test_a_mistake_in_sql_is_an_error_and_the_store_goes_on(store):
    with pytest.raises(StoreError):
        await store.write(Statement("INSERT INTO nowhere VALUES (1)"))
    await store.write(thing("a"))
    assert await names(store) == ["a"]


async def test_a_writer_that_is_cancelled_does_not_disturb_the_others(tmp_path, migrations):
    store = await open_store(tmp_path / "x.db", migrations)
    first = asyncio.ensure_future(store.write(thing("a")))
    second = asyncio.ensure_future(store.write(thing("b")))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert "b" in await names(store)
    await store.close()


async def test_what_waits_is_committed_before_the_store_closes(tmp_path, migrations):
    store = await open_store(tmp_path / "x.db", migrations)
    writes = [asyncio.ensure_future(store.write(thing(f"t{n:03}"))) for n in range(300)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writes)
    with sqlite3.connect(tmp_path / "x.db") as db:
        assert db.execute("SELECT count(*) FROM thing").fetchone() == (300,)


async def test_rows_are_written_with_full_sync_and_a_write_ahead_log(tmp_path, migrations):
    store = await open_store(tmp_path / "x.db", migrations)
    assert await store.read_with(lambda db: db.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"
    level = await store._writer._execute(
        lambda db: db.execute("PRAGMA synchronous").fetchone(), store._writer._conn
    )
    assert level[0] == 2
    await store.close()


async def test_only_the_owner_may_read_the_file(tmp_path, migrations):
    store = await open_store(tmp_path / "x.db", migrations)
    assert (tmp_path / "x.db").stat().st_mode & 0o077 == 0
    await store.close()


async def test_a_newer_schema_is_refused_with_what_to_do(tmp_path, migrations):
    await (await open_store(tmp_path / "x.db", migrations)).close()
    with sqlite3.connect(tmp_path / "x.db") as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreError, match="written by a newer euca-box"):
        await open_store(tmp_path / "x.db", migrations)


async def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path, migrations):
    store = await open_store(tmp_path / "x.db", migrations)
    for n in range(400):
        await store.write(thing(f"name{n}" * 20))
    await store.close()
    path = tmp_path / "x.db"
    damaged = bytearray(path.read_bytes())
    damaged[4096:12288] = b"\xff" * 8192
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="damaged"):
        await open_store(path, migrations)
    assert path.read_bytes() == damaged


async def test_a_migration_that_fails_changes_nothing(tmp_path, migrations):
    await (await open_store(tmp_path / "x.db", migrations)).close()
    second = migrations / "0002_second.sql"
    second.write_text("CREATE TABLE other (x integer);\nCREATE TABLE thing (again integer);\n")
    with pytest.raises(StoreError):
        await open_store(tmp_path / "x.db", migrations)
    second.write_text("CREATE TABLE other (x integer);\n")
    store = await open_store(tmp_path / "x.db", migrations)
    assert await store.read("SELECT * FROM other") == []
    await store.close()


async def test_rows_are_carried_from_the_wal_into_the_file_although_nobody_waits_for_it(tmp_path, migrations):
    path = tmp_path / "x.db"
    store = await open_store(path, migrations)
    await store.write(thing("carried"))
    async with asyncio.timeout(10):
        while b"carried" not in path.read_bytes():
            await asyncio.sleep(0.01)
    await store.close()
    assert not path.with_name("x.db-wal").exists()


def test_what_a_reader_still_needs_stays_in_the_wal_until_it_has_gone(tmp_path):
    path = tmp_path / "x.db"
    writer, reader, checkpointer = (sqlite3.connect(path) for _ in range(3))
    for db in (writer, reader, checkpointer):
        engine.prepare(db, str(path))
    engine.leave_checkpoints(writer)
    writer.execute("CREATE TABLE t (a text)")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    writer.execute("INSERT INTO t VALUES ('new')")
    assert engine.checkpoint(checkpointer) > 0
    reader.execute("COMMIT")
    assert engine.checkpoint(checkpointer) == 0
    for db in (writer, reader, checkpointer):
        db.close()


async def test_rows_of_many_callers_in_one_commit_are_taken_or_refused_each_for_itself(store):
    await store.write(thing("taken"))
    wanted = ["a", "taken", "b", "c", "b"]
    writes = [store.write(thing(name, n)) for n, name in enumerate(wanted)]
    found = await asyncio.gather(*writes, return_exceptions=True)
    refused = [isinstance(outcome, Conflict) for outcome in found]
    assert refused == [False, True, False, False, True]
    assert found[0] == [[]]
    assert await names(store) == ["a", "b", "c", "taken"]
