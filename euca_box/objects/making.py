"""An object whose bytes a function makes in a thread, from other objects or from nothing. asyncio."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from itertools import islice

from euca_box.model.accounts import Principal
from euca_box.objects.engine import Objects
from euca_box.objects.rows import ObjectFacts
from euca_box.objects.versions import Wish

STEP = 4  # pieces that are made at once

# Reads bytes of an object: bucket, key, generation, offset, length. Blocks.
Read = Callable[[str, str, int, int, int], bytes]
Make = Callable[[Read], Iterator[bytes]]


async def make_object(
    objects: Objects, principal: Principal, bucket: str, key: str, make: Make, size_bytes: int
) -> ObjectFacts:
    """Store what make(read) gives out, made a step ahead of writing. Raises as `put`, and what it raises."""
    loop = asyncio.get_running_loop()
    digest = hashlib.sha256()

    def read(*args: str | int) -> bytes:
        return asyncio.run_coroutine_threadsafe(objects.read_at(*args), loop).result()  # type: ignore[arg-type]

    pieces = make(read)

    def step() -> list[bytes]:
        made = list(islice(pieces, STEP))
        for piece in made:
            digest.update(piece)
        return made

    async def body() -> AsyncIterator[bytes]:
        ahead = asyncio.ensure_future(asyncio.to_thread(step))
        try:
            while made := await asyncio.shield(ahead):
                ahead = asyncio.ensure_future(asyncio.to_thread(step))
                for piece in made:
                    yield piece
        finally:
            # The thread must have let go of the generator before anybody closes it.
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()

    stored = await objects.put(principal, bucket, key, body(), Wish(), size_bytes)
    facts = ObjectFacts(stored.size_bytes, stored.etag, stored.sha256, stored.generation)
    return replace(facts, sha256=digest.hexdigest())
