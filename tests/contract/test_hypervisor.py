"""What a node controller may rely on, from the fake and from libvirt with real guests alike."""

import os
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from euca_box.kvm.fake import FakeHypervisor
from euca_box.kvm.hypervisor import (
    Disk,
    DomainExists,
    DomainState,
    KvmError,
    Machine,
    NoSuchDomain,
)
from tests.kvm import real

UUID = "ec2e1916-9099-4caf-8c3a-9a1b3f0e2c5d"


class FakeWorld:
    def __init__(self) -> None:
        self.hypervisor = FakeHypervisor(boot_seconds=0.01)

    async def given_machine(self, name: str) -> Machine:
        disk = Disk(Path("/nowhere") / name, "qcow2", "vda", f"root-{name}")
        return Machine(
            name=name,
            uuid=str(uuid.uuid5(uuid.UUID(UUID), name)),
            vcpus=1,
            memory_mib=128,
            disks=(disk,),
            nics=(),
            serial_socket=Path("/nowhere/serial"),
            vnc_socket=Path("/nowhere/vnc"),
            labels={"account": "a<1>&\"'é", "generation": "7"},
        )

    async def create(self, machine: Machine) -> None:
        await self.hypervisor.create(machine)

    def crash(self, name: str) -> None:
        self.hypervisor.crash(name)

    def hang(self, name: str) -> None:
        self.hypervisor.hung.add(name)

    def wake(self, name: str) -> None:
        self.hypervisor.hung.discard(name)

    def fail_disk(self, name: str) -> None:
        self.hypervisor.fail_disk(name)

    def heal_disk(self, name: str) -> None:
        self.hypervisor.heal_disk(name)

    async def wait_booted(self, name: str) -> None:
        await trio.sleep(0.02)

    async def given_target(self, machine: Machine, name: str = "copy") -> Path:
        target = Path(tempfile.mkdtemp()) / name
        target.touch()
        return target

    async def is_whole(self, machine: Machine, target: Path) -> bool:
        return target.read_bytes() == self.hypervisor.disk_content

    async def given_disk(self, serial: str) -> Disk:
        return Disk(Path("/nowhere") / serial, "raw", "vdb", serial)


@asynccontextmanager
async def fake_world() -> AsyncIterator[FakeWorld]:
    yield FakeWorld()


REAL = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(
    params=[fake_world, pytest.param(real.real_world, marks=[pytest.mark.kvm, REAL])], ids=["fake", "libvirt"]
)
async def world(request):
    async with request.param() as made:
        yield made


async def _wait_for(events, name, kind):
    with trio.fail_after(real.BOOT_SECONDS):
        async for event in events:
            if (event.name, event.kind) == (name, kind):
                return


@pytest.mark.trio
async def test_a_disk_is_plugged_into_a_running_domain_and_taken_out_again(world):
    machine = await world.given_machine("i-00000001")
    await world.create(machine)
    await world.wait_booted(machine.name)
    [root] = machine.disks
    disk = await world.given_disk("vol-00000001")

    await world.hypervisor.attach_disk(machine.name, disk)
    await world.hypervisor.attach_disk(machine.name, disk)
    assert await world.hypervisor.disks(machine.name) == {root.serial: "vda", disk.serial: "vdb"}

    await world.hypervisor.detach_disk(machine.name, disk.serial)
    with trio.fail_after(30):
        while disk.serial in await world.hypervisor.disks(machine.name):
            await trio.sleep(0.1)
    await world.hypervisor.detach_disk(machine.name, disk.serial)
    assert await world.hypervisor.disks(machine.name) == {root.serial: "vda"}


@pytest.mark.trio
async def test_a_suspended_domain_stands_still_until_it_is_resumed(world):
    machine = await world.given_machine("i-00000001")
    await world.hypervisor.create(machine)
    states = []
    for call in (world.hypervisor.suspend, world.hypervisor.suspend, world.hypervisor.resume):
        await call(machine.name)
        [domain] = await world.hypervisor.domains()
        states.append(domain.state)
        assert not domain.io_error
    assert states == [DomainState.PAUSED, DomainState.PAUSED, DomainState.RUNNING]


@pytest.mark.trio
async def test_disks_of_a_domain_that_is_not_there_are_told_so(world):
    disk = await world.given_disk("vol-00000001")
    for call in (
        lambda: world.hypervisor.attach_disk("i-00000001", disk),
        lambda: world.hypervisor.detach_disk("i-00000001", disk.serial),
        lambda: world.hypervisor.disks("i-00000001"),
        lambda: world.hypervisor.suspend("i-00000001"),
    ):
        with pytest.raises(NoSuchDomain):
            await call()


async def _names(hypervisor):
    return [domain.name for domain in await hypervisor.domains()]


@pytest.mark.trio
async def test_a_created_domain_runs_and_keeps_its_labels(world):
    machine = await world.given_machine("i-00000001")

    await world.hypervisor.create(machine)

    [domain] = await world.hypervisor.domains()
    assert (domain.name, domain.uuid, domain.state) == (machine.name, machine.uuid, DomainState.RUNNING)
    assert dict(domain.labels) == dict(machine.labels)


@pytest.mark.trio
async def test_usage_counts_what_a_running_domain_uses(world):
    assert await world.hypervisor.usage() == {}
    machine = await world.given_machine("i-00000001")
    await world.create(machine)
    await world.wait_booted(machine.name)

    first = (await world.hypervisor.usage())[machine.name]
    await trio.sleep(0.3)
    second = (await world.hypervisor.usage())[machine.name]

    assert second.cpu_seconds >= first.cpu_seconds > 0
    assert 0 < second.memory_mib < 4096


@pytest.mark.trio
async def test_before_start_sees_a_paused_domain(world):
    machine = await world.given_machine("i-00000001")
    states = []

    async def look():
        states.extend(domain.state for domain in await world.hypervisor.domains())

    await world.hypervisor.create(machine, before_start=look)

    assert states == [DomainState.PAUSED]


@pytest.mark.trio
async def test_resume_lets_a_paused_domain_run_and_one_that_runs_is_fine(world):
    machine = await world.given_machine("i-00000001")
    states = []

    async def resume():
        await world.hypervisor.resume(machine.name)
        states.extend(domain.state for domain in await world.hypervisor.domains())

    await world.hypervisor.create(machine, before_start=resume)
    await world.hypervisor.resume(machine.name)

    assert states == [DomainState.RUNNING]
    with pytest.raises(NoSuchDomain):
        await world.hypervisor.resume("i-0badf00d")


@pytest.mark.trio
async def test_a_failing_before_start_leaves_no_domain(world):
    machine = await world.given_machine("i-00000001")

    async def fail():
        raise OSError("the console does not answer")

    with pytest.raises(OSError, match="does not answer"):
        await world.hypervisor.create(machine, before_start=fail)

    assert await _names(world.hypervisor) == []


@pytest.mark.trio
async def test_a_cancelled_create_leaves_no_domain(world):
    machine = await world.given_machine("i-00000001")

    with trio.CancelScope() as scope:

        async def cancel():
            scope.cancel()
            await trio.lowlevel.checkpoint()

        await world.hypervisor.create(machine, before_start=cancel)

    assert scope.cancelled_caught
    assert await _names(world.hypervisor) == []


@pytest.mark.trio
async def test_a_second_domain_of_the_same_name_is_refused_and_the_first_runs_on(world):
    machine = await world.given_machine("i-00000001")
    await world.hypervisor.create(machine)

    with pytest.raises(DomainExists):
        await world.hypervisor.create(machine)

    [domain] = await world.hypervisor.domains()
    assert domain.state is DomainState.RUNNING


@pytest.mark.trio
async def test_a_second_domain_of_the_same_uuid_is_refused(world):
    machine = await world.given_machine("i-00000001")
    await world.hypervisor.create(machine)

    with pytest.raises(KvmError):
        await world.hypervisor.create(replace(machine, name="i-00000002"))

    assert await _names(world.hypervisor) == ["i-00000001"]


@pytest.mark.trio
@pytest.mark.parametrize("labels", [{"note": "bell \x07"}, {"note": "\ud800"}], ids=["control", "surrogate"])
async def test_a_label_that_xml_cannot_hold_is_refused(world, labels):
    machine = await world.given_machine("i-00000001")

    with pytest.raises(KvmError):
        await world.hypervisor.create(replace(machine, labels=labels))

    assert await _names(world.hypervisor) == []


@pytest.mark.trio
async def test_destroy_ends_a_domain_and_may_be_repeated(world):
    machine = await world.given_machine("i-00000001")
    events = world.hypervisor.events()
    await world.hypervisor.create(machine)

    await world.hypervisor.destroy(machine.name)
    await world.hypervisor.destroy(machine.name)

    assert await _names(world.hypervisor) == []
    await _wait_for(events, machine.name, "stopped")


@pytest.mark.trio
async def test_shutdown_lets_the_guest_power_itself_off(world):
    machine = await world.given_machine("i-00000001")
    events = world.hypervisor.events()
    await world.create(machine)
    await world.wait_booted(machine.name)

    await world.hypervisor.shutdown(machine.name)

    await _wait_for(events, machine.name, "stopped")
    assert await _names(world.hypervisor) == []


@pytest.mark.trio
async def test_reboot_asks_the_guest_first_and_keeps_the_domain(world):
    machine = await world.given_machine("i-00000001")
    await world.create(machine)
    await world.wait_booted(machine.name)
    events = world.hypervisor.events()

    await world.hypervisor.reboot(machine.name, grace_seconds=60)

    await _wait_for(events, machine.name, "rebooted")
    [domain] = await world.hypervisor.domains()
    assert (domain.uuid, domain.state) == (machine.uuid, DomainState.RUNNING)


@pytest.mark.trio
async def test_reboot_resets_a_guest_that_does_not_react(world):
    machine = await world.given_machine("i-00000001")
    await world.hypervisor.create(machine)  # not booted yet: nobody hears the power button
    events = world.hypervisor.events()

    await world.hypervisor.reboot(machine.name, grace_seconds=0.005)

    await _wait_for(events, machine.name, "rebooted")
    assert await _names(world.hypervisor) == [machine.name]


@pytest.mark.trio
async def test_the_events_of_a_life_come_in_order(world):
    machine = await world.given_machine("i-00000001")
    events = world.hypervisor.events()
    await world.hypervisor.create(machine)
    await world.hypervisor.destroy(machine.name)

    kinds = []
    with trio.fail_after(30):
        while "stopped" not in kinds:
            kinds.append((await events.receive()).kind)

    assert [kind for kind in kinds if kind != "paused"] == ["started", "resumed", "stopped"]


@pytest.mark.trio
async def test_a_crash_is_told_from_a_power_off(world):
    machine = await world.given_machine("i-00000001")
    events = world.hypervisor.events()
    await world.hypervisor.create(machine)

    world.crash(machine.name)

    await _wait_for(events, machine.name, "crashed")
    assert await _names(world.hypervisor) == []


@pytest.mark.trio
async def test_a_domain_that_does_not_answer_is_named_and_can_be_destroyed(world):
    well, silent = await world.given_machine("i-00000001"), await world.given_machine("i-00000002")
    for machine in (well, silent):
        await world.create(machine)
    assert await world.hypervisor.unresponsive() == set()

    world.hang(silent.name)
    assert await world.hypervisor.unresponsive() == {silent.name}
    assert well.name in await world.hypervisor.usage()
    world.wake(silent.name)
    with trio.fail_after(30):
        while await world.hypervisor.unresponsive():
            await trio.sleep(0.01)

    world.hang(silent.name)
    await world.hypervisor.unresponsive()
    with trio.fail_after(30):
        await world.hypervisor.destroy(silent.name)
    assert await _names(world.hypervisor) == [well.name]


@pytest.mark.trio
async def test_a_domain_whose_disk_fails_is_paused_and_runs_on_when_it_heals(world):
    machine = await world.given_machine("i-00000001")
    await world.create(machine)
    await world.wait_booted(machine.name)
    events = world.hypervisor.events()

    world.fail_disk(machine.name)
    await _wait_for(events, machine.name, "paused")
    [domain] = await world.hypervisor.domains()
    assert (domain.state, domain.io_error) == (DomainState.PAUSED, True)

    await world.hypervisor.resume(machine.name)
    await _wait_for(events, machine.name, "paused")

    world.heal_disk(machine.name)
    await world.hypervisor.resume(machine.name)
    await trio.sleep(0.5)
    [domain] = await world.hypervisor.domains()
    assert (domain.state, domain.io_error) == (DomainState.RUNNING, False)


@pytest.mark.trio
async def test_asking_for_a_domain_that_is_not_there_says_so(world):
    with pytest.raises(NoSuchDomain):
        await world.hypervisor.shutdown("i-0badf00d")
    with pytest.raises(NoSuchDomain):
        await world.hypervisor.reboot("i-0badf00d", grace_seconds=1)


@pytest.mark.trio
async def test_capacity_is_that_of_a_real_host(world):
    capacity = await world.hypervisor.capacity()

    assert capacity.cores >= 1
    assert capacity.memory_mib > 256
    assert capacity.accelerator.name in ("kvm", "tcg")
    assert capacity.qemu_version.count(".") == capacity.libvirt_version.count(".") == 2


@pytest.mark.trio
async def test_a_closed_hypervisor_ends_the_channels_of_its_events(world):
    events = world.hypervisor.events()
    if isinstance(world.hypervisor, FakeHypervisor):
        await world.hypervisor.close()
        with pytest.raises(trio.EndOfChannel):
            await events.receive()
    else:
        events.close()  # a reader that left; the next event must not hurt anybody
        machine = await world.given_machine("i-00000001")
        await world.hypervisor.create(machine)


@pytest.mark.trio
async def test_copy_disk_gives_what_the_guest_had_on_its_disk_while_it_runs_on(world):
    machine = await world.given_machine("i-00000001")
    await world.create(machine)
    await world.wait_booted(machine.name)
    target = await world.given_target(machine)

    await world.hypervisor.copy_disk(machine.name, target)

    assert await world.is_whole(machine, target)
    [domain] = await world.hypervisor.domains()
    assert domain.state is DomainState.RUNNING
    # Again, after one that was given up in the middle.
    with trio.move_on_after(0.01):
        await world.hypervisor.copy_disk(machine.name, target)
    await world.hypervisor.copy_disk(machine.name, await world.given_target(machine, "again"))


@pytest.mark.trio
async def test_copy_disk_of_an_absent_domain_or_to_an_absent_file_fails(world):
    machine = await world.given_machine("i-00000001")
    with pytest.raises(NoSuchDomain):
        await world.hypervisor.copy_disk(machine.name, Path("/nowhere/copy"))
    await world.hypervisor.create(machine)
    with pytest.raises(KvmError):
        await world.hypervisor.copy_disk(machine.name, Path("/nowhere/copy"))
