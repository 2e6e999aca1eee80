"""How tasks live in trio: loops that repeat, and lives that start again after a crash."""

import logging
from collections.abc import Awaitable, Callable, Iterable

import trio

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
CALM = 300.0  # a task that ran this long is healthy again; its next crash waits FIRST_PAUSE


async def every(seconds: float, step: Callable[[], Awaitable[object]]) -> None:
    """Run step, then sleep, for ever. Steps never overlap."""
    while True:
        await step()
        await trio.sleep(seconds)


async def supervise(name: str, task: Callable[[], Awaitable[object]]) -> None:
    """Run task again whenever it crashes. Returns when it returns, stops when cancelled."""
    pause = FIRST_PAUSE
    while True:
        started = trio.current_time()
        try:
            await task()
            return
        except Exception:
            if trio.current_time() - started > CALM:
                pause = FIRST_PAUSE
            log.exception("%s crashed; starts again in %g s", name, pause)
        await trio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def together(steps: Iterable[Callable[[], Awaitable[object]]]) -> None:
    """Run all at once. The first that fails ends the others, and its error is raised as it is."""
    failed: list[Exception] = []
    async with trio.open_nursery() as nursery:

        async def run(step: Callable[[], Awaitable[object]]) -> None:
            try:
                await step()
            except Exception as error:
                failed.append(error)
                nursery.cancel_scope.cancel()

        for step in steps:
            nursery.start_soon(run, step)
    if failed:
        raise failed[0]


class Bell:
    """Wakes a loop early: `ring()` from anywhere in trio, `wait(seconds)` in the loop."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when rung, at the latest after seconds. A ring while nobody waited counts."""
        with trio.move_on_after(seconds):
            await self._event.wait()
        self._event = trio.Event()
