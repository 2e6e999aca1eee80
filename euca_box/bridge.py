"""The bridge between the two schedulers of this process: asyncio is the host, trio its guest.

Both run in the same thread, so a value crosses without a lock. This is the only module that knows
both worlds: `to_trio` is awaited in asyncio, `to_asyncio` in trio; values, errors and cancellation
cross in both directions. See the trio manual, "Using guest mode to run Trio on top of other event loops".
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import outcome
import trio

T = TypeVar("T")


class Bridge:
    """Start with `await bridge.start(main)`; `main` runs in trio until `stop()` cancels it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nursery: trio.Nursery | None = None
        self._ended: asyncio.Future[outcome.Outcome[None]] | None = None

    async def start(self, main: Callable[[trio.TaskStatus[None]], Awaitable[None]]) -> None:
        """Run main(task_status) in trio; returns when it says started, raises what it raises before."""
        loop = self._loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        self._ended = loop.create_future()

        async def guest() -> None:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(_with_status, main)
                if not ready.done():
                    ready.set_result(None)

        def ended(result: outcome.Outcome[None]) -> None:
            if not ready.done():
                ready.set_exception(_error_of(result) or RuntimeError("the roles ended at once"))
            assert self._ended is not None
            self._ended.set_result(result)

        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=ended,
            host_uses_signal_set_wakeup_fd=True,
            restrict_keyboard_interrupt_to_checkpoints=True,
        )
        await ready

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Of asyncio, once it is started: for threads that ask it something."""
        assert self._loop is not None
        return self._loop

    async def ended(self) -> None:
        """Wait until the trio side has ended; raise what ended it."""
        assert self._ended is not None
        result = await asyncio.shield(self._ended)
        if (error := _error_of(result)) is not None:
            raise error

    async def stop(self) -> None:
        """Cancel everything in trio and wait for it: a guest run must be run to its end."""
        if self._ended is None:
            return
        if self._nursery is not None and not self._ended.done():
            self._nursery.cancel_scope.cancel()
        result = await asyncio.shield(self._ended)
        error = _error_of(result)
        if error is not None and not isinstance(error, trio.Cancelled):
            raise error

    async def to_trio(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Await function(*args) in trio, from asyncio. Cancelling the caller cancels it there."""
        if self._nursery is None or self._loop is None:
            raise RuntimeError("the roles do not run")
        scope = trio.CancelScope()
        answer: asyncio.Future[T] = self._loop.create_future()

        async def task() -> None:
            try:
                with scope:
                    value = await function(*args)
                    if not answer.done():
                        answer.set_result(value)
            except Exception as error:
                if answer.done():
                    raise
                answer.set_exception(error)
            finally:
                if not answer.done():
                    answer.cancel()

        self._nursery.start_soon(task)
        try:
            return await answer
        except asyncio.CancelledError:
            scope.cancel()
            raise

    async def to_asyncio(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Await function(*args) in asyncio, from trio. Cancelling the caller cancels it there."""
        assert self._loop is not None
        waiter = trio.lowlevel.current_task()
        finished = False

        async def task() -> None:
            result = await outcome.acapture(function, *args)
            nonlocal finished
            finished = True
            trio.lowlevel.reschedule(waiter, outcome.Value(result))

        job = self._loop.create_task(task())

        def cancelled_before_its_first_step(done: asyncio.Task[None]) -> None:
            # A task cancelled before it ran never reaches acapture; the waiter must wake all the same.
            if not finished:
                trio.lowlevel.reschedule(waiter, outcome.Value(outcome.Error(asyncio.CancelledError())))

        job.add_done_callback(cancelled_before_its_first_step)
        raise_cancel: Callable[[], None] | None = None

        def abort(raise_it: Callable[[], None]) -> trio.lowlevel.Abort:
            nonlocal raise_cancel
            raise_cancel = raise_it
            job.cancel()
            return trio.lowlevel.Abort.FAILED

        result: outcome.Outcome[T] = await trio.lowlevel.wait_task_rescheduled(abort)
        if raise_cancel is not None and isinstance(_error_of(result), asyncio.CancelledError):
            raise_cancel()
        return result.unwrap()

    async def outcome(self, future: "asyncio.Future[T]") -> T:
        """The result of an asyncio future, awaited in trio: cheaper than a task. Cancelling cancels it."""
        waiter, is_waiting = trio.lowlevel.current_task(), True

        def wake(done: "asyncio.Future[T]") -> None:
            if is_waiting:
                trio.lowlevel.reschedule(waiter)

        def abort(raise_cancel: Callable[[], None]) -> trio.lowlevel.Abort:
            nonlocal is_waiting
            is_waiting = False
            future.cancel()
            return trio.lowlevel.Abort.SUCCEEDED

        future.add_done_callback(wake)
        await trio.lowlevel.wait_task_rescheduled(abort)
        return future.result()


async def _with_status(
    main: Callable[[trio.TaskStatus[None]], Awaitable[None]],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    await main(task_status)


def _error_of(result: outcome.Outcome[Any]) -> BaseException | None:
    return result.error if isinstance(result, outcome.Error) else None
