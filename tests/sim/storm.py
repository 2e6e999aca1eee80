"""Weather between hosts, and what must be true when it is over.

    async with storm(folder, seed) as s:
        await s.live(seconds=600)
        await s.calm()
        assert await s.wrongs() == []

Messages between hosts are lost before or after they did something, come late, twice and in another order;
hosts are cut off both ways or one way, killed and started; the front process is killed. Meanwhile users
launch, stop, start, end, attach and lead addresses. The same seed is the same storm.
"""

import random
from collections import Counter
from contextlib import asynccontextmanager, suppress

import trio
import trio._core._run as scheduler
from trio.testing import MockClock

from euca_box.messages import ec2_addresses as addresses
from euca_box.messages import ec2_instances as ec2
from euca_box.messages import ec2_volumes as volumes
from euca_box.model.errors import EucaError
from tests.sim.cloud import cloud
from tests.sim.test_boot_from_volume import golden

HOSTS = ("n1", "n2", "n3")
SETTLED = {"running", "stopped", "terminated"}


class Weather:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.cut: set[tuple[str, str]] = set()  # from host, to host
        self.nursery: trio.Nursery | None = None
        self.clear()

    def begin(self) -> None:
        self.lost, self.twice, self.late_seconds = 0.05, 0.05, 0.5

    def clear(self) -> None:
        self.lost = self.twice = self.late_seconds = 0.0
        self.cut.clear()

    def loses(self, sender: str, receiver: str) -> bool:
        return (sender, receiver) in self.cut or self.random.random() < self.lost


class Link:
    """What the roles of one host ask through."""

    def __init__(self, transport, here: str, weather: Weather) -> None:
        self._transport, self._here, self._weather = transport, here, weather
        self.reaches = transport.reaches

    async def send(self, address, op, call):
        there = address.partition("@")[2] if address.startswith("nc@") else "front"
        if there == self._here:
            return await self._transport.send(address, op, call)
        weather = self._weather
        await trio.sleep(weather.random.random() * weather.late_seconds)
        if weather.loses(self._here, there):
            await trio.sleep_forever()
        if weather.random.random() < weather.twice:
            weather.nursery.start_soon(self._again, address, op, call)
        try:
            reply = await self._transport.send(address, op, call)
        except EucaError:
            if weather.loses(there, self._here):
                await trio.sleep_forever()
            raise
        if weather.loses(there, self._here):
            await trio.sleep_forever()
        return reply

    async def _again(self, address, op, call) -> None:
        """The same message once more, some time later."""
        await trio.sleep(self._weather.random.random() * 30)
        with trio.move_on_after(op.timeout_seconds):
            with suppress(EucaError):
                await self._transport.send(address, op, call)


class Storm:
    def __init__(self, c, weather: Weather) -> None:
        self.cloud, self.weather, self.random = c, weather, weather.random
        self.seen_twice: set[str] = set()
        self.seen_again: set[str] = set()
        self.seen_writers: set[str] = set()
        self.instances: list[str] = []
        self.volumes: list[str] = []
        self.rooted = ""  # an image whose root is a volume, when there is one

    async def live(self, seconds: float) -> None:
        """Users and misfortune, one after the other."""
        self.weather.begin()
        end = trio.current_time() + seconds
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            while trio.current_time() < end:
                nursery.start_soon(self._act, self.random.choice(USERS))
                if self.random.random() < 0.3:
                    await self.random.choice(MISFORTUNES)(self)
                await trio.sleep(self.random.random() * 20)
            nursery.cancel_scope.cancel()

    async def calm(self, seconds: float = 900.0) -> None:
        """No more of it; wait until nothing is on its way, or for so long."""
        self.weather.clear()
        for name, host in self.cloud.hosts.items():
            if host.stopped.is_set():
                await self.cloud.start_host(name)
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch)
                await trio.sleep(60)  # for what is still in the air
                while await self.wrongs():
                    await trio.sleep(5)
                nursery.cancel_scope.cancel()

    async def wrongs(self) -> list[str]:
        """What is not as it should be, in words."""
        c = self.cloud
        records = c.clc.instances.all()
        found = [f"{i} ran on two hosts" for i in sorted(self.seen_twice)]
        found += [f"{i} ran after its end" for i in sorted(self.seen_again)]
        found += [f"{v} had two writers" for v in sorted(self.seen_writers)]
        found += [f"{r.instance_id} is {r.state}" for r in records if r.state not in SETTLED]
        should = {r.instance_id: r.node for r in records if r.state == "running"}
        runs = {name: host.hypervisor.machines for name, host in c.hosts.items()}
        does = [(i, f"nc@{name}") for name, machines in runs.items() for i in machines]
        found += [f"{i} runs on {node} and should not" for i, node in does if should.get(i) != node]
        found += [f"{i} does not run on {node}" for i, node in should.items() if (i, node) not in does]
        disks = {(path.name, f"nc@{name}") for name, host in c.hosts.items() for path in host.workbench.made}
        keep = {(r.instance_id, r.node) for r in records if r.state in ("running", "stopped")}
        found += [f"{i} has a disk on {node}" for i, node in disks - keep if i.startswith("i-")]
        return found + await self._wrong_addresses(records) + self._wrong_volumes(records)

    async def _wrong_addresses(self, records) -> list[str]:
        c = self.cloud
        held = [r.private_ip for r in records if r.private_ip and r.state != "terminated"]
        found = [f"{ip} belongs to {n} instances" for ip, n in Counter(held).items() if n > 1]
        led: dict[str, str] = {}
        for host in c.hosts.values():
            for public, private in (await host.network.public_addresses()).items():
                if public in led:
                    found.append(f"{public} leads to two hosts")
                led[public] = private
        should = {r.public_ip: r.private_ip for r in records if r.state == "running" and r.public_ip}
        return found if led == should else [*found, f"public addresses lead to {led}, not {should}"]

    def _wrong_volumes(self, records) -> list[str]:
        c, found = self.cloud, []
        for volume in c.clc.volumes.all():
            if volume.state not in ("available", "in-use"):
                found.append(f"{volume.volume_id} is {volume.state}")
        wished = {(w.volume_id, r.instance_id) for r in records if r.state == "running" for w in r.volumes}
        plugged = {
            (disk.serial, name)
            for host in c.hosts.values()
            for name, machine in host.hypervisor.machines.items()
            for disk in machine.disks
            if disk.serial and disk.serial.startswith("vol-")
        }
        found += [f"{v} is not in {i}" for v, i in wished - plugged]
        found += [f"{v} is still in {i}" for v, i in plugged - wished]
        return found

    async def _watch(self) -> None:
        """At no moment an instance runs on two hosts, or after its end, unless the older one is cut off from
        its root and from us; and no volume has two writers."""
        while True:
            runs = Counter(i for host in self.cloud.hosts.values() for i in host.hypervisor.machines)
            moving = {r.instance_id for r in self.cloud.clc.instances.all() if r.can_move}
            self.seen_twice |= {i for i, n in runs.items() if n > 1} - moving
            ended = {r.instance_id for r in self.cloud.clc.instances.all() if r.state == "terminated"}
            self.seen_again |= (ended & runs.keys()) - moving
            self.seen_writers |= {v for v, n in Counter(self._writers()).items() if n > 1}
            await trio.sleep(0.5)

    def _writers(self) -> list[str]:
        """A volume for each guest that can write to it: an export of an older number is cut off."""
        held = self.cloud.engine._volumes
        return [
            disk.serial
            for host in self.cloud.hosts.values()
            for machine in host.hypervisor.machines.values()
            for disk in machine.disks
            if disk.serial in held and disk.export == f"{disk.serial}.g{held[disk.serial].generation}"
        ]

    async def _act(self, act) -> None:
        with suppress(EucaError):  # a user is told, and may try again
            await act(self)

    # Users

    async def launch(self) -> None:
        if len(self.instances) < 12:
            image = self.rooted if self.rooted and self.random.random() < 0.6 else "emi-00000001"
            op = ec2.RunInstances(image, 1, self.random.randint(1, 2))
            self.instances += [i.instance_id for i in (await self.cloud.ask(op)).instances]

    async def terminate(self) -> None:
        await self.cloud.ask(ec2.TerminateInstances((self._one(),)))

    async def stop(self) -> None:
        await self.cloud.ask(ec2.StopInstances((self._one(),), force=self.random.random() < 0.5))

    async def start(self) -> None:
        await self.cloud.ask(ec2.StartInstances((self._one(),)))

    async def create_volume(self) -> None:
        if len(self.volumes) < 4:
            made = await self.cloud.ask(volumes.CreateVolume("z1", 1))
            self.volumes.append(made.volume_id)

    async def attach(self) -> None:
        await self.cloud.ask(volumes.AttachVolume(self._volume(), self._one(), "/dev/sdf"))

    async def detach(self) -> None:
        await self.cloud.ask(volumes.DetachVolume(self._volume()))

    async def lead(self) -> None:
        found = (await self.cloud.ask(addresses.DescribeAddresses())).addresses
        if not found:
            await self.cloud.ask(addresses.AllocateAddress())
        else:
            chosen = self.random.choice(found).allocation_id
            await self.cloud.ask(addresses.AssociateAddress(instance_id=self._one(), allocation_id=chosen))

    def _one(self) -> str:
        return self.random.choice(self.instances) if self.instances else "i-00000000"

    def _volume(self) -> str:
        return self.random.choice(self.volumes) if self.volumes else "vol-00000000"

    # Misfortune

    async def cut_off(self) -> None:
        host = self.random.choice(HOSTS)
        ways = [("front", host), (host, "front")]
        self.weather.cut |= set(self.random.choice([ways, ways[:1], ways[1:]]))

    async def heal(self) -> None:
        self.weather.cut.clear()

    async def kill_node(self) -> None:
        await self.cloud.kill_host(self.random.choice(HOSTS))

    async def start_nodes(self) -> None:
        for name, host in self.cloud.hosts.items():
            if host.stopped.is_set():
                await self.cloud.start_host(name)

    async def restart_front(self) -> None:
        await self.cloud.restart_front()


USERS = (
    Storm.launch, Storm.launch, Storm.terminate, Storm.stop, Storm.start,
    Storm.create_volume, Storm.attach, Storm.detach, Storm.lead,
)  # fmt: skip
MISFORTUNES = (Storm.cut_off, Storm.heal, Storm.heal, Storm.kill_node, Storm.start_nodes, Storm.restart_front)


@asynccontextmanager
async def storm(folder, seed: int, recover_seconds: float = 0.0):
    """With recovery, most instances boot from volumes, and start on another host when theirs is lost."""
    weather = Weather(seed)

    def link(transport, host):
        return Link(transport, host, weather)

    async with trio.open_nursery() as weather.nursery:
        async with cloud(
            folder, seed, hosts=HOSTS, link=link, subnet="172.31.0.0/26", scheduler="SPREAD",
            recover_seconds=recover_seconds,
        ) as c:  # fmt: skip
            made = Storm(c, weather)
            if recover_seconds:
                made.rooted, _ = await golden(c)
            yield made
        weather.nursery.cancel_scope.cancel()


async def weather_report(folder, seed: int) -> list[str]:
    """What is wrong after a storm of ten minutes. Every third seed is one with recovery."""
    async with storm(folder, seed, 0.0 if seed % 3 else 45.0) as s:
        await s.live(600)
        await s.calm()
        return await s.wrongs()


def run_storm(folder, seed: int) -> list[str]:
    """In virtual time; trio shuffles by a generator of its own, which is seeded too (private names)."""
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(seed)
    try:
        return trio.run(weather_report, folder, seed, clock=MockClock(autojump_threshold=0))
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before
        scheduler._r.seed(random.random())
