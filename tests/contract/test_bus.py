"""What the bus promises, within one process and between hosts."""

from dataclasses import dataclass

import pytest
import trio

from euca_box.bus.bus import Bus, Desk
from euca_box.bus.memory import MemoryTransport
from euca_box.bus.results import StoredResults
from euca_box.messages.base import Done, Op, system_call
from euca_box.model.ec2_errors import InvalidInstanceIDNotFound
from euca_box.model.errors import InternalError, InvalidAction, Unavailable
from euca_box.roles.cc.role import MIGRATIONS
from euca_box.store.sync_store import SyncStore
from tests.contract.role_host import role_host

pytestmark = pytest.mark.trio

TICK, DEADLINE = 0.05, 1.0


@dataclass(frozen=True)
class Counted:
    n: int
    data: bytes = b"\x00\xff"


@dataclass(frozen=True)
class Count(Op[Counted], role="cc", timeout=DEADLINE, mutates=True):
    step: int = 1


@dataclass(frozen=True)
class Slow(Op[Done], role="cc", timeout=DEADLINE):
    pass


@dataclass(frozen=True)
class Fail(Op[Done], role="cc"):
    how: str


@dataclass(frozen=True)
class Unknown(Op[Done], role="cc"):
    pass


class Counter:
    def __init__(self):
        self.n = 0
        self.cancelled = False


async def count(role, call, op):
    await trio.sleep(TICK)
    role.n += op.step
    return Counted(role.n)


async def slow(role, call, op):
    try:
        await trio.sleep(100 * DEADLINE)
    except trio.Cancelled:
        role.cancelled = True
        raise


async def fail(role, call, op):
    if op.how == "fault":
        raise InvalidInstanceIDNotFound("i-00000001")
    raise RuntimeError("password of the database")


OPERATIONS = {Count: count, Slow: slow, Fail: fail}
CALL = system_call("r-1")


@pytest.fixture(params=["as objects", "as JSON", "signed REST"])
async def bus_and_role(request, nursery):
    """In one process, and with a role on another host: its loop in a thread, behind TLS on a real socket."""
    if request.param == "signed REST":
        with role_host(Counter(), OPERATIONS) as host:
            transport = host.transport()
            yield Bus(transport), host.role
            await transport.close()
        return
    transport, role = MemoryTransport(encoded=request.param == "as JSON"), Counter()
    results = StoredResults(SyncStore(MIGRATIONS), trio.current_time)
    await nursery.start(transport.serve, "cc@z1", Desk(role, OPERATIONS, results))
    yield Bus(transport), role


async def test_the_reply_comes_back_typed(bus_and_role):
    bus, _ = bus_and_role
    assert await bus.ask("cc@z1", Count(2), CALL) == Counted(2)


async def test_an_error_comes_back_as_it_was_raised(bus_and_role):
    bus, _ = bus_and_role
    with pytest.raises(InvalidInstanceIDNotFound, match="i-00000001"):
        await bus.ask("cc@z1", Fail("fault"), CALL)


async def test_a_bug_is_an_internal_error_without_its_text(bus_and_role, caplog):
    bus, _ = bus_and_role
    with pytest.raises(InternalError) as caught:
        await bus.ask("cc@z1", Fail("bug"), CALL)
    assert "password" not in str(caught.value)
    assert "password" in caplog.text


async def test_an_operation_that_the_role_does_not_have_is_refused(bus_and_role):
    bus, _ = bus_and_role
    with pytest.raises(InvalidAction):
        await bus.ask("cc@z1", Unknown(), CALL)


async def test_a_role_that_does_not_run_is_unavailable(bus_and_role):
    bus, _ = bus_and_role
    with pytest.raises(Unavailable, match="cc@z2"):
        await bus.ask("cc@z2", Count(), CALL)


async def test_after_its_deadline_the_outcome_is_unknown_and_the_work_is_cancelled(bus_and_role):
    bus, role = bus_and_role
    started = trio.current_time()
    with pytest.raises(Unavailable, match=f"did not answer Slow within {DEADLINE:g} s"):
        await bus.ask("cc@z1", Slow(), CALL)
    assert trio.current_time() - started == pytest.approx(DEADLINE, abs=0.5)
    with trio.fail_after(20):
        while not role.cancelled:
            await trio.sleep(TICK)


async def test_the_same_op_id_is_done_once(bus_and_role):
    bus, role = bus_and_role
    call = system_call("r-1", op_id="count:1")
    first = await bus.ask("cc@z1", Count(), call)
    assert await bus.ask("cc@z1", Count(), call) == first
    assert role.n == 1


async def test_the_same_op_id_twice_at_once_is_done_once(bus_and_role):
    bus, role = bus_and_role
    call, answers = system_call("r-1", op_id="count:1"), []

    async def ask():
        answers.append(await bus.ask("cc@z1", Count(), call))

    async with trio.open_nursery() as both:
        both.start_soon(ask)
        both.start_soon(ask)
    assert answers == [Counted(1), Counted(1)]
    assert role.n == 1


async def test_calls_that_wait_when_a_role_stops_are_told(nursery, autojump_clock):
    transport, bus_scope = MemoryTransport(), trio.CancelScope()

    async def serve(task_status=trio.TASK_STATUS_IGNORED):
        with bus_scope:
            await transport.serve("cc@z1", Desk(Counter(), OPERATIONS), task_status=task_status)

    await nursery.start(serve)

    async def stop():
        await trio.sleep(1)
        bus_scope.cancel()

    nursery.start_soon(stop)
    with pytest.raises(Unavailable):
        await Bus(transport).ask("cc@z1", Slow(), CALL)
