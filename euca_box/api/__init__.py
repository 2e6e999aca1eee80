"""Front ends: bytes to messages and back. asyncio."""
