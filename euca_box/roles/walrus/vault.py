"""The object store as the Walrus role needs it: a look at an object's facts and bytes, from trio."""

from typing import Protocol

from euca_box.bridge import Bridge
from euca_box.model.accounts import Principal
from euca_box.objects.engine import Objects
from euca_box.objects.hashing import sha256_of
from euca_box.objects.rows import ObjectFacts


class Vault(Protocol):
    async def stat(self, principal: Principal, bucket: str, key: str) -> ObjectFacts:
        """Raises NoSuchBucket, NoSuchKey, AccessDenied."""

    async def read_at(self, bucket: str, key: str, generation: int, offset: int, length: int) -> bytes: ...

    async def sha256(self, bucket: str, key: str, facts: ObjectFacts) -> str: ...

    async def expire(self) -> None:
        """Carry out the lifecycle rules of all buckets, once."""

    async def scrub(self, budget_bytes: int, rest_seconds: float) -> None:
        """Check about that many bytes; nothing while the last round began less than the rest ago."""


class ObjectVault:
    """The real one: `Objects` lives in asyncio, so every call crosses the bridge."""

    def __init__(self, objects: Objects, bridge: Bridge) -> None:
        self._objects = objects
        self._bridge = bridge

    async def stat(self, principal: Principal, bucket: str, key: str) -> ObjectFacts:
        return await self._bridge.to_asyncio(self._objects.stat, principal, bucket, key)

    async def read_at(self, bucket: str, key: str, generation: int, offset: int, length: int) -> bytes:
        return await self._bridge.to_asyncio(self._objects.read_at, bucket, key, generation, offset, length)

    async def sha256(self, bucket: str, key: str, facts: ObjectFacts) -> str:
        return await self._bridge.to_asyncio(
            sha256_of, self._objects, bucket, key, facts.generation, facts.size_bytes
        )

    async def expire(self) -> None:
        await self._bridge.to_asyncio(self._objects.expiry.run)

    async def scrub(self, budget_bytes: int, rest_seconds: float) -> None:
        await self._bridge.to_asyncio(self._objects.scrub.work, budget_bytes, rest_seconds)
