"""Blocking calls of the hypervisor in threads, each with a deadline.

A call that hangs keeps its thread until the hypervisor lets go of it; nothing can end a thread. So calls
that wait for one domain's QEMU go one after the other for that domain: a QEMU that stands still costs one
thread, and calls about other domains never wait for it.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import trio

from euca_box.kvm.hypervisor import Unresponsive

T = TypeVar("T")

AT_A_TIME = 8
SECONDS = 30.0


@dataclass
class _Late:
    """A call whose caller waits no longer."""

    started: bool = False
    returned: bool = False


class Calls:
    def __init__(self, at_a_time: int = AT_A_TIME) -> None:
        self._common = trio.CapacityLimiter(at_a_time)
        self._domains: dict[str, trio.CapacityLimiter] = defaultdict(partial(trio.CapacityLimiter, 1))
        self._late: dict[str, _Late] = {}

    async def run(self, call: Callable[[], T], *, domain: str | None = None, seconds: float = SECONDS) -> T:
        """What the call returns or raises. `domain` names the one whose QEMU it asks.

        A cancelled caller waits for the call all the same: what a call does must not happen behind our back.
        Raises Unresponsive at the deadline; the call may yet happen.
        """
        limiter = self._common if domain is None else self._domains[domain]
        running = _Late()

        def watched() -> T:
            running.started = True
            try:
                return call()
            finally:
                running.returned = True

        with trio.CancelScope(shield=True, deadline=trio.current_time() + seconds):
            return await trio.to_thread.run_sync(watched, limiter=limiter, abandon_on_cancel=True)
        if domain is not None and running.started:
            self._late[domain] = running
        raise Unresponsive(f"{domain or 'the hypervisor'} did not answer within {seconds:g} s")

    def is_late(self, domain: str) -> bool:
        """Whether a call whose deadline has passed still waits for this domain's QEMU."""
        late = self._late.get(domain)
        if late is None or late.returned:
            self._late.pop(domain, None)
            return False
        return True

    def forget(self, domain: str) -> None:
        """It is gone; what still waits for it keeps its thread."""
        self._domains.pop(domain, None)
        self._late.pop(domain, None)
