"""The fake fails on request, keeps time, and outlives its user; the rest is in the contract."""

import pytest
import trio

from euca_box.kvm.fake import FakeHypervisor
from euca_box.kvm.hypervisor import EVENTS_WAITING, DomainState, KvmError, NoSuchDomain
from tests.unit.test_kvm_domain_xml import MACHINE

NAME = MACHINE.name


@pytest.mark.trio
async def test_the_next_call_fails_when_told_to_and_only_that():
    fake = FakeHypervisor()
    fake.broken = "out of memory"

    with pytest.raises(KvmError, match="out of memory"):
        await fake.create(MACHINE)
    assert fake.machines == {}
    await fake.create(MACHINE)
    assert fake.machines == {NAME: MACHINE}


@pytest.mark.trio
async def test_a_guest_that_boots_hears_no_button(autojump_clock):
    fake = FakeHypervisor(boot_seconds=30)
    await fake.create(MACHINE)

    await fake.shutdown(NAME)
    assert len(await fake.domains()) == 1
    before = trio.current_time()
    await fake.reboot(NAME, grace_seconds=10)
    assert trio.current_time() - before == 10
    await trio.sleep(31)
    await fake.shutdown(NAME)

    assert await fake.domains() == []


@pytest.mark.trio
@pytest.mark.parametrize(("fate", "kind"), [("crash", "crashed"), ("power_off", "stopped")])
async def test_what_fate_does_is_told_to_every_reader(fate, kind):
    fake = FakeHypervisor()
    await fake.create(MACHINE)
    readers = [fake.events(), fake.events()]

    getattr(fake, fate)(NAME)

    assert [(await reader.receive()).kind for reader in readers] == [kind, kind]
    with pytest.raises(NoSuchDomain):
        getattr(fake, fate)(NAME)


@pytest.mark.trio
async def test_a_guest_paused_by_an_io_error_shows_it():
    fake = FakeHypervisor()
    await fake.create(MACHINE)

    fake.pause(NAME)

    assert [domain.state for domain in await fake.domains()] == [DomainState.PAUSED]


@pytest.mark.trio
async def test_a_slow_reader_loses_events_and_holds_up_nobody():
    fake = FakeHypervisor()
    slow, gone = fake.events(), fake.events()
    gone.close()
    await fake.create(MACHINE)

    for _ in range(EVENTS_WAITING + 5):
        fake.pause(NAME)

    assert slow.statistics().current_buffer_used == EVENTS_WAITING
