"""Signed messages that were obeyed already: one that changes something counts once.

A message cannot be told from its copy, so each signature is remembered until it expires. What was signed
before this process began may have been obeyed by the one before.
"""

import heapq
from collections.abc import Callable
from datetime import datetime
from typing import Any

from euca_box.auth.wsse import Believed
from euca_box.model.errors import AuthFailure


class Replays:
    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now, self._began = now, now()
        self._seen: set[bytes] = set()
        self._by_end: list[tuple[datetime, bytes]] = []

    def refuse(self, believed: Believed[Any]) -> None:
        """Remember the message. Raises AuthFailure for one that may have come before."""
        now = self._now()
        while self._by_end and self._by_end[0][0] <= now:
            self._seen.discard(heapq.heappop(self._by_end)[1])
        if believed.created.replace(microsecond=0) < self._began.replace(microsecond=0):
            raise AuthFailure("The message was signed before the cloud started: sign it anew.")
        if believed.signature in self._seen:
            raise AuthFailure("The message came a second time: sign it anew.")
        self._seen.add(believed.signature)
        heapq.heappush(self._by_end, (believed.expires, believed.signature))
