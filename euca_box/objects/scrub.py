"""Read all stored bytes, slowly, and compare them with their checksums, before somebody needs them.

A round goes by generation, files first, then what lies in the database. How far it is, is written down, so
that a restart goes on there. Files of before there were checksums get theirs in their first round.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from euca_box.objects.crcs import crc32c
from euca_box.objects.damage import Quarantine
from euca_box.objects.data import DataEngine
from euca_box.objects.index import ObjectIndex
from euca_box.objects.rows import Piece

log = logging.getLogger(__name__)

_PAGE = 64
_FILES, _BLOBS, _DONE = "piece", "blob", "done"


@dataclass(frozen=True, slots=True)
class Round:
    """How far a round is: beyond this generation of the files, or of what lies in the database."""

    started_ms: int = 0
    phase: str = _DONE
    generation: int = 0
    checked_bytes: int = 0
    damaged: int = 0

    @property
    def is_done(self) -> bool:
        return self.phase == _DONE


class Scrub:
    def __init__(
        self, index: ObjectIndex, files: DataEngine, quarantine: Quarantine, now_ms: Callable[[], int]
    ) -> None:
        self._index, self._files, self._quarantine, self._now_ms = index, files, quarantine, now_ms
        self.round = Round()

    async def load(self) -> None:
        text = await self._index.scrub.progress()
        if text:
            self.round = Round(**json.loads(text))

    @property
    def is_done(self) -> bool:
        return self.round.is_done

    async def begin(self) -> None:
        """Begin a round unless one goes on."""
        if self.is_done:
            self.round = Round(self._now_ms(), _FILES)
            await self._note()

    async def _note(self) -> None:
        await self._index.commit(self._index.scrub.note_progress(json.dumps(asdict(self.round))))

    async def work(self, budget_bytes: int, rest_seconds: float) -> None:
        """Go on with the round, or begin one when the last began that long ago."""
        if self.is_done:
            if self._now_ms() < self.round.started_ms + rest_seconds * 1000:
                return
            await self.begin()
        await self.step(budget_bytes)

    async def step(self, budget_bytes: int) -> Round:
        """Check about that many bytes; at the end of a round it is done."""
        limit = self.round.checked_bytes + budget_bytes
        while not self.is_done and self.round.checked_bytes < limit:
            await (self._check_files() if self.round.phase == _FILES else self._check_blobs())
        await self._note()
        if self.is_done and self.round.checked_bytes:
            log.info("scrub: %d MB, %d damaged", self.round.checked_bytes // 10**6, self.round.damaged)
        return self.round

    async def _check_files(self) -> None:
        following = await self._index.scrub.next_files(self.round.generation)
        if following is None:
            self.round = replace(self.round, phase=_BLOBS, generation=0)
        else:
            await self._check_generation(*following)

    async def _check_generation(self, generation: int, pieces: Sequence[tuple[int, Piece]]) -> None:
        self._files.pin(generation)
        try:
            damaged = False
            for number, piece in pieces:
                at, crcs = await self._files.run(self._files.check, piece)
                if at >= 0:
                    damaged = await self._report(generation, piece.file, at) or damaged
                elif not piece.crcs:
                    await self._index.commit(self._index.scrub.note_crcs(generation, number, crcs))
        finally:
            self._files.unpin(generation)
        self._advance(generation, sum(piece.size_bytes for _, piece in pieces), damaged)

    async def _check_blobs(self) -> None:
        blobs = await self._index.scrub.next_blobs(self.round.generation, _PAGE)
        if not blobs:
            self.round = replace(self.round, phase=_DONE)
        for generation, data, crc in blobs:
            wrong = crc not in (b"", crc32c(data).to_bytes(4, "big"))
            damaged = wrong and await self._report(generation, "", 0)
            self._advance(generation, len(data), damaged)

    async def _report(self, generation: int, file: str, at: int) -> bool:
        """False when the version went while it was looked at."""
        names = await self._index.scrub.names(generation)
        for name in names:
            self._quarantine.add(generation, name, file, at)
        return bool(names)

    def _advance(self, generation: int, size_bytes: int, damaged: bool) -> None:
        if not damaged:
            self._quarantine.remove(generation)
        self.round = replace(
            self.round,
            generation=generation,
            checked_bytes=self.round.checked_bytes + max(size_bytes, 1),
            damaged=self.round.damaged + damaged,
        )
