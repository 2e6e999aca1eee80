"""The images that Walrus made: in rows, with the bytes as objects of a bucket that is nobody's.

What came out of a bundle may be made again, so it goes, the least used first, when there is too much of it.
Other images stay until they are flushed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from euca_box.messages import base
from euca_box.messages.walrus import Bundle, CheckedImage
from euca_box.roles.walrus.vault import Vault
from euca_box.store.store import Statement, Store


@dataclass(frozen=True)
class StoredImage:
    """`image` is there when its bytes are. `sealed_key` opens its bundle: key and vector, in hex."""

    image_id: str
    since: float
    image: CheckedImage | None = None
    bundle: Bundle | None = None
    sealed_key: str = ""

    @property
    def size_bytes(self) -> int:
        return self.image.data.size_bytes if self.image is not None else 0


class StoredImages:
    def __init__(self, store: Store, vault: Vault, now: Callable[[], float]) -> None:
        self._store, self._vault, self._now = store, vault, now
        self._images: dict[str, StoredImage] = {}
        self._used_at: dict[str, float] = {}
        self.bucket = ""

    async def load(self) -> None:
        """The rows; objects that no row names were left by a crash, and go."""
        self.bucket = await self._vault.open_store()
        for row in await self._store.read("SELECT * FROM stored_image"):
            self._images[row["image_id"]] = base.decode(row["record"], StoredImage)
            self._used_at[row["image_id"]] = row["used_at"]
        await self._vault.drop_uploads(self.bucket)  # their URLs were signed with a key of the last start
        for key in await self._vault.keys(self.bucket):
            if (found := self._images.get(key)) is None or found.image is None:
                await self._vault.remove(self.bucket, key)

    def find(self, image_id: str) -> StoredImage | None:
        return self._images.get(image_id)

    def all(self) -> list[StoredImage]:
        return list(self._images.values())

    async def keep(self, image: StoredImage) -> None:
        now = self._now()
        await self._store.write(
            Statement(
                "INSERT INTO stored_image (image_id, record, used_at) VALUES (?, ?, ?) "
                "ON CONFLICT (image_id) DO UPDATE SET record = excluded.record, used_at = excluded.used_at",
                (image.image_id, base.encode(image), now),
            )
        )
        self._images[image.image_id], self._used_at[image.image_id] = image, now

    async def touch(self, image_id: str) -> None:
        """It was used: the clock of eviction."""
        now = self._used_at[image_id] = self._now()
        await self._store.write(
            Statement("UPDATE stored_image SET used_at = ? WHERE image_id = ?", (now, image_id))
        )

    async def forget(self, image_id: str) -> None:
        """The row first: a crash leaves an object, which the next start removes."""
        await self._store.write(Statement("DELETE FROM stored_image WHERE image_id = ?", (image_id,)))
        self._images.pop(image_id, None)
        self._used_at.pop(image_id, None)
        await self._vault.remove(self.bucket, image_id)

    async def make_room(self, size_bytes: int, limit_bytes: int) -> None:
        """Flush what was unpacked until so much more fits below the limit; the least used first."""
        unpacked = [i for i in self._images.values() if i.bundle is not None and i.image is not None]
        held = sum(image.size_bytes for image in unpacked)
        for image in sorted(unpacked, key=lambda i: self._used_at[i.image_id]):
            if held + size_bytes <= limit_bytes:
                return
            await self.keep(replace(image, image=None))
            await self._vault.remove(self.bucket, image.image_id)
            held -= image.size_bytes
