"""The life of an instance through CLC, CC and NC, in virtual time."""

import base64
import contextlib
import errno
from dataclasses import replace

import pytest
import trio

from euca_box.messages import ec2_instances as ec2
from euca_box.messages.ec2_keypairs import ImportKeyPair
from euca_box.model.ec2_errors import (
    InsufficientInstanceCapacity,
    InvalidAMIIDNotFound,
    InvalidInstanceIDNotFound,
)
from euca_box.model.errors import EucaError, IdempotentParameterMismatch, InvalidParameterCombination
from euca_box.observe import failpoints
from tests.sim.cloud import MALLORY, Killed, cloud

pytestmark = pytest.mark.trio
KEY_BYTES = b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(range(32))
PUBLIC_KEY = b"ssh-ed25519 " + base64.b64encode(KEY_BYTES)


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    failpoints.disarm_all()


async def test_an_instance_runs_and_ends_and_leaves_nothing(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances()
        assert await c.state_of(instance_id) == "pending"

        instance = await c.until(instance_id, "running")
        assert (instance.private_ip_address, instance.public_ip_address) == ("172.31.0.4", "172.30.0.10")
        assert set(c.hypervisor.machines) == {instance_id}

        await c.ask(ec2.TerminateInstances((instance_id,)))
        ended = await c.until(instance_id, "terminated")
        assert ended.state_reason.code == "Client.UserInitiatedShutdown"
        assert await c.leftovers() == []


async def test_a_client_token_gives_one_reservation(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        first = await c.run_instances(client_token="t1")
        assert await c.run_instances(client_token="t1") == first
        with pytest.raises(IdempotentParameterMismatch):
            await c.run_instances(count=2, client_token="t1")


async def test_two_requests_with_one_token_at_once_give_one_reservation(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        answers = []

        async def run():
            answers.append(await c.run_instances(client_token="t1"))

        async with trio.open_nursery() as both:
            both.start_soon(run)
            both.start_soon(run)
        assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"image_id": "emi-99999999"}, InvalidAMIIDNotFound),
        ({"image_id": "emi-00000002"}, InvalidParameterCombination),
        ({"min_count": 3, "max_count": 2}, InvalidParameterCombination),
        ({"instance_type": "c1.xlarge", "min_count": 20, "max_count": 20}, InsufficientInstanceCapacity),
    ],
    ids=["no such image", "a file system without a kernel", "min above max", "more than fit"],
)
async def test_run_instances_refuses_and_makes_nothing(tmp_path, autojump_clock, more, error):
    async with cloud(tmp_path) as c:
        asked = {"image_id": "emi-00000001", "min_count": 1, "max_count": 1} | more
        with pytest.raises(error):
            await c.ask(ec2.RunInstances(**asked))
        assert c.clc.instances.all() == []


async def test_another_account_sees_nothing_of_an_instance(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances()
        for op in (ec2.DescribeInstances((instance_id,)), ec2.TerminateInstances((instance_id,))):
            with pytest.raises(InvalidInstanceIDNotFound):
                await c.ask(op, MALLORY)
        assert (await c.ask(ec2.DescribeInstances(), MALLORY)).reservations == ()
        assert (await c.until(instance_id, "running")).state.name == "running"


async def test_guests_outlive_a_killed_control_plane_and_are_adopted(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        machine = c.hypervisor.machines[instance_id]

        await c.restart()

        assert await c.state_of(instance_id) == "running"
        await trio.sleep(120)
        assert await c.state_of(instance_id) == "running"
        assert c.hypervisor.machines[instance_id] is machine
        await c.ask(ec2.TerminateInstances((instance_id,)))
        await c.until(instance_id, "terminated")
        assert await c.leftovers() == []


async def test_a_guest_that_switches_itself_off_is_terminated_with_the_reason(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        c.hypervisor.power_off(instance_id)
        ended = await c.until(instance_id, "terminated")
        assert ended.state_reason.code == "Client.InstanceInitiatedShutdown"
        assert await c.leftovers() == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk of the node is full"),
        (RuntimeError("secret detail of the host"), "the node could not start it"),
    ],
    ids=["full disk", "a bug"],
)
async def test_a_failed_start_ends_with_a_reason_and_leaves_nothing(tmp_path, autojump_clock, fault, words):
    async with cloud(tmp_path) as c:
        c.workbench.broken = fault
        [instance_id] = await c.run_instances()
        ended = await c.until(instance_id, "terminated")
        assert words in ended.state_reason.message
        assert "secret detail" not in ended.state_reason.message
        assert await c.leftovers() == []


async def test_an_image_is_fetched_once_for_many_instances(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        for instance_id in await c.run_instances(count=3):
            await c.until(instance_id, "running")
        assert c.workbench.fetches == 2  # the root and its kernel


@pytest.mark.parametrize("can", [True, False])
async def test_a_node_that_injects_keys_gives_the_guest_a_copy_with_it_and_starts_without_too(
    tmp_path, autojump_clock, can
):
    async with cloud(tmp_path) as c:
        c.nc.settings = replace(c.nc.settings, inject_keys=True)
        c.workbench.no_file_system = not can
        await c.ask(ImportKeyPair("k", PUBLIC_KEY))
        [instance_id] = await c.run_instances(key_name="k")
        await c.until(instance_id, "running")
        [(base, _)] = c.hypervisor.machines[instance_id].disks[0].backing
        assert (base.name == "root-with-key.raw") is can

        await c.ask(ec2.StopInstances((instance_id,)))
        await c.until(instance_id, "stopped")
        await c.ask(ec2.StartInstances((instance_id,)))
        await c.until(instance_id, "running")
        assert c.hypervisor.machines[instance_id].disks[0].backing[0][0] == base


FAILPOINTS = [
    "clc.run.after-commit",
    "clc.launch.after-cc",
    "clc.end.after-cc",
    "cc.run.after-commit",
    "nc.start.after-disk",
    "nc.start.after-plug",
    "nc.start.after-create",
    "nc.finish.after-destroy",
    "nc.finish.before-commit",
]


@pytest.mark.parametrize("name", FAILPOINTS)
async def test_a_crash_at_any_step_is_repaired(tmp_path, autojump_clock, name):
    async with cloud(tmp_path) as c:
        killed = trio.Event()

        def kill():
            failpoints.disarm_all()
            killed.set()
            raise Killed

        failpoints.arm(name, kill)
        with contextlib.suppress(EucaError):
            await c.run_instances(client_token="t")
        if not killed.is_set() and ".end." not in name and ".finish." not in name:
            with trio.fail_after(100):
                await killed.wait()
        if killed.is_set():
            await c.kill()
            await c.start()
        [instance_id] = await c.run_instances(client_token="t")
        await c.until(instance_id, "running", seconds=400)
        assert list(c.hypervisor.machines) == [instance_id]

        await c.ask(ec2.TerminateInstances((instance_id,)))
        if ".end." in name or ".finish." in name:
            with trio.fail_after(100):
                await killed.wait()
            await c.kill()
            await c.start()
        await c.until(instance_id, "terminated", seconds=400)
        await trio.sleep(60)
        assert await c.leftovers() == []
