"""Instances whose root is a volume start on another node: by a stop and a start, or when theirs is lost."""

import pytest
import trio

from euca_box.messages import ec2_instances as instances
from euca_box.messages import ec2_statuses
from euca_box.messages.base import system_call
from euca_box.messages.cc import CcSyncNodes, ZoneNode
from euca_box.model.ec2_errors import InsufficientInstanceCapacity
from euca_box.model.nodes import NodeWish
from euca_box.observe import failpoints
from tests.sim.cloud import Killed, cloud
from tests.sim.test_boot_from_volume import ROOT, golden, launch, volumes_of

pytestmark = pytest.mark.trio
TWO = ("n1", "n2")


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    failpoints.disarm_all()


async def stop_and_start(c, instance_id):
    await c.ask(instances.StopInstances((instance_id,)))
    await c.until(instance_id, "stopped")
    await c.ask(instances.StartInstances((instance_id,)))
    return await c.until(instance_id, "running")


async def wish(c, version, **wishes):
    nodes = tuple(ZoneNode(f"nc@{host}", wishes.get(host, NodeWish.ENABLED)) for host in c.hosts)
    await c.bus.ask("cc@z1", CcSyncNodes(version, nodes), system_call("t"))


def hosts_of(c, instance_id):
    return [name for name, host in c.hosts.items() if instance_id in host.hypervisor.machines]


def left_on(c, name):
    host = c.hosts[name]
    return [*host.hypervisor.machines, *host.network.plugged, *host.network.public, *host.workbench.made]


async def until(true, seconds=120):
    with trio.fail_after(seconds):
        while not true():
            await trio.sleep(0.5)


async def test_it_leaves_a_node_in_maintenance_by_a_stop_and_a_start_and_comes_back(tmp_path, autojump_clock):
    async with cloud(tmp_path, hosts=TWO) as c:
        image_id, _ = await golden(c)
        instance_id = (await launch(c, image_id)).instance_id
        address = (await c.describe(instance_id)).private_ip_address
        assert hosts_of(c, instance_id) == ["n1"]

        await wish(c, 1, n1=NodeWish.MAINTENANCE)
        moved = await stop_and_start(c, instance_id)
        assert hosts_of(c, instance_id) == ["n2"]
        assert moved.private_ip_address == address
        await until(lambda: not left_on(c, "n1"))

        await wish(c, 2, n2=NodeWish.MAINTENANCE)
        await stop_and_start(c, instance_id)
        assert hosts_of(c, instance_id) == ["n1"]
        await until(lambda: not left_on(c, "n2"))

        await c.ask(instances.TerminateInstances((instance_id,)))
        await c.until(instance_id, "terminated")
        assert await c.leftovers() == []


async def test_a_stopped_one_starts_elsewhere_while_its_node_is_down(tmp_path, autojump_clock):
    async with cloud(tmp_path, hosts=TWO) as c:
        image_id, _ = await golden(c)
        instance_id = (await launch(c, image_id)).instance_id
        await c.ask(instances.StopInstances((instance_id,)))
        await c.until(instance_id, "stopped")
        await c.kill_host("n1")
        await until(lambda: not c.cc.nodes["nc@n1"].up)
        await c.ask(instances.StartInstances((instance_id,)))
        await c.until(instance_id, "running")
        assert hosts_of(c, instance_id) == ["n2"]
        await c.start_host("n1")
        await until(lambda: not c.hosts["n1"].nc.residents or c.hosts["n1"].nc.residents[instance_id].gone_at)
        assert hosts_of(c, instance_id) == ["n2"] and left_on(c, "n1") == []
        await c.restart()
        await trio.sleep(60)
        assert hosts_of(c, instance_id) == ["n2"]


async def test_one_with_a_disk_on_its_node_waits_for_it(tmp_path, autojump_clock):
    async with cloud(tmp_path, hosts=TWO) as c:
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        await c.ask(instances.StopInstances((instance_id,)))
        await c.until(instance_id, "stopped")
        await c.kill_host("n1")
        await until(lambda: not c.cc.nodes["nc@n1"].up)
        with pytest.raises(InsufficientInstanceCapacity):
            await c.ask(instances.StartInstances((instance_id,)))


async def test_one_on_a_lost_node_is_started_on_another_and_the_old_one_cannot_write(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path, hosts=TWO, recover_seconds=60) as c:
        image_id, _ = await golden(c)
        made = await launch(c, image_id)
        [plain] = await c.run_instances()
        await c.until(plain, "running")
        instance_id, root = made.instance_id, volumes_of(made)[ROOT]
        await c.kill_host("n1")  # its guests run on

        await until(lambda: "n2" in hosts_of(c, instance_id), 200)
        assert hosts_of(c, instance_id) == ["n1", "n2"]
        old, new = (c.hosts[name].hypervisor.machines[instance_id].disks[0].export for name in TWO)
        assert (old, new) == (f"{root}.g1", f"{root}.g2")
        assert await c.engine.exported() == {root: 2}
        recovered = await c.until(instance_id, "running")
        assert recovered.private_ip_address == made.private_ip_address

        status = await c.ask(ec2_statuses.DescribeInstanceStatus((plain,)))
        assert status.instance_statuses[0].system_status.status == "impaired"  # its disk is there
        await c.start_host("n1")
        await until(lambda: hosts_of(c, instance_id) == ["n2"])
        assert hosts_of(c, plain) == ["n1"]
        await trio.sleep(120)
        assert await c.engine.exported() == {root: 2}
        await c.ask(instances.TerminateInstances((instance_id, plain)))
        await c.until(instance_id, "terminated")
        await c.until(plain, "terminated")
        assert await c.leftovers() == []


async def test_nothing_is_recovered_where_nobody_wished_it(tmp_path, autojump_clock):
    async with cloud(tmp_path, hosts=TWO) as c:
        image_id, _ = await golden(c)
        instance_id = (await launch(c, image_id)).instance_id
        await c.kill_host("n1")
        await trio.sleep(3600)
        assert hosts_of(c, instance_id) == ["n1"] and await c.state_of(instance_id) == "running"


async def test_a_cluster_that_does_not_answer_says_nothing_of_its_nodes(tmp_path, autojump_clock):
    async with cloud(tmp_path, hosts=TWO, recover_seconds=30) as c:
        image_id, _ = await golden(c)
        instance_id = (await launch(c, image_id)).instance_id
        c.transport._inboxes.pop("cc@z1")
        await trio.sleep(600)
        assert c.clc.instances.find(instance_id).starts == 0


@pytest.mark.parametrize(
    "point",
    ["clc.recover.after-numbers", "clc.recover.after-commit", "clc.recover.after-fence", "clc.start.after-cc",
     "cc.start.after-commit", "nc.run.after-commit", "nc.start.after-create", "nc.release.after-commit"],
)  # fmt: skip
async def test_a_kill_at_any_step_of_a_recovery_is_a_pause(tmp_path, autojump_clock, point):
    async with cloud(tmp_path, hosts=TWO, recover_seconds=30) as c:
        image_id, _ = await golden(c)
        made = await launch(c, image_id)
        instance_id, root = made.instance_id, volumes_of(made)[ROOT]
        await c.kill_host("n1")
        c.hosts["n1"].off = True
        failpoints.arm(point, Killed)
        with trio.move_on_after(150):
            await c._stopped.wait()
        if c._stopped.is_set():
            await c.start()
        await until(lambda: "n2" in hosts_of(c, instance_id), 300)
        await c.start_host("n1")
        with trio.move_on_after(60):
            await c._stopped.wait()
        if c._stopped.is_set():  # the point was on the way of n1 back
            c.hosts["n1"].off = False
            await c.start()
        await until(lambda: hosts_of(c, instance_id) == ["n2"])
        await c.until(instance_id, "running")
        [writer] = [m.disks[0].export for h in c.hosts.values() for m in h.hypervisor.machines.values()]
        assert await c.engine.exported() == {root: int(writer.rpartition(".g")[2])}
