"""What a scrub reads and notes, in SQLite."""

from dataclasses import asdict

from euca_box.objects.rows import Damage, Piece
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Statement, insert

_PROGRESS = "scrub"  # the row of meta
_NAMES = (
    "SELECT bucket, key, version_id FROM object WHERE generation = ?"
    " UNION ALL SELECT bucket, key, version_id FROM version WHERE generation = ?"
)
_FILES = (
    "SELECT * FROM piece WHERE generation IN (SELECT DISTINCT generation FROM piece"
    " WHERE generation > ? ORDER BY generation LIMIT 1) ORDER BY number"
)
_GONE = (
    "DELETE FROM damage WHERE generation NOT IN"
    " (SELECT generation FROM piece UNION SELECT generation FROM blob)"
)


def note_crcs(generation: int, number: int, crcs: bytes) -> list[Statement]:
    sql = "UPDATE piece SET crcs = ? WHERE generation = ? AND number = ? AND crcs = x''"
    return [Statement(sql, (crcs, generation, number))]


def put_damage(damage: Damage) -> list[Statement]:
    return [insert("damage", asdict(damage), or_replace=True)]


def delete_damage(generation: int) -> list[Statement]:
    return [Statement("DELETE FROM damage WHERE generation = ?", (generation,))]


def forget_gone() -> list[Statement]:
    return [Statement(_GONE)]


def note_progress(text: str) -> list[Statement]:
    return [insert("meta", {"name": _PROGRESS, "value": text}, or_replace=True)]


class SqliteScrub:
    """A `ScrubIndex`."""

    note_crcs = staticmethod(note_crcs)
    put_damage = staticmethod(put_damage)
    delete_damage = staticmethod(delete_damage)
    forget_gone = staticmethod(forget_gone)
    note_progress = staticmethod(note_progress)

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def next_files(self, generation: int) -> tuple[int, list[tuple[int, Piece]]] | None:
        rows = await self._store.read(_FILES, generation)
        if not rows:
            return None
        pieces = [(row["number"], Piece(row["file"], row["size_bytes"], row["crcs"])) for row in rows]
        return rows[0]["generation"], pieces

    async def next_blobs(self, generation: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        sql = "SELECT generation, bytes, crc FROM blob WHERE generation > ? ORDER BY generation LIMIT ?"
        rows = await self._store.read(sql, generation, limit)
        return [(row["generation"], row["bytes"], row["crc"]) for row in rows]

    async def names(self, generation: int) -> list[tuple[str, str, str]]:
        rows = await self._store.read(_NAMES, generation, generation)
        return [(row["bucket"], row["key"], row["version_id"]) for row in rows]

    async def damages(self) -> list[Damage]:
        return [Damage(**dict(row)) for row in await self._store.read("SELECT * FROM damage")]

    async def progress(self) -> str:
        rows = await self._store.read("SELECT value FROM meta WHERE name = ?", _PROGRESS)
        return rows[0]["value"] if rows else ""
