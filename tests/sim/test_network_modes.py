"""What users have in each network mode, and the errors that say what they do not have."""

import pytest
import trio

from euca_box.messages import ec2_addresses, ec2_attributes, ec2_groups, ec2_instances
from euca_box.model.errors import EucaError, UnsupportedOperation
from euca_box.observe import failpoints
from tests.sim.cloud import Killed, cloud

pytestmark = pytest.mark.trio
MANAGED = ("MANAGED", "MANAGED-NOVLAN")
PAIRS = (("52:54:00:00:00:01", "172.31.0.21"), ("52:54:00:00:00:02", "172.31.0.22"))


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    failpoints.disarm_all()


async def group_of(c, name):
    made = await c.ask(ec2_groups.CreateSecurityGroup(group_name=name, description=name))
    return made.group_id


async def running(c, **more):
    [instance_id] = await c.run_instances(**more)
    return await c.until(instance_id, "running")


async def gone(c, *instances):
    ids = tuple(i.instance_id for i in instances)
    await c.ask(ec2_instances.TerminateInstances(ids))
    for instance_id in ids:
        await c.until(instance_id, "terminated")


async def tags(c):
    return {row["tag"]: row["group_id"] for row in await c.stores["cc"].read("SELECT * FROM network_tag")}


@pytest.mark.parametrize("mode", MANAGED)
async def test_each_group_has_a_network_while_it_has_instances(tmp_path, autojump_clock, mode):
    async with cloud(tmp_path, mode=mode, addresses_per_network=8, cooling_seconds=0) as c:
        web, db = await group_of(c, "web"), await group_of(c, "db")
        first = await running(c, security_group_ids=(web,))
        second = await running(c, security_group_ids=(web,))
        other = await running(c, security_group_ids=(db,))

        assert [i.private_ip_address for i in (first, second, other)] == [
            "172.31.0.10",
            "172.31.0.11",
            "172.31.0.18",
        ]
        assert await tags(c) == {3: web, 4: db}
        ports = {port.instance_id: (port.network, port.tag) for port in await c.network.ports()}
        assert ports[other.instance_id] == ("172.31.0.16/29", 4)
        assert first.public_ip_address is not None

        await gone(c, first)
        assert await tags(c) == {3: web, 4: db}
        await gone(c, second)
        assert await tags(c) == {4: db}
        again = await running(c)
        assert again.private_ip_address == "172.31.0.10"


async def test_a_group_without_a_free_network_or_address_is_refused_room(tmp_path, autojump_clock):
    async with cloud(tmp_path, mode="MANAGED", addresses_per_network=32) as c:
        first = await running(c)
        [refused] = await c.run_instances(security_group_ids=(await group_of(c, "web"),))
        instance = await c.until(refused, "terminated")

        assert instance.state_reason.code == "Server.InsufficientInstanceCapacity"
        assert first.private_ip_address == "172.31.0.34"


@pytest.mark.parametrize("mode", MANAGED)
async def test_an_instance_keeps_its_one_group(tmp_path, autojump_clock, mode):
    async with cloud(tmp_path, mode=mode, addresses_per_network=8) as c:
        web, db = await group_of(c, "web"), await group_of(c, "db")
        with pytest.raises(UnsupportedOperation, match="exactly one security group"):
            await c.run_instances(security_group_ids=(web, db))
        instance = await running(c, security_group_ids=(web,))

        same = ec2_attributes.ModifyInstanceAttribute(instance.instance_id, groups=(web,))
        await c.ask(same)
        with pytest.raises(UnsupportedOperation, match="keeps its security group"):
            await c.ask(ec2_attributes.ModifyInstanceAttribute(instance.instance_id, groups=(db,)))
        with pytest.raises(UnsupportedOperation, match="cannot be chosen"):
            await c.run_instances(private_ip_address="172.31.0.11")


async def test_a_kill_between_placement_and_answer_claims_no_second_network(tmp_path, autojump_clock):
    async with cloud(tmp_path, mode="MANAGED", addresses_per_network=8) as c:

        def kill():
            failpoints.disarm_all()
            raise Killed

        failpoints.arm("cc.run.after-commit", kill)
        [instance_id] = await c.run_instances()
        await c._stopped.wait()
        await c.restart()

        instance = await c.until(instance_id, "running")

        assert instance.private_ip_address == "172.31.0.10" and list(await tags(c)) == [3]


async def test_static_gives_the_pairs_of_the_map(tmp_path, autojump_clock):
    async with cloud(tmp_path, mode="STATIC", mac_map=PAIRS, cooling_seconds=0) as c:
        first, second = await running(c), await running(c)
        [third] = await c.run_instances()
        refused = await c.until(third, "terminated")

        assert (first.private_ip_address, second.private_ip_address) == ("172.31.0.21", "172.31.0.22")
        assert first.network_interfaces[0].mac_address == "52:54:00:00:00:01"
        machine = c.hypervisor.machines[second.instance_id]
        assert machine.nics[0].mac == "52:54:00:00:00:02"
        assert refused.state_reason.code == "Server.InsufficientInstanceCapacity"
        await gone(c, first)
        assert (await running(c)).private_ip_address == "172.31.0.21"


async def test_system_shows_the_address_that_the_site_gave(tmp_path, autojump_clock):
    async with cloud(tmp_path, mode="SYSTEM") as c:
        instance = await running(c)
        assert instance.private_ip_address is None and instance.public_ip_address is None

        c.network.heard[instance.instance_id] = "198.51.100.51"
        with trio.fail_after(60):
            while (await c.describe(instance.instance_id)).private_ip_address != "198.51.100.51":
                await trio.sleep(1)

        c.network.heard[instance.instance_id] = "198.51.100.52"
        await trio.sleep(30)
        assert (await c.describe(instance.instance_id)).private_ip_address == "198.51.100.52"
        await c.restart()
        await trio.sleep(30)
        assert (await c.describe(instance.instance_id)).private_ip_address == "198.51.100.52"


@pytest.mark.parametrize("mode", ["STATIC", "SYSTEM"])
async def test_what_the_mode_does_not_have_is_refused(tmp_path, autojump_clock, mode):
    async with cloud(tmp_path, mode=mode, mac_map=PAIRS) as c:
        group_id = await group_of(c, "web")
        ssh = (ec2_groups.IpPermission("tcp", 22, 22, ip_ranges=(ec2_groups.IpRange("0.0.0.0/0"),)),)
        for op in (
            ec2_addresses.AllocateAddress(),
            ec2_groups.AuthorizeSecurityGroupIngress(group_id, ip_permissions=ssh),
            ec2_groups.AuthorizeSecurityGroupEgress(group_id, ip_permissions=ssh),
            ec2_groups.RevokeSecurityGroupEgress(group_id, ip_permissions=ssh),
        ):
            with pytest.raises(UnsupportedOperation, match=mode):
                await c.ask(op)
        for more in ({"addressing_type": "public"}, {"private_ip_address": "172.31.0.21"}):
            with pytest.raises(EucaError, match=mode):
                await c.run_instances(**more)
