"""Routing tables of ours."""

from zlib import crc32


def routing_table(bridge: str) -> int:
    """A routing table for each bridge, far from the numbers that people and daemons choose."""
    return 0x0D0D0000 + crc32(bridge.encode()) % 0x10000
