"""The object store: bytes, index, multipart, rights. asyncio."""
