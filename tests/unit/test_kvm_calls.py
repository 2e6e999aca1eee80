"""Calls that hang cost one thread for each domain, and nobody but those who ask for that domain."""

import threading

import pytest
import trio

from euca_box.kvm.calls import Calls
from euca_box.kvm.hypervisor import Unresponsive

pytestmark = pytest.mark.trio
SOON = 0.02


@pytest.fixture
def hanging():
    """A call that hangs until the test lets go; it counts how often it was made."""
    let_go = threading.Event()

    def call():
        call.times += 1
        let_go.wait(10)

    call.times, call.let_go = 0, let_go.set
    yield call
    let_go.set()


async def test_a_call_answers_or_raises_what_it_raises():
    def fail():
        raise OSError("no")

    assert await Calls().run(lambda: 7) == 7
    with pytest.raises(OSError, match="no"):
        await Calls().run(fail, domain="i-1")


async def test_a_domain_that_hangs_holds_one_thread_and_no_other_domain(hanging):
    calls = Calls(at_a_time=1)
    for _ in range(3):
        with pytest.raises(Unresponsive, match="i-1 did not answer"):
            await calls.run(hanging, domain="i-1", seconds=SOON)
    assert hanging.times == 1
    assert calls.is_late("i-1")
    assert await calls.run(lambda: "well", domain="i-2") == "well"
    assert not calls.is_late("i-2")
    assert await calls.run(lambda: "list") == "list"


async def test_a_domain_that_answers_again_is_late_no_more(hanging):
    calls = Calls()
    with pytest.raises(Unresponsive):
        await calls.run(hanging, domain="i-1", seconds=SOON)
    hanging.let_go()
    assert await calls.run(lambda: "well", domain="i-1") == "well"
    assert not calls.is_late("i-1")


async def test_a_new_domain_of_the_same_name_does_not_wait_for_the_old_one(hanging):
    calls = Calls()
    with pytest.raises(Unresponsive):
        await calls.run(hanging, domain="i-1", seconds=SOON)
    calls.forget("i-1")
    assert not calls.is_late("i-1")
    assert await calls.run(lambda: "new", domain="i-1") == "new"


async def test_a_cancelled_caller_waits_for_what_the_call_does():
    done = []
    with trio.move_on_after(0) as scope:
        await Calls().run(lambda: done.append(1))
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert done == [1]
