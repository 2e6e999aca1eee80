"""The SHA-256 of a stored object, read once from end to end. asyncio."""

import asyncio
import hashlib

from euca_box.objects.engine import Objects

PIECE_BYTES = 8 * 1024 * 1024


async def sha256_of(objects: Objects, bucket: str, key: str, generation: int, size_bytes: int) -> str:
    """Hex digest of that generation. Raises NoSuchKey when it was replaced or deleted meanwhile."""
    digest = hashlib.sha256()
    for offset in range(0, size_bytes, PIECE_BYTES):
        piece = await objects.read_at(bucket, key, generation, offset, PIECE_BYTES)
        await asyncio.to_thread(digest.update, piece)
    return digest.hexdigest()
