"""Of which cloud this host is: written down when it joins, and when it is told of other hosts.

data_dir/membership.json   0600: the cloud controller's key, this host's name, roles and zone, shared settings
data_dir/peers.json        0600: the hosts to believe, and the version of that list
data_dir/host.key          0600: the key of this host; host.pem and host-tls.key are it in the form of TLS
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import attrs

from euca_box.auth.certificates import certify_host
from euca_box.auth.host_messages import HostKey, load_or_make
from euca_box.config import Config
from euca_box.datadir import DataDir
from euca_box.messages import base
from euca_box.model.hosts import Peer

FILE, PEERS = "membership.json", "peers.json"
# What the hosts of a cloud have alike: told by the cloud controller, and set over what the own files say.
SHARED = (
    "cloud.region",
    "dns.domain",
    "network.mode",
    "network.private_subnet",
    "network.addresses_per_network",
    "network.public_addresses",
    "network.mac_map",
    "network.router",
    "network.segments",
    "network.tunnel_port",
    "network.tunnel_number",
)


@dataclass(frozen=True)
class Membership:
    """`controller`: the key of the cloud controller's host. `settings`: by name, JSON of the values."""

    controller: bytes
    name: str
    roles: tuple[str, ...]
    zone: str
    address: str
    settings: dict[str, str] = field(default_factory=dict)

    def applied(self, config: Config) -> Config:
        """The settings of this host, with those of its cloud."""
        config = attrs.evolve(config, roles=list(self.roles))
        for name, text in self.settings.items():
            section, _, key = name.partition(".")
            if name not in (*SHARED, "cloud.zone"):
                continue  # of a newer version
            part = attrs.evolve(getattr(config, section), **{key: base.decode(text, Any)})
            config = attrs.evolve(config, **{section: part})
        return config


@dataclass(frozen=True)
class KnownPeers:
    version: int = 0
    peers: tuple[Peer, ...] = ()


OF_THE_ZONE = ("network.private_subnet", "network.public_addresses", "network.mac_map", "network.router")


def zone_settings(config: Config, chosen: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The part that is of a zone, said by its cluster controller."""
    return tuple(pair for pair in shared_settings(config, chosen) if pair[0] in OF_THE_ZONE)


def shared_settings(config: Config, chosen: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """For hosts that join: `chosen` stands for what is "auto" here."""
    pairs = []
    for name in SHARED:
        section, _, key = name.partition(".")
        value = chosen.get(name, getattr(getattr(config, section), key))
        pairs.append((name, base.encode(value)))
    return tuple(pairs)


def find(data: DataDir) -> Membership | None:
    """None for a host that has joined no cloud: it has, or will have, one of its own."""
    found = data.read_json(FILE)
    return base.structure(found, Membership) if found else None


def keep(data: DataDir, membership: Membership) -> None:
    data.write_json(FILE, base.unstructure(membership))


def known_peers(data: DataDir) -> KnownPeers:
    found = data.read_json(PEERS)
    known: KnownPeers = base.structure(found, KnownPeers) if found else KnownPeers()
    return known


def keep_peers(data: DataDir, version: int, peers: tuple[Peer, ...]) -> None:
    data.write_json(PEERS, base.unstructure(KnownPeers(version, peers)))


def host_key(data: DataDir) -> HostKey:
    """Made with its certificate when it is missing."""
    key = load_or_make(data.path / "host.key")
    certificate, tls_key = tls_files(data)
    if not (certificate.exists() and tls_key.exists()):
        certify_host(key.private, certificate, tls_key)
    return key


def tls_files(data: DataDir) -> tuple[Path, Path]:
    return data.path / "host.pem", data.path / "host-tls.key"
