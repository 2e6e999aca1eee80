"""Read all stored bytes, slowly, and compare them with their checksums, before somebody needs them.

A round goes by generation, files first, then what lies in the database. How far it is, is written down, so
that a restart goes on there. Files of before there were checksums get theirs in their first round.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import groupby

from euca_box.objects.crcs import crc32c
from euca_box.objects.damage import Quarantine
from euca_box.objects.data import DataEngine
from euca_box.objects.rows import Piece
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Row, Statement, insert

log = logging.getLogger(__name__)

_PAGE = 64
_FILES, _BLOBS, _DONE = "piece", "blob", "done"
_NAMES = (
    "SELECT bucket, key, version_id FROM object WHERE generation = ?"
    " UNION ALL SELECT bucket, key, version_id FROM version WHERE generation = ?"
)


@dataclass(frozen=True, slots=True)
class Round:
    """How far a round is: beyond this generation of the files, or of what lies in the database."""

    started_ms: int = 0
    phase: str = _DONE
    generation: int = 0
    checked_bytes: int = 0
    damaged: int = 0


class Scrub:
    def __init__(
        self, store: SqliteStore, files: DataEngine, quarantine: Quarantine, now_ms: Callable[[], int]
    ) -> None:
        self._store, self._files, self._quarantine, self._now_ms = store, files, quarantine, now_ms
        self.round = Round()

    async def load(self) -> None:
        rows = await self._store.read("SELECT value FROM meta WHERE name = 'scrub'")
        if rows:
            self.round = Round(**json.loads(rows[0]["value"]))

    @property
    def is_done(self) -> bool:
        return self.round.phase == _DONE

    def begin(self, now_ms: int) -> None:
        self.round = Round(now_ms, _FILES)

    async def work(self, budget_bytes: int, rest_seconds: float) -> None:
        """Go on with the round, or begin one when the last began that long ago."""
        now_ms = self._now_ms()
        if self.is_done:
            if now_ms < self.round.started_ms + rest_seconds * 1000:
                return
            self.begin(now_ms)
        await self.step(budget_bytes)

    async def step(self, budget_bytes: int) -> Round:
        """Check about that many bytes; at the end of a round it is done."""
        limit = self.round.checked_bytes + budget_bytes
        while not self.is_done and self.round.checked_bytes < limit:
            await (self._check_files() if self.round.phase == _FILES else self._check_blobs())
        value = json.dumps(asdict(self.round))
        await self._store.write(insert("meta", {"name": "scrub", "value": value}, or_replace=True))
        if self.is_done and self.round.checked_bytes:
            log.info("scrub: %d MB, %d damaged", self.round.checked_bytes // 10**6, self.round.damaged)
        return self.round

    async def _check_files(self) -> None:
        sql = (
            "SELECT * FROM piece WHERE generation IN (SELECT DISTINCT generation FROM piece"
            " WHERE generation > ? ORDER BY generation LIMIT 1) ORDER BY number"
        )
        rows = await self._store.read(sql, self.round.generation)
        if not rows:
            self.round = replace(self.round, phase=_BLOBS, generation=0)
        for generation, pieces in groupby(rows, key=lambda row: row["generation"]):
            await self._check_generation(generation, list(pieces))

    async def _check_generation(self, generation: int, rows: list[Row]) -> None:
        self._files.pin(generation)
        try:
            damaged = False
            for row in rows:
                piece = Piece(row["file"], row["size_bytes"], row["crcs"])
                at, crcs = await self._files.run(self._files.check, piece)
                if at >= 0:
                    damaged = await self._report(generation, piece.file, at) or damaged
                elif not piece.crcs:
                    await self._store.write(_note_crcs(generation, row["number"], crcs))
        finally:
            self._files.unpin(generation)
        self._advance(generation, sum(row["size_bytes"] for row in rows), damaged)

    async def _check_blobs(self) -> None:
        sql = "SELECT generation, bytes, crc FROM blob WHERE generation > ? ORDER BY generation LIMIT ?"
        rows = await self._store.read(sql, self.round.generation, _PAGE)
        if not rows:
            self.round = replace(self.round, phase=_DONE)
        for row in rows:
            wrong = row["crc"] not in (b"", crc32c(row["bytes"]).to_bytes(4, "big"))
            damaged = wrong and await self._report(row["generation"], "", 0)
            self._advance(row["generation"], len(row["bytes"]), damaged)

    async def _report(self, generation: int, file: str, at: int) -> bool:
        """False when the version went while it was looked at."""
        rows = await self._store.read(_NAMES, generation, generation)
        for row in rows:
            name = (row["bucket"], row["key"], row["version_id"])
            self._quarantine.add(generation, name, file, at)
        return bool(rows)

    def _advance(self, generation: int, size_bytes: int, damaged: bool) -> None:
        if not damaged:
            self._quarantine.remove(generation)
        self.round = replace(
            self.round,
            generation=generation,
            checked_bytes=self.round.checked_bytes + max(size_bytes, 1),
            damaged=self.round.damaged + damaged,
        )


def _note_crcs(generation: int, number: int, crcs: bytes) -> Statement:
    sql = "UPDATE piece SET crcs = ? WHERE generation = ? AND number = ? AND crcs = x''"
    return Statement(sql, (crcs, generation, number))
