"""The bridge: values, errors and cancellation, from asyncio to trio and back."""

import asyncio

import pytest
import trio

from euca_box.bridge import Bridge

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def bridge():
    running = Bridge()

    async def main(task_status):
        task_status.started()
        await trio.sleep_forever()

    await running.start(main)
    yield running
    await running.stop()


async def double(n):
    await trio.sleep(0)
    return 2 * n


async def asyncio_double(n):
    await asyncio.sleep(0)
    return 2 * n


async def test_a_value_comes_back_from_trio(bridge):
    assert await bridge.to_trio(double, 21) == 42


async def test_an_error_comes_back_from_trio(bridge):
    async def fails():
        raise KeyError("x")

    with pytest.raises(KeyError):
        await bridge.to_trio(fails)


async def test_a_value_and_an_error_come_back_from_asyncio(bridge):
    async def fails():
        raise KeyError("x")

    async def in_trio():
        value = await bridge.to_asyncio(asyncio_double, 4)
        with pytest.raises(KeyError):
            await bridge.to_asyncio(fails)
        return value

    assert await bridge.to_trio(in_trio) == 8


async def test_many_calls_cross_at_once(bridge):
    async def there_and_back(n):
        return await bridge.to_asyncio(asyncio_double, n)

    answers = await asyncio.gather(*(bridge.to_trio(there_and_back, n) for n in range(200)))
    assert answers == [2 * n for n in range(200)]


async def test_cancelling_in_asyncio_cancels_in_trio(bridge):
    seen = []
    started = asyncio.Event()

    async def waits():
        started.set()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            seen.append("cancelled")
            raise

    task = asyncio.ensure_future(bridge.to_trio(waits))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await bridge.to_trio(double, 1)
    assert seen == ["cancelled"]


async def test_cancelling_in_trio_cancels_in_asyncio(bridge):
    seen = []

    async def waits():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def in_trio():
        with trio.move_on_after(0.01) as scope:
            await bridge.to_asyncio(waits)
        return scope.cancelled_caught

    assert await bridge.to_trio(in_trio) is True
    assert seen == ["cancelled"]


async def test_work_that_finishes_despite_a_cancel_is_not_lost(bridge):
    async def stubborn():
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            return "done anyway"
        return "slept"

    async def in_trio():
        with trio.CancelScope() as scope:
            scope.cancel()
            return await bridge.to_asyncio(stubborn)

    assert await bridge.to_trio(in_trio) in ("done anyway", None)


async def test_a_future_of_asyncio_is_awaited_in_trio(bridge):
    loop = asyncio.get_running_loop()
    good, bad, past = loop.create_future(), loop.create_future(), loop.create_future()
    past.set_result("was there")

    async def in_trio():
        loop.call_soon(good.set_result, 3)
        loop.call_soon(bad.set_exception, KeyError("x"))
        with pytest.raises(KeyError):
            await bridge.outcome(bad)
        return await bridge.outcome(good), await bridge.outcome(past)

    assert await bridge.to_trio(in_trio) == (3, "was there")


async def test_cancelling_in_trio_cancels_the_future_even_as_it_ends(bridge):
    loop = asyncio.get_running_loop()
    pending, ended = loop.create_future(), loop.create_future()

    async def gives_up(future):
        with trio.CancelScope() as scope:
            if future is ended:
                ended.set_result(1)
            scope.cancel()
            await bridge.outcome(future)
        await trio.sleep(0)
        return scope.cancelled_caught

    assert await bridge.to_trio(gives_up, pending) is True
    assert pending.cancelled()
    assert await bridge.to_trio(gives_up, ended) is True
    assert await bridge.to_trio(double, 1) == 2  # it goes on


async def test_calls_that_wait_when_the_roles_stop_are_cancelled():
    bridge = Bridge()

    async def main(task_status):
        task_status.started()
        await trio.sleep_forever()

    await bridge.start(main)
    task = asyncio.ensure_future(bridge.to_trio(trio.sleep_forever))
    await asyncio.sleep(0.01)
    await bridge.stop()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_crash_while_starting_is_told_to_who_starts():
    bridge = Bridge()

    async def main(task_status):
        raise OSError("no disk")

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - trio wraps it in a group
        await bridge.start(main)
    assert "no disk" in repr(caught.value.exceptions if hasattr(caught.value, "exceptions") else caught.value)


async def test_a_crash_later_is_told_to_who_waits_for_the_end():
    bridge = Bridge()
    go = asyncio.Event()

    async def main(task_status):
        task_status.started()
        await bridge.to_asyncio(go.wait)
        raise OSError("gone")

    async def outer(task_status):
        async with trio.open_nursery() as nursery:
            await nursery.start(_named, main)
            task_status.started()
            await trio.sleep_forever()

    await bridge.start(outer)
    go.set()
    with pytest.raises(BaseExceptionGroup):
        await bridge.ended()


async def _named(main, task_status=trio.TASK_STATUS_IGNORED):
    await main(task_status)
