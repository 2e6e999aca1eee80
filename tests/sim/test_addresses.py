"""Elastic addresses through CLC, CC and NC, in virtual time, with a kill at every step."""

import contextlib

import pytest
import trio

from euca_box.messages import ec2_addresses as ec2
from euca_box.messages import ec2_instances
from euca_box.messages.base import system_call
from euca_box.messages.cc import CcAllocateAddress, CcAssignAddresses, ElasticAddress
from euca_box.messages.nc import NcAssignAddress, NcDescribeMetadata
from euca_box.model.ec2_errors import InsufficientAddressCapacity, InvalidInstanceID
from euca_box.model.errors import EucaError
from euca_box.observe import failpoints
from euca_box.store.store import insert
from tests.sim.cloud import Killed, cloud

pytestmark = pytest.mark.trio


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    failpoints.disarm_all()


async def running(c, count=1):
    found = await c.run_instances(count=count)
    for instance_id in found:
        await c.until(instance_id, "running")
    return found


async def public_ip(c, instance_id):
    return (await c.describe(instance_id)).public_ip_address


async def until_it_has(c, instance_id, address, seconds=120):
    """The same address everywhere: in the answer, on the node, in the metadata."""
    with trio.fail_after(seconds):
        while True:
            instance = await c.describe(instance_id)
            leads = await c.network.public_addresses()
            ask = NcDescribeMetadata(instance.private_ip_address)
            told = (await c.bus.ask("nc@n1", ask, system_call("m"))).metadata
            led_to = [ip for ip, private in leads.items() if private == instance.private_ip_address]
            if instance.public_ip_address == address and led_to == [address] and told.public_ip == address:
                return
            await trio.sleep(0.5)


async def holders(c):
    """Address -> who has it in the cluster's books; every address once."""
    rows = await c.stores["cc"].read(
        "SELECT ip, instance_id AS who FROM public_address WHERE instance_id IS NOT NULL "
        "UNION ALL SELECT public_ip, allocation_id FROM elastic_address"
    )
    assert len({row["ip"] for row in rows}) == len(rows)
    return {row["ip"]: row["who"] for row in rows}


async def test_the_automatic_address_goes_back_and_a_fresh_one_comes(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        assert await public_ip(c, instance_id) == "172.30.0.10"
        got = await c.ask(ec2.AllocateAddress())
        assert got.public_ip == "172.30.0.11"

        made = await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=instance_id))
        assert await public_ip(c, instance_id) == "172.30.0.11"  # in force when it was answered
        await until_it_has(c, instance_id, "172.30.0.11")
        assert await holders(c) == {"172.30.0.11": got.allocation_id}

        await c.ask(ec2.DisassociateAddress(made.association_id))
        await until_it_has(c, instance_id, "172.30.0.10")
        assert await holders(c) == {"172.30.0.10": instance_id, "172.30.0.11": got.allocation_id}

        await c.ask(ec2.ReleaseAddress(got.allocation_id))
        assert await holders(c) == {"172.30.0.10": instance_id}


async def test_an_address_moves_from_one_instance_to_another(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [first] = await running(c)
        got = await c.ask(ec2.AllocateAddress())
        await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=first))
        [second] = await running(c)
        await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=second))
        await until_it_has(c, second, got.public_ip)
        fresh = await public_ip(c, first)
        assert fresh != got.public_ip
        await until_it_has(c, first, fresh)


async def test_an_instance_without_a_free_address_keeps_running_without_one(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        got = await c.ask(ec2.AllocateAddress())
        made = await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=instance_id))
        others = [await c.ask(ec2.AllocateAddress()) for _ in range(2)]
        with pytest.raises(InsufficientAddressCapacity):
            await c.ask(ec2.AllocateAddress())
        await c.ask(ec2.DisassociateAddress(made.association_id))
        assert await public_ip(c, instance_id) is None
        assert await c.network.public_addresses() == {}
        assert len({a.public_ip for a in [got, *others]}) == 3


async def test_the_end_of_an_instance_leaves_the_address_with_its_account(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        got = await c.ask(ec2.AllocateAddress())
        await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=instance_id))
        await c.ask(ec2_instances.TerminateInstances((instance_id,)))
        [shown] = (await c.ask(ec2.DescribeAddresses())).addresses
        assert (shown.association_id, shown.instance_id) == (None, None)
        await c.until(instance_id, "terminated")
        assert await c.leftovers() == []
        assert await holders(c) == {got.public_ip: got.allocation_id}
        await trio.sleep(60)
        assert c.clc.addresses.all()[0].instance_id is None


async def test_an_association_outlives_a_restart(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        got = await c.ask(ec2.AllocateAddress())
        await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=instance_id))
        await c.restart()
        await until_it_has(c, instance_id, got.public_ip)
        await trio.sleep(120)
        await until_it_has(c, instance_id, got.public_ip)


STEPS = [
    "clc.address.after-associate",
    "cc.addresses.after-commit",
    "cc.addresses.after-placements",
    "nc.address.after-commit",
]


@pytest.mark.parametrize("step", STEPS)
async def test_a_kill_while_an_address_is_led_is_repaired(tmp_path, autojump_clock, step):
    def kill():
        failpoints.disarm_all()
        raise Killed

    async with cloud(tmp_path) as c:
        first, second = await running(c, count=2)
        got = await c.ask(ec2.AllocateAddress())
        await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=first))
        failpoints.arm(step, kill)
        await ask_and_die(c, ec2.AssociateAddress(got.allocation_id, instance_id=second))
        await c.restart()
        await until_it_has(c, second, got.public_ip)
        fresh = await public_ip(c, first)
        assert fresh not in (None, got.public_ip)
        await until_it_has(c, first, fresh)
        assert await holders(c) == {got.public_ip: got.allocation_id, fresh: first}


async def test_a_kill_between_pool_and_account_loses_no_address(tmp_path, autojump_clock):
    def kill():
        failpoints.disarm_all()
        raise Killed

    async with cloud(tmp_path) as c:
        failpoints.arm("clc.address.after-cc", kill)
        await ask_and_die(c, ec2.AllocateAddress())
        assert len(await holders(c)) == 1
        await c.restart()
        await trio.sleep(5)
        assert await holders(c) == {}
        assert (await c.ask(ec2.DescribeAddresses())).addresses == ()


async def test_a_kill_after_the_release_gives_the_address_back(tmp_path, autojump_clock):
    def kill():
        failpoints.disarm_all()
        raise Killed

    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        got = await c.ask(ec2.AllocateAddress())
        await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=instance_id))
        failpoints.arm("clc.address.after-release", kill)
        await ask_and_die(c, ec2.ReleaseAddress(public_ip=got.public_ip))
        await c.restart()
        await trio.sleep(20)
        held = await holders(c)
        assert list(held.values()) == [instance_id]
        await until_it_has(c, instance_id, next(iter(held)))


async def test_a_network_that_refuses_once_is_asked_again(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        got = await c.ask(ec2.AllocateAddress())
        failpoints.arm("nc.address.after-commit", lambda: setattr(c.network, "broken", "the table is locked"))
        await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=instance_id))
        failpoints.disarm_all()
        await until_it_has(c, instance_id, got.public_ip)


async def test_a_node_that_leads_an_address_elsewhere_is_put_right_by_the_cluster(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        first, second = await running(c, count=2)
        theirs, own = await public_ip(c, first), await public_ip(c, second)
        await c.bus.ask("nc@n1", NcAssignAddress(first, own), system_call("t"))
        assert list(await c.network.public_addresses()) == [own]  # never to two
        loser = NcDescribeMetadata((await c.describe(second)).private_ip_address)
        assert (await c.bus.ask("nc@n1", loser, system_call("m"))).metadata.public_ip == ""
        await until_it_has(c, first, theirs, seconds=20)
        await until_it_has(c, second, own, seconds=20)


async def test_an_address_of_an_instance_that_is_gone_is_free_again(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        row = insert("public_address", {"ip": "172.30.0.12", "instance_id": "i-99999999"})
        await c.stores["cc"].write(row)
        await trio.sleep(10)
        assert await holders(c) == {}


async def test_an_older_list_of_addresses_never_undoes_a_newer_one(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        new = ElasticAddress("eipalloc-00000001", "172.30.0.12")
        far = int(c.now() * 1000) + 60_000
        await c.bus.ask("cc@z1", CcAssignAddresses(far, (new,)), system_call("t"))
        reply = await c.bus.ask("cc@z1", CcAssignAddresses(far - 1, ()), system_call("t"))
        assert reply.version == far
        assert await holders(c) == {"172.30.0.12": "eipalloc-00000001"}


async def test_the_same_allocation_id_gives_the_same_address(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        op = CcAllocateAddress("eipalloc-00000001")
        first = await c.bus.ask("cc@z1", op, system_call("t"))
        assert await c.bus.ask("cc@z1", op, system_call("t")) == first


async def ask_and_die(c, op):
    """Ask; the cloud dies before it answers."""
    with trio.move_on_after(5), contextlib.suppress(EucaError):
        await c.ask(op)


async def test_a_pending_instance_gets_no_address(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances()
        got = await c.ask(ec2.AllocateAddress())
        with pytest.raises(InvalidInstanceID):
            await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=instance_id))


async def test_a_stopped_instance_keeps_its_elastic_address(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        got = await c.ask(ec2.AllocateAddress())
        await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=instance_id))
        await c.ask(ec2_instances.StopInstances((instance_id,)))
        await c.until(instance_id, "stopped")
        assert await c.network.public_addresses() == {}
        [shown] = (await c.ask(ec2.DescribeAddresses())).addresses
        assert shown.instance_id == instance_id
        await trio.sleep(60)
        assert await c.network.public_addresses() == {}
        await c.ask(ec2_instances.StartInstances((instance_id,)))
        await c.until(instance_id, "running")
        await until_it_has(c, instance_id, got.public_ip)
        assert await holders(c) == {got.public_ip: got.allocation_id}


async def test_addresses_come_and_go_while_an_instance_is_stopped(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        first, second = await running(c, count=2)
        got = await c.ask(ec2.AllocateAddress())
        for instance_id in (first, second):
            await c.ask(ec2_instances.StopInstances((instance_id,)))
            await c.until(instance_id, "stopped")
        made = await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=first))
        await c.ask(ec2.DisassociateAddress(made.association_id))
        assert await public_ip(c, first) is None
        await c.ask(ec2.AssociateAddress(got.allocation_id, instance_id=second))
        assert await holders(c) == {got.public_ip: got.allocation_id}
        for instance_id in (first, second):
            await c.ask(ec2_instances.StartInstances((instance_id,)))
            await c.until(instance_id, "running")
        await until_it_has(c, second, got.public_ip)
        fresh = await public_ip(c, first)
        await until_it_has(c, first, fresh)
        assert await holders(c) == {got.public_ip: got.allocation_id, fresh: first}
