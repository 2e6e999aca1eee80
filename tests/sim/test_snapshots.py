"""Snapshots through CLC, SC and Walrus, in virtual time, with a kill at every step."""

import contextlib
import random

import pytest
import trio

from euca_box.auth.secrets import Sealer
from euca_box.blockstore.engine import EngineError
from euca_box.blockstore.fake import FakeEngine
from euca_box.bus.bus import Bus
from euca_box.bus.memory import MemoryTransport
from euca_box.messages import ec2_snapshots as ec2
from euca_box.messages import ec2_volumes as volumes
from euca_box.messages.base import system_call
from euca_box.messages.sc import ScCreateVolume
from euca_box.messages.snapshots import chunk_key
from euca_box.model.errors import EucaError
from euca_box.observe import failpoints
from euca_box.roles.sc import role as sc_role
from euca_box.roles.walrus import snapshots as in_walrus
from euca_box.store.sync_store import SyncStore
from tests.sim.cloud import Killed, SimSc, cloud

pytestmark = pytest.mark.trio


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    failpoints.disarm_all()


def kill_at(step):
    def kill():
        failpoints.disarm_all()
        raise Killed

    failpoints.arm(step, kill)


async def ask_and_die(c, op):
    with contextlib.suppress(EucaError, Killed):
        await c.ask(op)
    with trio.move_on_after(60):
        await c._stopped.wait()


async def restored(c, snapshot_id, size=None):
    """The content of a new volume of the snapshot."""
    made = await c.ask(volumes.CreateVolume("z1", size, snapshot_id=snapshot_id))
    await c.until_volume(made.volume_id, "available")
    return await c.content(made.volume_id)


async def test_a_volume_of_a_snapshot_has_what_the_volume_had_then(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a", 5: b"b", 1023: b"z"})
        snapshot_id = await c.create_snapshot(volume_id, description="first")
        await c.fill(volume_id, {0: b"x", 7: b"y"})
        assert await restored(c, snapshot_id) == {0: b"a", 5: b"b", 1023: b"z"}
        assert await restored(c, snapshot_id, 3) == {0: b"a", 5: b"b", 1023: b"z"}
        shown = await c.snapshot(snapshot_id)
        assert (shown.progress, shown.volume_size, shown.description) == ("100%", 1, "first")
        assert await c.engine.copies() == set()


async def test_only_what_changed_is_sent(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {n: bytes([n + 1]) for n in range(50)})
        await c.create_snapshot(volume_id)
        before = c.vault.puts
        await c.fill(volume_id, {3: b"n", 4: b"m", 5: b"\0"})
        second = await c.create_snapshot(volume_id)
        assert c.vault.puts - before == 3  # two chunks and the manifest
        expected = {n: bytes([n + 1]) for n in range(50)} | {3: b"n", 4: b"m"}
        del expected[5]
        assert await restored(c, second) == expected


async def test_of_a_chain_deleted_in_any_order_every_survivor_is_whole(tmp_path, autojump_clock):
    chance = random.Random(7)
    async with cloud(tmp_path) as c:
        volume_id, content, chain = await c.create_volume(), {}, {}
        for _ in range(20):
            change = {chance.randrange(30): bytes([chance.randrange(4) + 65]) for _ in range(4)}
            content |= change
            await c.fill(volume_id, change)
            if chance.random() < 0.3:
                c.engine.crash(volume_id)  # forgets what changed: the next one is copied whole
            chain[await c.create_snapshot(volume_id)] = dict(content)
        order = list(chain)
        chance.shuffle(order)
        while order:
            gone = order.pop()
            await c.ask(ec2.DeleteSnapshot(gone))
            await c.until_snapshot(gone, "gone")
            for snapshot_id in order[:2]:
                assert await restored(c, snapshot_id) == chain[snapshot_id]
        assert c.vault.objects == {}


async def test_a_snapshot_is_no_worse_for_the_end_of_the_one_it_builds_on(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a", 1: b"b"})
        first = await c.create_snapshot(volume_id)
        await c.fill(volume_id, {1: b"c"})
        c.engine.copy_seconds = 20.0
        made = await c.ask(ec2.CreateSnapshot(volume_id))
        await c.ask(ec2.DeleteSnapshot(first))
        await c.until_snapshot(first, "gone")
        await c.until_snapshot(made.snapshot_id, "completed")
        assert await restored(c, made.snapshot_id) == {0: b"a", 1: b"c"}
        assert c.chunks() == 2


async def test_a_volume_may_go_while_its_snapshot_is_sent(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a"})
        c.engine.copy_seconds = 10.0
        made = await c.ask(ec2.CreateSnapshot(volume_id))
        assert made.state == "pending"
        await c.ask(volumes.DeleteVolume(volume_id))
        await c.until_volume(volume_id, "gone")
        await c.until_snapshot(made.snapshot_id, "completed")
        assert await restored(c, made.snapshot_id) == {0: b"a"}


async def test_a_storage_daemon_that_dies_while_it_copies_costs_the_snapshot_and_nothing_else(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a"})
        c.engine.copy_seconds = 20.0
        made = await c.ask(ec2.CreateSnapshot(volume_id))
        c.engine.crash(volume_id)
        await c.until_snapshot(made.snapshot_id, "error")
        shown = await c.snapshot(made.snapshot_id)
        assert "daemon ended" in shown.state_message
        assert await c.content(volume_id) == {0: b"a"}
        assert await c.engine.copies() == set()
        await c.ask(ec2.DeleteSnapshot(made.snapshot_id))
        await c.until_snapshot(made.snapshot_id, "gone")
        assert c.vault.objects == {}


async def test_a_way_to_walrus_that_breaks_off_is_tried_again(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a", 1: b"b"})
        c.vault.broken = "the way broke off"
        snapshot_id = await c.create_snapshot(volume_id)
        c.vault.broken = "the way broke off"
        assert await restored(c, snapshot_id) == {0: b"a", 1: b"b"}


@pytest.mark.parametrize("damage", ["flip", "shorten", "swell", "lose", "swap"])
async def test_a_damaged_chunk_is_never_given_out_as_data(tmp_path, autojump_clock, damage):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a", 1: b"b"})
        snapshot_id = await c.create_snapshot(volume_id)
        first, second = (key for key in c.vault.objects if key[1].startswith("chunks/"))
        data = c.vault.objects[first]
        if damage == "flip":
            c.vault.objects[first] = data[:10] + bytes([data[10] ^ 1]) + data[11:]
        elif damage == "shorten":
            c.vault.objects[first] = data[:-1]
        elif damage == "swell":
            c.vault.objects[first] = data + b"x"
        elif damage == "lose":
            del c.vault.objects[first]
        else:
            c.vault.objects[first] = c.vault.objects[second]
        made = await c.ask(volumes.CreateVolume("z1", snapshot_id=snapshot_id))
        await c.until_volume(made.volume_id, "available")
        connection = await c.engine.export(made.volume_id, 1, None)
        for number in (0, 1):
            with contextlib.suppress(OSError):
                found = await c.engine.read_lazily(connection, number << 20, 512)
                assert found == (b"a", b"b")[number] * 512
        await trio.sleep(30)
        [shown] = (await c.ask(volumes.DescribeVolumeStatus((made.volume_id,)))).volume_statuses
        assert shown.volume_status.status == "impaired"
        assert "chunk" in shown.actions[0].description
        assert c.sc.volumes[made.volume_id].filling
        c.vault.objects[first] = data
        assert await c.content(made.volume_id) == {0: b"a", 1: b"b"}
        [shown] = (await c.ask(volumes.DescribeVolumeStatus((made.volume_id,)))).volume_statuses
        assert shown.volume_status.status == "ok"


async def test_a_copy_is_whole_when_its_source_is_gone(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a"})
        source = await c.create_snapshot(volume_id)
        copy = (await c.ask(ec2.CopySnapshot("us-east-1", source))).snapshot_id
        await c.until_snapshot(copy, "completed")
        await c.ask(ec2.DeleteSnapshot(source))
        await c.until_snapshot(source, "gone")
        assert await restored(c, copy) == {0: b"a"}
        await c.ask(ec2.DeleteSnapshot(copy))
        await c.until_snapshot(copy, "gone")
        assert c.vault.objects == {}


async def test_without_room_for_the_copy_no_snapshot_is_begun(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, dict.fromkeys(range(8), b"a"))
        c.engine.room_bytes = (2 << 30) + (4 << 20)
        with pytest.raises(EucaError) as caught:
            await c.ask(ec2.CreateSnapshot(volume_id))
        assert caught.value.code == "InsufficientVolumeCapacity"
        assert "8 MiB" in caught.value.message
        await trio.sleep(5)
        assert c.clc.snapshots.all() == []


async def test_objects_of_no_snapshot_are_swept_and_what_is_reserved_stays(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a"})
        snapshot_id = await c.create_snapshot(volume_id)
        c.vault.objects["_snapshots", chunk_key("f" * 64)] = b"x"
        c.vault.objects["_snapshots", "manifests/" + "e" * 64] = b"x"
        await in_walrus.sweep(c.walrus)
        await in_walrus.sweep(c.walrus)
        assert len(c.vault.objects) == 2
        assert await restored(c, snapshot_id) == {0: b"a"}


CREATE = [
    "clc.snapshot.after-commit",
    "sc.snapshot.after-commit",
    "sc.snapshot.after-engine",
    "sc.snapshot.after-taken",
    "clc.snapshot.after-sc",
    "sc.snapshot.after-copied",
    "sc.snapshot.after-chunks",
    "sc.snapshot.after-manifest",
    "walrus.snapshot.after-commit",
    "sc.snapshot.after-send",
    "sc.snapshot.after-stored",
]


# The CLC may have heard that its storage controller stopped, and told the client: then there is none.
UNANSWERED = ("sc.snapshot.after-commit", "sc.snapshot.after-engine", "sc.snapshot.after-taken")


@pytest.mark.parametrize("step", CREATE)
async def test_a_kill_while_a_snapshot_is_made_ends_with_a_whole_one(tmp_path, autojump_clock, step):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a", 1: b"b"})
        await c.create_snapshot(volume_id)
        await c.fill(volume_id, {1: b"c"})
        kill_at(step)
        await ask_and_die(c, ec2.CreateSnapshot(volume_id))
        await c.restart()
        await trio.sleep(5)
        left = [s.snapshot_id for s in c.clc.snapshots.all()][1:]
        assert left or step in UNANSWERED
        snapshot_id = left[0] if left else await c.create_snapshot(volume_id)
        await c.until_snapshot(snapshot_id, "completed")
        assert await restored(c, snapshot_id) == {0: b"a", 1: b"c"}
        await trio.sleep(5)
        assert await c.engine.copies() == set()
        third = await c.create_snapshot(volume_id)
        assert await restored(c, third) == {0: b"a", 1: b"c"}


DELETE = [
    "clc.snapshot.after-delete",
    "sc.snapshot.after-tombstone",
    "sc.snapshot.after-drop",
    "clc.snapshot.after-sc-delete",
    "walrus.snapshot.after-tombstone",
    "walrus.snapshot.after-needs",
    "clc.snapshot.after-gone",
]


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("step", DELETE)
async def test_a_kill_while_a_snapshot_is_deleted_leaves_nothing(tmp_path, autojump_clock, step, pending):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a", 1: b"b"})
        c.engine.copy_seconds = 30.0 if pending else 0.0
        if pending:
            snapshot_id = (await c.ask(ec2.CreateSnapshot(volume_id))).snapshot_id
        else:
            snapshot_id = await c.create_snapshot(volume_id)
        kill_at(step)
        await ask_and_die(c, ec2.DeleteSnapshot(snapshot_id))
        await c.restart()
        await c.until_snapshot(snapshot_id, "gone")
        await in_walrus.sweep(c.walrus)
        await in_walrus.sweep(c.walrus)
        assert c.vault.objects == {}
        assert await c.engine.copies() == set()


async def test_a_volume_is_filled_though_its_snapshot_is_deleted_and_may_be_deleted_while_it_is_filled(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a", 1: b"b"})
        snapshot_id = await c.create_snapshot(volume_id)
        whole = dict(c.vault.objects)
        chunks = [key for key in c.vault.objects if key[1].startswith("chunks/")]
        del c.vault.objects[chunks[0]]  # so that it takes long
        made = [(await c.ask(volumes.CreateVolume("z1", snapshot_id=snapshot_id))).volume_id for _ in "ab"]
        for each in made:
            await c.until_volume(each, "available")
        await c.ask(ec2.DeleteSnapshot(snapshot_id))
        await c.until_snapshot(snapshot_id, "gone")
        await in_walrus.sweep(c.walrus)
        await in_walrus.sweep(c.walrus)
        assert chunks[1] in c.vault.objects
        await c.restart()
        await trio.sleep(20)
        await c.ask(volumes.DeleteVolume(made[1]))
        await c.until_volume(made[1], "gone")
        c.vault.objects[chunks[0]] = whole[chunks[0]]
        assert await c.content(made[0]) == {0: b"a", 1: b"b"}
        await in_walrus.sweep(c.walrus)
        assert c.vault.objects == {}
        assert list(c.sc.manifests.glob("fill-*")) == []


async def test_an_attached_volume_that_is_filled_stays_attached_and_grows_then(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a"})
        snapshot_id = await c.create_snapshot(volume_id)
        [(key, data)] = [item for item in c.vault.objects.items() if item[0][1].startswith("chunks/")]
        del c.vault.objects[key]
        made = (await c.ask(volumes.CreateVolume("z1", snapshot_id=snapshot_id))).volume_id
        await c.until_volume(made, "available")
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        await c.ask(volumes.AttachVolume(made, instance_id, "/dev/sdf"))
        await c.until_volume(made, "attached")
        await c.ask(volumes.ModifyVolume(made, 2))
        assert await c.engine.volumes() == {volume_id: 1 << 30, made: 1 << 30}
        c.vault.objects[key] = data
        assert await c.content(made) == {0: b"a"}
        await trio.sleep(30)
        assert (await c.engine.volumes())[made] == 2 << 30
        c.engine.write(c.connection(instance_id, made), 0, b"z")
        assert (await c.content(made))[0] == b"z"


@pytest.mark.parametrize(
    "step",
    [
        "sc.fill.after-hold",
        "sc.fill.after-fork",
        "sc.fill.after-manifest",
        "sc.create.after-engine",
        "sc.fill.after-engine",
        "sc.fill.after-release",
    ],
)
async def test_a_kill_while_a_volume_is_filled_ends_with_a_whole_one(tmp_path, autojump_clock, step):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a", 1: b"b"})
        snapshot_id = await c.create_snapshot(volume_id)
        kill_at(step)
        await ask_and_die(c, volumes.CreateVolume("z1", snapshot_id=snapshot_id))
        await c.restart()
        [made] = [v.volume_id for v in c.clc.volumes.all() if v.snapshot_id]
        await c.until_volume(made, "available")
        assert await c.content(made) == {0: b"a", 1: b"b"}
        await c.ask(ec2.DeleteSnapshot(snapshot_id))
        await c.until_snapshot(snapshot_id, "gone")
        assert c.vault.objects == {}


async def two_volumes(c):
    [instance_id] = await c.run_instances()
    await c.until(instance_id, "running")
    found = []
    for device in ("/dev/sdf", "/dev/sdg"):
        found.append(await c.create_volume())
        await c.ask(volumes.AttachVolume(found[-1], instance_id, device))
        await c.until_volume(found[-1], "attached")
    return instance_id, found


def taken_of(instance_id, *excluded):
    return ec2.CreateSnapshots(ec2.InstanceSpecification(instance_id, exclude_data_volume_ids=excluded))


async def test_all_volumes_of_an_instance_are_taken_while_its_guest_stands_still(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id, (first, second) = await two_volumes(c)
        states = []

        def look():
            states.append(c.hypervisor._guests[instance_id].state.value)

        failpoints.arm("sc.snapshot.after-engine", look)
        made = (await c.ask(taken_of(instance_id))).snapshots
        failpoints.disarm_all()
        assert states == ["paused", "paused"]
        assert c.hypervisor._guests[instance_id].state.value == "running"
        assert {s.volume_id for s in made} == {first, second}
        for snapshot in made:
            await c.until_snapshot(snapshot.snapshot_id, "completed")
        [one] = (await c.ask(taken_of(instance_id, first))).snapshots
        assert one.volume_id == second


async def test_when_one_of_them_cannot_be_taken_none_is_left_and_the_guest_goes_on(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id, (first, _) = await two_volumes(c)
        del c.engine._volumes[first]
        with pytest.raises(EucaError):
            await c.ask(taken_of(instance_id))
        await trio.sleep(10)
        assert c.clc.snapshots.all() == []
        assert c.hypervisor._guests[instance_id].state.value == "running"


@pytest.mark.parametrize(
    "step", ["clc.snapshots.after-commit", "nc.hold.after-suspend", "clc.snapshots.after-hold"]
)
async def test_a_guest_that_was_held_at_a_kill_goes_on(tmp_path, autojump_clock, step):
    async with cloud(tmp_path) as c:
        instance_id, _ = await two_volumes(c)
        kill_at(step)
        await ask_and_die(c, taken_of(instance_id))
        await c.restart()
        await trio.sleep(15)
        assert c.hypervisor._guests[instance_id].state.value == "running"
        assert (await c.describe(instance_id)).state.name == "running"


async def test_another_zone_makes_a_volume_of_a_snapshot_whose_storage_controller_is_dead(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a", 700: b"b"})
        snapshot_id = await c.create_snapshot(volume_id)
        engine, transport = FakeEngine(), MemoryTransport(encoded=True)
        settings = sc_role.ScSettings("z2", max_volume_gib=100)
        store, folder = SyncStore(sc_role.MIGRATIONS), tmp_path / "z2"
        other = SimSc(settings, store, c.bus, engine, c.vault, folder, c.now, Sealer(b"z" * 32))
        broken = lambda *_: (_ for _ in ()).throw(EngineError("dead"))  # noqa: E731
        for name in ("open_copy", "exported", "volumes", "fill", "serve_source"):
            setattr(c.engine, name, broken)
        async with trio.open_nursery() as nursery:
            await nursery.start(sc_role.run, other, transport)
            op = ScCreateVolume("vol-b", 1, snapshot_id, wait_seconds=30.0)
            # Threads fetch the manifest, and virtual time does not wait for them.
            while (made := await Bus(transport).ask("sc@z2", op, system_call("test"))).state == "making":
                await trio.sleep(1)
            assert made.state == "ready"
            while other.volumes["vol-b"].is_moving:
                await trio.sleep(0.1)
            units = engine._volumes["vol-b"].units
            assert {n: unit[:1] for n, unit in units.items()} == {0: b"a", 700: b"b"}
            nursery.cancel_scope.cancel()


async def test_of_many_volumes_of_a_snapshot_all_are_used_while_some_are_filled(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a", 1: b"b"})
        snapshot_id = await c.create_snapshot(volume_id)
        streams, most = set(), 0
        fill = c.engine.fill

        async def slowly(each):
            nonlocal most
            streams.add(each)
            most = max(most, len(streams))
            await trio.sleep(20)
            streams.discard(each)
            return await fill(each)

        c.engine.fill = slowly
        made = [
            (await c.ask(volumes.CreateVolume("z1", snapshot_id=snapshot_id))).volume_id for _ in range(9)
        ]
        for each in made:
            await c.until_volume(each, "available", 15)
        await trio.sleep(1)
        assert len(await c.engine.unfilled()) == 9
        last = await c.engine.export(made[-1], 1, None)
        assert await c.engine.read_lazily(last, 1 << 20, 4) == b"bbbb"
        for each in made:
            assert await c.content(each) == {0: b"a", 1: b"b"}
        assert most == 4
