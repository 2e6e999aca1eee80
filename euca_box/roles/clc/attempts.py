"""Guessing passwords is slow: after some failures a name, or an address, must wait, longer each time."""

from collections import OrderedDict

FREE = 5  # failures that cost nothing
LONGEST_SECONDS = {"name": 30.0, "address": 300.0}  # a name: its owner must not be shut out for long
FORGET_SECONDS = 3600.0
MOST = 20_000  # kept at once; the oldest go


class Attempts:
    """In memory: a restart forgives, and is nothing that a guesser can cause."""

    def __init__(self) -> None:
        self._failed: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def seconds_to_wait(self, now: float, name: str, address: str) -> float:
        """0 when a try may be made."""
        return max(self._wait(now, *key) for key in (("name", name.lower()), ("address", address)))

    def _wait(self, now: float, kind: str, value: str) -> float:
        count, last = self._failed.get((kind, value), (0, 0.0))
        if count < FREE or now - last > FORGET_SECONDS:
            return 0.0
        pause = min(2.0 ** (count - FREE), LONGEST_SECONDS[kind])
        return max(0.0, last + pause - now)

    def note_failure(self, now: float, name: str, address: str) -> None:
        for key in (("name", name.lower()), ("address", address)):
            count, last = self._failed.pop(key, (0, 0.0))
            if now - last > FORGET_SECONDS:
                count = 0
            self._failed[key] = (count + 1, now)
        while len(self._failed) > MOST:
            self._failed.popitem(last=False)

    def note_success(self, name: str, address: str) -> None:
        """Takes back what was noted before the try. The address keeps the rest: it may try many names."""
        self._failed.pop(("name", name.lower()), None)
        if (found := self._failed.get(("address", address))) is not None:
            self._failed["address", address] = (max(0, found[0] - 1), found[1])
