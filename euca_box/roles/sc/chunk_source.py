"""The bytes of a snapshot as a volume that is filled from it asks for them: chunk by chunk, some ahead.

A chunk comes from the cache or from Walrus, and is compared with its SHA-256 before anybody gets a byte of
it. One that cannot be had is an error for who reads it, and is tried again at the next read.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import trio

from euca_box.blockstore import chunks
from euca_box.blockstore.chunk_cipher import ChunkCipher
from euca_box.blockstore.chunks import DamagedChunk, TransferError
from euca_box.messages.base import system_call
from euca_box.messages.snapshots import BUCKET, chunk_key
from euca_box.messages.walrus import GetHiddenUrls, GetScrub
from euca_box.model.errors import EucaError
from euca_box.model.snapshot_manifests import SnapshotManifest

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc

AHEAD = 8  # chunks that are fetched before they are asked for
KEPT = 20  # chunks in memory, of each volume that is filled
URLS_AT_ONCE = 64
URL_SECONDS = 1800.0  # Walrus's URLs are good for an hour
PATIENCE_SECONDS = 8.0  # then who reads gets an error; a guest is let go on later
RETRY_SECONDS = 0.5


@dataclass
class _Slot:
    ready: trio.Event = field(default_factory=trio.Event)
    data: bytes = b""
    error: str = ""


class ChunkSource:
    """blockstore.engine.Source. What it fetches ahead lives in `nursery`."""

    def __init__(
        self,
        sc: "Sc",
        volume_id: str,
        manifest: SnapshotManifest,
        nursery: trio.Nursery,
        cipher: ChunkCipher | None = None,
    ) -> None:
        self._sc, self._volume_id, self._manifest, self._nursery = sc, volume_id, manifest, nursery
        self._cipher = cipher
        self._numbers = sorted(manifest.chunks)
        self._slots: OrderedDict[int, _Slot] = OrderedDict()
        self._urls: dict[int, tuple[str, str, float]] = {}
        self._asking = trio.Lock()
        self.problem = ""  # of a chunk that could not be had

    async def read(self, offset: int, length: int) -> bytes:
        parts, end, size = [], offset + length, self._manifest.chunk_bytes
        while offset < end:
            number, place = divmod(offset, size)
            piece = min(size - place, end - offset)
            if number in self._manifest.chunks:
                data = await self._chunk(number)
                parts.append(data[place : place + piece].ljust(piece, b"\0"))
            else:
                parts.append(bytes(piece))
            offset += piece
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def data_at(self, offset: int) -> tuple[bool, int]:
        size = self._manifest.chunk_bytes
        number = offset // size
        at = bisect_left(self._numbers, number)
        if at == len(self._numbers):
            return False, 1 << 62
        if self._numbers[at] != number:
            return False, self._numbers[at] * size - offset
        last = at
        while last + 1 < len(self._numbers) and self._numbers[last + 1] == self._numbers[last] + 1:
            last += 1
            if last - at > KEPT:
                break
        return True, (self._numbers[last] + 1) * size - offset

    async def _chunk(self, number: int) -> bytes:
        slot = self._have_fetched(number)
        is_in_order = (number - 1) in self._slots or number == self._numbers[0]
        if is_in_order:
            at = bisect_right(self._numbers, number)
            for ahead in self._numbers[at : at + AHEAD]:
                self._have_fetched(ahead)
        await slot.ready.wait()
        if slot.error:
            raise OSError(slot.error)
        return slot.data

    def _have_fetched(self, number: int) -> _Slot:
        slot = self._slots.get(number)
        if slot is None or slot.error:
            slot = self._slots[number] = _Slot()
            self._nursery.start_soon(self._fetch, number, slot)
        self._slots.move_to_end(number)
        while len(self._slots) > KEPT and next(iter(self._slots.values())).ready.is_set():
            self._slots.popitem(last=False)
        return slot

    async def _fetch(self, number: int, slot: _Slot) -> None:
        """Ends in any case, with the chunk or with words."""
        deadline = trio.current_time() + PATIENCE_SECONDS
        try:
            while True:
                try:
                    slot.data = await self._fetched(number)
                    return
                except (TransferError, EucaError, OSError) as error:
                    self._urls.pop(number, None)
                    slot.error = error.message if isinstance(error, EucaError) else str(error)
                    if trio.current_time() > deadline:
                        return
                    await self._check_damage(number)
                await trio.sleep(RETRY_SECONDS)
                slot.error = ""
        except DamagedChunk as error:
            slot.error = str(error)
        except EucaError as error:
            slot.error = error.message
        finally:
            self.problem = slot.error or self.problem
            slot.error = slot.error or ("" if slot.data else self.problem or "it was given up")
            slot.ready.set()

    async def _fetched(self, number: int) -> bytes:
        digest, length = self._manifest.chunks[number], self._manifest.length_of(number)
        data = await self._sc.in_thread(partial(self._sc.cache.get, digest, length))
        if data is None:
            url, ca_file = await self._url(number)
            data = await self._sc.in_thread(partial(self._get, url, ca_file, digest, length))
        if self._cipher is not None:
            data = await self._sc.in_thread(partial(self._cipher.decipher, number, data))
        return data

    def _get(self, url: str, ca_file: str, digest: str, length: int) -> bytes:
        data = chunks.unpack(self._sc.courier.get(url, ca_file), digest, length)
        self._sc.cache.put(digest, data)
        return data

    async def _url(self, number: int) -> tuple[str, str]:
        """Of this chunk; those of the next ones are asked for with it."""
        async with self._asking:
            known = self._urls.get(number)
            if known is None or self._sc.now() - known[2] > URL_SECONDS:
                at = bisect_left(self._numbers, number)
                numbers = self._numbers[at : at + URLS_AT_ONCE]
                keys = tuple(chunk_key(self._manifest.chunks[n]) for n in numbers)
                call = system_call(f"fill-{self._volume_id}")
                found = await self._sc.bus.ask("walrus", GetHiddenUrls(BUCKET, keys), call)
                self._urls = {
                    n: (url, found.ca_file, self._sc.now())
                    for n, url in zip(numbers, found.urls, strict=True)
                } | {n: old for n, old in self._urls.items() if n in self._slots and n not in numbers}
                known = self._urls[number]
            return known[0], known[1]

    async def _check_damage(self, number: int) -> None:
        """What Walrus knows to be damaged it refuses like any trouble of its own. Raises DamagedChunk."""
        call = system_call(f"fill-{self._volume_id}")
        report = await self._sc.bus.ask("walrus", GetScrub(), call)
        key = chunk_key(self._manifest.chunks[number])
        if any(found.bucket == BUCKET and found.key == key for found in report.quarantine):
            raise DamagedChunk("a chunk of the snapshot is damaged in Walrus")
