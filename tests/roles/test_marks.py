"""What the cluster and the node remember of an instance: of two changes at once none is lost."""

from ipaddress import IPv4Network

import pytest
import trio

from euca_box.bus.bus import Bus
from euca_box.kvm.fake import FakeHypervisor
from euca_box.messages.instance_spec import InstanceSpec, Placement
from euca_box.model.images import ImageData
from euca_box.model.instances import USER_REQUEST, VmType
from euca_box.roles.cc import role as cc_role
from euca_box.roles.nc import role as nc_role
from euca_box.store.sync_store import SyncStore

pytestmark = pytest.mark.trio

DATA = ImageData("b", "k", "e", "s", 1, "raw", 1, True)
SPEC = InstanceSpec(
    instance_id="i-00000001",
    reservation_id="r-00000001",
    account="000000000002",
    vm_type=VmType("m1.small", 1, 128, 10),
    launch_index=0,
    launch_time=0.0,
    image_id="emi-00000001",
    image=DATA,
    kernel_id=None,
    kernel=None,
    ramdisk_id=None,
    ramdisk=None,
    group_ids=(),
    group_names=(),
    key_name=None,
    public_key="",
    user_data=b"",
    root_device_name="/dev/sda1",
    zone="z1",
    region="us-east-1",
    vpc_id="vpc-00000001",
    subnet_id="subnet-00000001",
    http_tokens="optional",
    http_endpoint="enabled",
    hop_limit=1,
    wants_public_ip=False,
    tags=(),
)
PLACEMENT = Placement("nc@n1", "172.31.0.4", None)


class SlowStore(SyncStore):
    """Between the question and the commit others have their turn."""

    async def write(self, *batch):
        await trio.sleep(0)
        done = await super().write(*batch)
        await trio.sleep(0)
        return done


async def test_a_cluster_keeps_the_start_and_the_end_that_come_at_once():
    settings = cc_role.CcSettings("z1", ("nc@n1",), IPv4Network("172.31.0.0/28"), "172.31.0.1", ())
    store = SlowStore(cc_role.MIGRATIONS)
    cc = cc_role.Cc(settings, store, Bus(), lambda: 0.0)
    await cc.keep(cc_role.Placed(SPEC, PLACEMENT))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: cc.mark(SPEC.instance_id, started=True))
        nursery.start_soon(lambda: cc.mark(SPEC.instance_id, ending=True))
    again = cc_role.Cc(settings, store, Bus(), lambda: 0.0)
    await again.load()
    for role in (cc, again):
        placed = role.placed[SPEC.instance_id]
        assert (placed.started, placed.ending) == (True, True)


async def test_a_node_keeps_the_start_and_the_end_that_come_at_once(tmp_path):
    settings = nc_role.NcSettings("n1", tmp_path, tmp_path, "172.31.0.1", "172.31.0.0/28", 1 << 30)
    store = SlowStore(nc_role.MIGRATIONS)
    nc = nc_role.Nc(settings, store, Bus(), FakeHypervisor(), None, None, lambda: 0.0)
    await nc.keep(nc_role.Resident(SPEC, PLACEMENT))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: nc.mark(SPEC.instance_id, started=True))
        nursery.start_soon(lambda: nc.mark_ending(SPEC.instance_id, USER_REQUEST))
    resident = nc.residents[SPEC.instance_id]
    assert (resident.started, resident.ending, resident.reason) == (True, True, USER_REQUEST)
