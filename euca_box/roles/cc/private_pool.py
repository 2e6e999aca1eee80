"""The private addresses of one subnet in memory, so that a launch need not look at all of them.

The rows are the truth: who finds that they say otherwise loads the pool anew.
"""

import heapq
import math
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

RESERVED = 4  # AWS keeps the first four addresses of a subnet: network, router, DNS, future


class PrivatePool:
    def __init__(self, subnet: IPv4Network, gateway: str) -> None:
        first, last = int(subnet.network_address) + RESERVED, int(subnet.broadcast_address) - 1
        own = int(IPv4Address(gateway))
        self._free = [
            n for n in range(first, last + 1) if n != own
        ]  # a heap; may have some that are not free
        self._busy: dict[int, float] = {}  # until when; for ever, of one that an instance has
        self._resting: list[tuple[float, int]] = []  # a heap

    def load(self, rows: Iterable[tuple[str, str | None, float]]) -> None:
        """Address, who has it, and until when it rests otherwise."""
        for ip, owner, free_after in rows:
            if owner is None:
                self.release(ip, free_after)
            else:
                self.take(ip)

    def lowest(self, now: float) -> str | None:
        """The lowest that nobody has and that has rested; None when there is none. It stays in the pool."""
        while self._resting and self._resting[0][0] <= now:
            until, address = heapq.heappop(self._resting)
            if self._busy.get(address) == until:
                del self._busy[address]
                heapq.heappush(self._free, address)
        while self._free and self._free[0] in self._busy:
            heapq.heappop(self._free)
        return str(IPv4Address(self._free[0])) if self._free else None

    def take(self, ip: str) -> None:
        self._busy[int(IPv4Address(ip))] = math.inf

    def release(self, ip: str, free_after: float) -> None:
        """It rests from now on."""
        address = int(IPv4Address(ip))
        self._busy[address] = free_after
        heapq.heappush(self._resting, (free_after, address))
