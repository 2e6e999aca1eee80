"""The object store as the Walrus role needs it: a look at an object's facts and bytes, from trio."""

from collections.abc import Callable, Sequence
from typing import Protocol

from euca_box.bridge import Bridge
from euca_box.model.accounts import LENDER, Principal
from euca_box.model.quotas import Quotas
from euca_box.model.rights import Grants
from euca_box.model.s3_errors import NoSuchKey
from euca_box.objects.circumstances import GRANTS
from euca_box.objects.completion import NamedPart
from euca_box.objects.engine import Objects
from euca_box.objects.hashing import sha256_of
from euca_box.objects.listing import Page
from euca_box.objects.making import Make, make_object
from euca_box.objects.rows import Damage, ObjectFacts
from euca_box.objects.scrub import Round
from euca_box.objects.versions import Wish

IMAGES = "_images"  # the hidden bucket of images that are no object of a user


class Vault(Protocol):
    async def stat(self, principal: Principal, bucket: str, key: str) -> ObjectFacts:
        """Raises NoSuchBucket, NoSuchKey, AccessDenied."""

    async def read_at(self, bucket: str, key: str, generation: int, offset: int, length: int) -> bytes: ...

    async def sha256(self, bucket: str, key: str, facts: ObjectFacts) -> str: ...

    async def open_store(self) -> str:
        """The bucket for images that Walrus makes, which is nobody's; made when there is none."""

    async def make(self, bucket: str, key: str, make: Make, size_bytes: int) -> ObjectFacts:
        """Store what make(read) gives out, in a thread, with its SHA-256. Raises InsufficientStorage."""

    async def copy(self, bucket: str, key: str, etag: str, store: str, name: str) -> ObjectFacts:
        """Into the store, if it has still this ETag. Raises NoSuchBucket, NoSuchKey, InsufficientStorage."""

    async def begin_upload(self, bucket: str, key: str) -> str:
        """The id of a multipart upload into the store, instead of an earlier one of the key."""

    async def end_upload(self, bucket: str, key: str, upload_id: str, etags: tuple[str, ...]) -> ObjectFacts:
        """Raises NoSuchUpload, InvalidPart."""

    async def drop_uploads(self, bucket: str) -> None:
        """Give up all uploads into the store."""

    async def keys(self, bucket: str) -> list[str]:
        """Of the store."""

    async def remove(self, bucket: str, key: str) -> None:
        """From the store; an absent one is fine."""

    async def open_hidden(self, bucket: str) -> None:
        """Make the hidden bucket when there is none."""

    async def list_hidden(self, bucket: str, prefix: str, after: str, limit: int) -> Page:
        """One page of a hidden bucket; an absent one has none."""

    async def remove_hidden(self, bucket: str, keys: Sequence[str]) -> None:
        """For good; absent ones are fine."""

    async def expire(self) -> None:
        """Carry out the lifecycle rules of all buckets, once."""

    def hold_removals(self, held: bool) -> None:
        """Bytes that no row names any more stay, or go now."""

    def limit(self, quotas: Quotas) -> bool:
        """Other quotas from now on; False when some of it needs a new start."""

    async def scrub_report(self) -> tuple[Round, Sequence[Damage], int]:
        """The round, all known damages, and how many bytes are stored."""

    async def begin_scrub(self) -> None:
        """A round begins unless one goes on."""

    async def scrub(self, budget_bytes: int, rest_seconds: float) -> None:
        """Check about that many bytes; nothing while the last round began less than the rest ago."""


class ObjectVault:
    """The real one: `Objects` lives in asyncio, so every call crosses the bridge."""

    def __init__(self, objects: Objects, bridge: Bridge, grants: Callable[[], Grants] = Grants) -> None:
        """`grants()`: the policies of users and roles, as Walrus knows them now."""
        self._objects = objects
        self._bridge = bridge
        self._grants = grants

    async def stat(self, principal: Principal, bucket: str, key: str) -> ObjectFacts:
        return await self._bridge.to_asyncio(self._stat, principal, bucket, key)

    async def _stat(self, principal: Principal, bucket: str, key: str) -> ObjectFacts:
        GRANTS.set(self._grants)
        return await self._objects.stat(principal, bucket, key)

    async def read_at(self, bucket: str, key: str, generation: int, offset: int, length: int) -> bytes:
        return await self._bridge.to_asyncio(self._objects.read_at, bucket, key, generation, offset, length)

    async def sha256(self, bucket: str, key: str, facts: ObjectFacts) -> str:
        return await self._bridge.to_asyncio(
            sha256_of, self._objects, bucket, key, facts.generation, facts.size_bytes
        )

    async def open_store(self) -> str:
        return (await self._bridge.to_asyncio(self._objects.buckets.open_hidden, IMAGES)).name

    async def make(self, bucket: str, key: str, make: Make, size_bytes: int) -> ObjectFacts:
        return await self._bridge.to_asyncio(
            make_object, self._objects, LENDER, bucket, key, make, size_bytes
        )

    async def copy(self, bucket: str, key: str, etag: str, store: str, name: str) -> ObjectFacts:
        async def copy() -> ObjectFacts:
            async with self._objects.opened(LENDER, bucket, key) as found:
                if found.stored.etag != etag:
                    raise NoSuchKey(Key=key)
                made = await self._objects.copy(LENDER, found, store, name, Wish())
            return ObjectFacts(made.size_bytes, made.etag, made.sha256, made.generation)

        return await self._bridge.to_asyncio(copy)

    async def begin_upload(self, bucket: str, key: str) -> str:
        async def begin() -> str:
            uploads = self._objects.uploads
            for earlier in await uploads.open_in(bucket):
                if earlier.key == key:
                    await uploads.abort(earlier)
            return (await uploads.create(LENDER, bucket, key, Wish())).upload_id

        return await self._bridge.to_asyncio(begin)

    async def end_upload(self, bucket: str, key: str, upload_id: str, etags: tuple[str, ...]) -> ObjectFacts:
        async def end() -> ObjectFacts:
            parts = [NamedPart(number, etag) for number, etag in enumerate(etags, start=1)]
            await self._objects.uploads.complete(LENDER, bucket, key, upload_id, parts, Wish())
            return await self._objects.stat(LENDER, bucket, key)

        return await self._bridge.to_asyncio(end)

    async def drop_uploads(self, bucket: str) -> None:
        async def drop() -> None:
            for upload in await self._objects.uploads.open_in(bucket):
                await self._objects.uploads.abort(upload)

        await self._bridge.to_asyncio(drop)

    async def keys(self, bucket: str) -> list[str]:
        return await self._bridge.to_asyncio(self._keys, bucket)

    async def _keys(self, bucket: str) -> list[str]:
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            page = await self._objects.list(LENDER, bucket, after=after)
            found += [entry.key for entry in page.objects]
            after = page.last
        return found

    async def remove(self, bucket: str, key: str) -> None:
        await self._bridge.to_asyncio(self._objects.delete, LENDER, bucket, key)

    async def open_hidden(self, bucket: str) -> None:
        await self._bridge.to_asyncio(self._objects.buckets.open_hidden, bucket)

    async def list_hidden(self, bucket: str, prefix: str, after: str, limit: int) -> Page:
        async def page() -> Page:
            if self._objects.buckets.known(bucket) is None:
                return Page()
            return await self._objects.list(LENDER, bucket, prefix=prefix, after=after, limit=limit)

        return await self._bridge.to_asyncio(page)

    async def remove_hidden(self, bucket: str, keys: Sequence[str]) -> None:
        async def remove() -> None:
            if self._objects.buckets.known(bucket) is not None:
                await self._objects.delete_plain(LENDER, bucket, keys)

        await self._bridge.to_asyncio(remove)

    def hold_removals(self, held: bool) -> None:
        self._objects.hold_removals(held)

    def limit(self, quotas: Quotas) -> bool:
        return self._objects.limit(quotas)

    async def expire(self) -> None:
        await self._bridge.to_asyncio(self._objects.expiry.run)

    async def scrub_report(self) -> tuple[Round, Sequence[Damage], int]:
        async def report() -> tuple[Round, Sequence[Damage], int]:
            objects = self._objects
            return objects.scrub.round, objects.quarantine.all(), await objects.used_bytes()

        return await self._bridge.to_asyncio(report)

    async def begin_scrub(self) -> None:
        await self._bridge.to_asyncio(self._objects.scrub.begin)

    async def scrub(self, budget_bytes: int, rest_seconds: float) -> None:
        await self._bridge.to_asyncio(self._objects.scrub.work, budget_bytes, rest_seconds)
