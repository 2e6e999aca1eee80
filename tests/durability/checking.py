"""Open a data folder and compare what every key holds with what it may hold."""

from pathlib import Path

from euca_box.objects.engine import Objects
from euca_box.objects.sqlite.index import SqliteIndex
from euca_box.objects.version_listing import MARKER
from euca_box.store.sqlite_store import open_store
from tests.durability.acknowledged import Acknowledged, Told, Versions
from tests.durability.workload import ALICE, MIGRATIONS, OPTIONS


async def wrongs_of(folder: Path, known: Acknowledged) -> list[str]:
    """Everything that a client could complain about."""
    try:
        store = await open_store(folder / "walrus.db", MIGRATIONS)
    except Exception as error:
        return [f"the database does not open: {error!r}"]
    try:
        objects = await Objects.open(SqliteIndex(store), folder, **OPTIONS)
        try:
            return [
                wrong for key in sorted(known.keys()) for wrong in await wrongs_of_key(objects, key, known)
            ]
        finally:
            await objects.close()
    except Exception as error:
        return [f"the store does not open: {error!r}"]
    finally:
        await store.close()


async def wrongs_of_key(objects: Objects, name: str, known: Acknowledged) -> list[str]:
    try:
        found = await held_by(objects, *name.split("/")), await told_of(objects, *name.split("/"))
    except Exception as error:
        return [f"{name} cannot be read: {error!r}"]
    allowed = known.may_hold(name)
    if name.startswith("plain/"):
        found = _without_ids(found[0]), found[1]
        allowed = [(_without_ids(versions), told) for versions, told in allowed]
    if found in allowed:
        return []
    return [f"{name} holds {_shown(*found)}, not {' or '.join(_shown(*one) for one in allowed)}"]


async def told_of(objects: Objects, bucket: str, key: str) -> Told:
    """Nobody takes them: all that happened wait."""
    notices = await objects.notices.next("hook", 100_000)
    return tuple(notice.event for notice in notices if (notice.bucket, notice.key) == (bucket, key))


async def held_by(objects: Objects, bucket: str, key: str) -> Versions:
    page = await objects.list_versions(ALICE, bucket, prefix=key)
    found: list[tuple[str, bytes | None]] = []
    for listed in reversed(page.versions):
        data = None
        if listed.kind != MARKER and not (listed.kind < 0 and listed.etag == ""):
            async with objects.opened(ALICE, bucket, key, listed.version_id) as opened:
                size = opened.stored.size_bytes
                data = b"".join([bytes(piece) async for piece in objects.read(opened, 0, size)])
        found.append((listed.version_id, data))
    return tuple(found)


def _without_ids(versions: Versions) -> Versions:
    return tuple(("", data) for _, data in versions)


def _shown(versions: Versions, told: Told) -> str:
    held = [(name[:6], None if data is None else (len(data), data[:4].hex())) for name, data in versions]
    return f"{held}, told {list(told)}"
