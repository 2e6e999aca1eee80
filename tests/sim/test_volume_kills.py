"""The whole life of volumes and snapshots while every role dies at random steps, again and again, also while
it recovers. What was written is there, one writes at most, and nothing is left."""

import contextlib
import random
import re
from pathlib import Path

import pytest
import trio

import euca_box.roles
from euca_box.messages import ec2_instances as instances
from euca_box.messages import ec2_snapshots as snapshots
from euca_box.messages import ec2_volumes as volumes
from euca_box.model.errors import EucaError
from euca_box.observe import failpoints
from euca_box.roles.walrus import snapshots as in_walrus
from tests.sim.cloud import Killed, cloud

pytestmark = pytest.mark.trio

TEXT = "".join(p.read_text() for p in Path(next(iter(euca_box.roles.__path__))).rglob("*.py"))
STEPS = sorted(
    name
    for name in set(re.findall(r'fp\("([a-z.-]+)"\)', TEXT))
    if re.match(
        r"(clc\.(volume|attach|detach|snapshot|modify|release)|sc\.|walrus\.snapshot"
        r"|nc\.(attach|detach|grow))\b",
        name,
    )
)


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    failpoints.disarm_all()


class Fate:
    """Kills at random steps until it is `over`, and has all roles start again."""

    def __init__(self, c, seed):
        self.c, self.chance, self.over, self.kills = c, random.Random(seed), False, 0

    def arm(self):
        def kill():
            failpoints.disarm_all()
            self.kills += 1
            raise Killed

        failpoints.disarm_all()
        for step in self.chance.sample(STEPS, 12):
            failpoints.arm(step, kill)

    async def run(self):
        while not self.over:
            self.arm()
            with trio.move_on_after(60):
                await self.c._stopped.wait()
            if self.c._stopped.is_set():
                await self.c.restart()
        failpoints.disarm_all()

    async def insist(self, op, until):
        """Ask until it is so, whoever dies meanwhile."""
        with trio.fail_after(20000):
            while not until():
                with contextlib.suppress(EucaError, Killed), trio.move_on_after(100):
                    await self.c.ask(op)
                await trio.sleep(3)


def attachments(c, volume_id):
    return [(i, a) for i in c.clc.instances.all() for a in i.volumes if a.volume_id == volume_id]


def is_state(c, volume_id, state):
    found = c.clc.volumes.find(volume_id)
    return found is not None and found.state == state


def is_attached(c, volume_id):
    return [a.state for _, a in attachments(c, volume_id)] == ["attached"]


def is_completed(c, snapshot_id):
    found = c.clc.snapshots.find(snapshot_id)
    return found is not None and found.state == "completed"


async def writes(c, instance_id, volume_id, unit, byte):
    """As a guest that waits for its disk."""
    with trio.fail_after(5000):
        while True:
            connection = c.connection(instance_id, volume_id)
            with contextlib.suppress(OSError):
                if connection is not None:
                    await c.engine.write_lazily(connection, unit << 20, byte * (1 << 20))
                    return
            await trio.sleep(1)


@pytest.mark.parametrize("seed", range(12))
async def test_volumes_live_through_kills_at_any_step(tmp_path, autojump_clock, seed):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        origin = await c.create_volume()
        await c.fill(origin, {0: b"a", 5: b"b", 9: b"c"})
        first = await c.create_snapshot(origin)
        fate = Fate(c, seed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fate.run)
            token = f"t{seed}"
            create = volumes.CreateVolume(
                "z1", snapshot_id=first, client_token=token, encrypted=seed % 2 == 1
            )

            def made():
                return [v.volume_id for v in c.clc.volumes.all() if v.client_token == token]

            await fate.insist(create, lambda: made() and is_state(c, made()[0], "available"))
            [volume_id] = made()
            attach = volumes.AttachVolume(volume_id, instance_id, "/dev/sdf")
            await fate.insist(attach, lambda: is_attached(c, volume_id))
            await writes(c, instance_id, volume_id, 5, b"x")
            await writes(c, instance_id, volume_id, 7, b"y")
            before = {s.snapshot_id for s in c.clc.snapshots.all()}

            def taken():
                return [s for s in c.clc.snapshots.all() if s.snapshot_id not in before]

            def done():
                return any(is_completed(c, s.snapshot_id) for s in taken())

            await fate.insist(snapshots.CreateSnapshot(volume_id), done)
            await fate.insist(
                volumes.ModifyVolume(volume_id, 2), lambda: c.clc.volumes.find(volume_id).size_gib == 2
            )
            await writes(c, instance_id, volume_id, 1500, b"z")
            await fate.insist(volumes.DetachVolume(volume_id), lambda: not attachments(c, volume_id))
            fate.over = True
        if c._stopped.is_set():
            await c.restart()
        await trio.sleep(60)
        expected = {0: b"a", 5: b"x", 7: b"y", 9: b"c", 1500: b"z"}
        assert await c.content(volume_id) == expected
        assert await c.engine.exported() == {}
        one = next(s.snapshot_id for s in taken() if is_completed(c, s.snapshot_id))
        again = (await c.ask(volumes.CreateVolume("z1", snapshot_id=one))).volume_id
        await c.until_volume(again, "available")
        del expected[1500]
        assert await c.content(again) == expected
        await c.ask(instances.TerminateInstances((instance_id,)))
        for volume in c.clc.volumes.all():
            await c.ask(volumes.DeleteVolume(volume.volume_id))
            await c.until_volume(volume.volume_id, "gone")
        for snapshot in c.clc.snapshots.all():
            await c.ask(snapshots.DeleteSnapshot(snapshot.snapshot_id))
            await c.until_snapshot(snapshot.snapshot_id, "gone")
        await in_walrus.sweep(c.walrus)
        await in_walrus.sweep(c.walrus)
        assert c.vault.objects == {}
        assert await c.engine.volumes() == {}
        assert await c.engine.copies() == set()
        assert fate.kills > 0
