"""Stop and start through CLC, CC and NC, in virtual time: what stays, what is freed, who is refused."""

import contextlib

import pytest
import trio

from euca_box.messages import ec2_addresses
from euca_box.messages import ec2_instances as ec2
from euca_box.messages.base import system_call
from euca_box.messages.cc import CcDescribeResources, CcStopInstance
from euca_box.messages.nc import NcStartInstance, NcStopInstance
from euca_box.model.ec2_errors import (
    IncorrectInstanceState,
    InsufficientInstanceCapacity,
    InvalidInstanceIDNotFound,
)
from tests.sim.cloud import MALLORY, cloud

pytestmark = pytest.mark.trio


async def stop(c, instance_id, **more):
    return await c.ask(ec2.StopInstances((instance_id,), **more))


async def start(c, instance_id):
    return await c.ask(ec2.StartInstances((instance_id,)))


async def running(c, **more):
    [instance_id] = await c.run_instances(**more)
    await c.until(instance_id, "running")
    return instance_id


async def free_of(c):
    reply = await c.bus.ask("cc@z1", CcDescribeResources(), system_call("test"))
    [node] = reply.nodes
    disk_taken_gib = node.disk_gib - node.disk_free_gib
    return node.cores_free, node.memory_free_mib, disk_taken_gib, reply.public_addresses_free


async def test_a_stopped_instance_keeps_disk_and_private_address_and_frees_the_rest(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        whole = await free_of(c)
        instance_id = await running(c)
        before = await c.describe(instance_id)
        assert c.workbench.overlays == [instance_id]

        [change] = (await stop(c, instance_id)).stopping_instances
        assert (change.previous_state.name, change.current_state.name) == ("running", "stopping")
        stopped = await c.until(instance_id, "stopped")
        assert (stopped.state.code, stopped.state_reason.code) == (80, "Client.UserInitiatedShutdown")
        assert (stopped.private_ip_address, stopped.public_ip_address) == (before.private_ip_address, None)
        assert (c.hypervisor.machines, await c.network.ports()) == ({}, [])
        assert await c.network.public_addresses() == {}
        assert len(c.workbench.made) == 1
        cores, memory_mib, disk_gib, addresses = await free_of(c)
        assert (cores, memory_mib, addresses) == (whole[0], whole[1], whole[3])
        assert disk_gib == whole[2] + 10

        [change] = (await start(c, instance_id)).starting_instances
        assert (change.previous_state.name, change.current_state.name) == ("stopped", "pending")
        again = await c.until(instance_id, "running")
        assert again.private_ip_address == before.private_ip_address
        assert again.public_ip_address is not None
        assert again.state_reason is None
        assert again.launch_time > before.launch_time
        assert c.hypervisor.machines[instance_id].nics[0].mac == before.network_interfaces[0].mac_address
        assert c.workbench.overlays == [instance_id]  # made once

        await c.ask(ec2.TerminateInstances((instance_id,)))
        await c.until(instance_id, "terminated")
        assert await c.leftovers() == []


async def test_an_automatic_public_address_goes_to_others_while_it_is_stopped(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        address = (await c.describe(instance_id)).public_ip_address
        await stop(c, instance_id)
        await c.until(instance_id, "stopped")
        other = await running(c)
        assert (await c.describe(other)).public_ip_address == address

        await start(c, instance_id)
        again = await c.until(instance_id, "running")
        assert again.public_ip_address not in (None, address)


async def test_an_elastic_address_stays_over_stop_and_start(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        made = await c.ask(ec2_addresses.AllocateAddress())
        await c.ask(ec2_addresses.AssociateAddress(allocation_id=made.allocation_id, instance_id=instance_id))
        await stop(c, instance_id)
        stopped = await c.until(instance_id, "stopped")
        assert stopped.public_ip_address == made.public_ip
        assert await c.network.public_addresses() == {}
        await trio.sleep(60)
        assert await c.network.public_addresses() == {}

        await start(c, instance_id)
        again = await c.until(instance_id, "running")
        assert again.public_ip_address == made.public_ip
        assert await c.network.public_addresses() == {made.public_ip: again.private_ip_address}


async def test_an_elastic_address_may_come_and_go_while_it_is_stopped(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        await stop(c, instance_id)
        await c.until(instance_id, "stopped")
        made = await c.ask(ec2_addresses.AllocateAddress())
        await c.ask(ec2_addresses.AssociateAddress(allocation_id=made.allocation_id, instance_id=instance_id))
        await trio.sleep(30)
        assert (await c.describe(instance_id)).public_ip_address == made.public_ip
        await c.ask(ec2_addresses.DisassociateAddress(public_ip=made.public_ip))
        await trio.sleep(30)
        assert (await c.describe(instance_id)).public_ip_address is None
        assert await c.network.public_addresses() == {}
        assert (await free_of(c))[3] == 2  # all but the one that is allocated


async def test_stop_and_start_may_be_repeated(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        for _ in range(3):
            for _ in range(2):
                await stop(c, instance_id)
            await c.until(instance_id, "stopped")
            await stop(c, instance_id)
            assert await c.state_of(instance_id) == "stopped"
            for _ in range(2):
                await start(c, instance_id)
            await c.until(instance_id, "running")
            await start(c, instance_id)
        assert await c.state_of(instance_id) == "running"
        assert list(c.hypervisor.machines) == [instance_id]


async def test_the_guest_is_asked_first_and_then_the_plug_is_pulled(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        c.hypervisor.boot_seconds = 0.0
        polite = await running(c)
        at = trio.current_time()
        await stop(c, polite)
        await c.until(polite, "stopped")
        assert trio.current_time() - at < 10

        c.hypervisor.boot_seconds = 10_000.0  # it hears no button
        deaf = await running(c)
        at = trio.current_time()
        await stop(c, deaf)
        await c.until(deaf, "stopped")
        assert 60 <= trio.current_time() - at < 80


async def test_force_overtakes_a_stop_that_waits_for_the_guest(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        c.hypervisor.boot_seconds = 10_000.0
        instance_id = await running(c)
        at = trio.current_time()
        await stop(c, instance_id)
        await trio.sleep(5)
        assert await c.state_of(instance_id) == "stopping"
        await stop(c, instance_id, force=True)
        await c.until(instance_id, "stopped")
        assert trio.current_time() - at < 20


async def test_states_that_cannot_be_stopped_or_started_are_refused(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        c.hypervisor.boot_seconds = 10_000.0
        [instance_id] = await c.run_instances()
        with pytest.raises(IncorrectInstanceState):
            await stop(c, instance_id)
        await c.until(instance_id, "running")
        await stop(c, instance_id)
        with pytest.raises(IncorrectInstanceState):
            await start(c, instance_id)
        await c.ask(ec2.TerminateInstances((instance_id,)))
        await c.until(instance_id, "terminated")
        for wish in (stop, start):
            with pytest.raises(IncorrectInstanceState):
                await wish(c, instance_id)
        assert await c.leftovers() == []


async def test_another_account_stops_and_starts_nothing(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        for op in (ec2.StopInstances((instance_id,)), ec2.StartInstances((instance_id,))):
            with pytest.raises(InvalidInstanceIDNotFound):
                await c.ask(op, MALLORY)
        assert await c.state_of(instance_id) == "running"


async def test_a_start_without_room_is_refused_and_it_stays_stopped(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c, instance_type="c1.xlarge")
        await stop(c, instance_id)
        await c.until(instance_id, "stopped")
        others = []
        with contextlib.suppress(InsufficientInstanceCapacity):
            for _ in range(10):
                others.append(await running(c, instance_type="c1.xlarge"))
        with pytest.raises(InsufficientInstanceCapacity):
            await start(c, instance_id)
        assert await c.state_of(instance_id) == "stopped"

        await c.ask(ec2.TerminateInstances((others[0],)))
        await c.until(others[0], "terminated")
        await start(c, instance_id)
        await c.until(instance_id, "running")


async def test_of_two_starts_at_once_with_room_for_one_the_other_stays_stopped(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        ids = [await running(c, instance_type="c1.xlarge") for _ in range(2)]
        for instance_id in ids:
            await stop(c, instance_id)
            await c.until(instance_id, "stopped")
        with contextlib.suppress(InsufficientInstanceCapacity):
            for _ in range(10):
                other = await running(c, instance_type="c1.xlarge")
        await c.ask(ec2.TerminateInstances((other,)))
        await c.until(other, "terminated")

        for instance_id in ids:
            with contextlib.suppress(InsufficientInstanceCapacity):
                await start(c, instance_id)
        await trio.sleep(60)
        found = [await c.describe(instance_id) for instance_id in ids]
        assert sorted(i.state.name for i in found) == ["running", "stopped"]
        [left] = [i for i in found if i.state.name == "stopped"]
        assert left.state_reason.code in (
            "Server.InsufficientInstanceCapacity",
            "Client.UserInitiatedShutdown",
        )


async def test_a_start_that_fails_leaves_it_stopped_with_the_reason_and_its_disk(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        await stop(c, instance_id)
        await c.until(instance_id, "stopped")
        c.hypervisor.create_fails = "cannot open /secret"
        await start(c, instance_id)
        await c.until(instance_id, "pending")
        stopped = await c.until(instance_id, "stopped")
        assert stopped.state_reason.code == "Server.InternalError"
        assert "secret" not in stopped.state_reason.message
        assert len(c.workbench.made) == 1
        await start(c, instance_id)
        await c.until(instance_id, "running")
        assert c.workbench.overlays == [instance_id]


async def test_a_guest_with_shutdown_behavior_stop_stays_stopped_when_it_switches_itself_off(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path) as c:
        instance_id = await running(c, instance_initiated_shutdown_behavior="stop")
        c.hypervisor.power_off(instance_id)
        stopped = await c.until(instance_id, "stopped")
        assert stopped.state_reason.code == "Client.InstanceInitiatedShutdown"
        assert stopped.public_ip_address is None
        await start(c, instance_id)
        await c.until(instance_id, "running")


async def test_a_stopped_instance_ends_and_leaves_nothing(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        await stop(c, instance_id)
        await c.until(instance_id, "stopped")
        await c.ask(ec2.TerminateInstances((instance_id,)))
        await c.until(instance_id, "terminated")
        assert await c.leftovers() == []


async def test_a_stopped_instance_stays_stopped_over_a_restart(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        await stop(c, instance_id)
        await c.until(instance_id, "stopped")
        await c.restart()
        await trio.sleep(120)
        assert await c.state_of(instance_id) == "stopped"
        assert c.hypervisor.machines == {}
        await start(c, instance_id)
        await c.until(instance_id, "running")


async def test_an_image_that_was_deregistered_does_not_keep_it_from_starting(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        await stop(c, instance_id)
        await c.until(instance_id, "stopped")
        for image_id in ("emi-00000001", "eki-00000001"):
            await c.clc.images.remove(image_id)
        await start(c, instance_id)
        await c.until(instance_id, "running")


async def test_an_old_message_never_undoes_a_newer_wish(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        await stop(c, instance_id)
        await c.until(instance_id, "stopped")
        old = c.nc.residents[instance_id]
        await start(c, instance_id)
        await c.until(instance_id, "running")

        late = system_call("late")
        await c.bus.ask("cc@z1", CcStopInstance(instance_id, 1, True), late)
        await c.bus.ask("nc@n1", NcStopInstance(instance_id, 1, True), late)
        await c.bus.ask("nc@n1", NcStartInstance(old.spec, old.placement), late)
        assert not c.cc.placed[instance_id].stopping
        assert c.cc.placed[instance_id].spec.generation == 2
        assert c.nc.residents[instance_id].spec.generation == 2
        await trio.sleep(60)
        assert await c.state_of(instance_id) == "running"
        assert list(c.hypervisor.machines) == [instance_id]
