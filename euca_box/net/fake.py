"""The network in memory, for roles under test: keeps the same promises as HostNetwork, touches nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from euca_box.model.traces import BAD, GOOD, Step
from euca_box.net.network import (
    NetError,
    NetworkSettings,
    Port,
    RemotePort,
    SecurityGroup,
    check_free,
    check_group,
    check_port,
    check_public,
    check_remote,
    device_of,
    ipv4,
)


@dataclass
class FakeNetwork:
    """Set `broken` to a text and the next call fails with it."""

    settings: NetworkSettings
    broken: str | None = None
    prepared: bool = False
    plugged: dict[str, Port] = field(default_factory=dict)
    groups: dict[str, SecurityGroup] = field(default_factory=dict)
    public: dict[str, str] = field(default_factory=dict)
    heard: dict[str, str] = field(default_factory=dict)  # by ARP, in mode SYSTEM
    hosts: frozenset[str] = frozenset()
    remotes: dict[str, RemotePort] = field(default_factory=dict)

    async def prepare(self) -> None:
        self._may_fail()
        self.prepared = True

    async def plug(self, port: Port) -> None:
        self._ready()
        check_port(self.settings, port)
        check_free(self.plugged.values(), port)
        self.plugged[port.instance_id] = port

    async def unplug(self, instance_id: str) -> None:
        self._ready()
        device_of(instance_id)
        port = self.plugged.pop(instance_id, None)
        if port is not None:
            self.public = {
                public: private for public, private in self.public.items() if private != port.private_ip
            }

    async def ports(self) -> list[Port]:
        self._ready()
        return list(self.plugged.values())

    async def set_groups(self, groups: Sequence[SecurityGroup]) -> None:
        self._ready()
        for group in groups:
            check_group(group)
        self.groups = {group.group_id: group for group in groups}

    async def set_remotes(self, hosts: Sequence[str], remotes: Sequence[RemotePort]) -> None:
        self._ready()
        if hosts and self.settings.tunnel is None:
            raise NetError("other hosts were named, and this one has no tunnel: set network.tunnel")
        for remote in remotes:
            check_remote(self.settings, remote)
            if remote.host not in hosts:
                raise NetError(f"{remote.instance_id} is on {remote.host[:40]!r}, which is no host")
        self.hosts, self.remotes = frozenset(hosts), {r.instance_id: r for r in remotes}

    async def assign_public(self, public_ip: str, private_ip: str) -> None:
        self._ready()
        check_public(self.settings, public_ip)
        if ipv4(private_ip) not in self.settings.subnet:
            raise NetError(f"{private_ip} is not in {self.settings.subnet}")
        kept = {p: private for p, private in self.public.items() if private != private_ip}
        self.public = {**kept, public_ip: private_ip}

    async def unassign_public(self, public_ip: str) -> None:
        self._ready()
        self.public.pop(public_ip, None)

    async def public_addresses(self) -> dict[str, str]:
        self._ready()
        return dict(self.public)

    async def learned(self) -> dict[str, str]:
        self._ready()
        known = {i: port.private_ip for i, port in self.plugged.items() if port.private_ip}
        return known | {i: address for i, address in self.heard.items() if i in self.plugged}

    async def repair(self) -> list[str]:
        self._ready()
        return []

    async def trace(self, instance_id: str | None) -> list[Step]:
        self._ready()
        plugged = instance_id is None or instance_id in self.plugged
        return [Step("network", "the instance is plugged in", GOOD if plugged else BAD)]

    async def foreign_drops(self) -> list[str]:
        self._ready()
        return []

    async def close(self) -> None:
        self._may_fail()
        self.prepared = False

    async def remove(self) -> None:
        self._may_fail()
        self.prepared = False
        self.plugged, self.groups, self.public = {}, {}, {}

    def _ready(self) -> None:
        self._may_fail()
        if not self.prepared:
            raise NetError("the network is not prepared")

    def _may_fail(self) -> None:
        reason, self.broken = self.broken, None
        if reason is not None:
            raise NetError(reason)
