"""Hosts of the cloud: their keys, the components that each has, and which of them speak to which.

A host is a machine with one process of euca-box. Its components are its roles, by their addresses on the bus:
`clc`, `walrus`, `cc@ZONE`, `sc@ZONE`, `nc@NAME`.
"""

import enum
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

JOINING_ROLES = ("walrus", "cc", "sc", "nc")  # there is one cloud controller: the one that is joined
_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_ZONE = re.compile(r"[a-zA-Z0-9-]{1,32}")
# Which roles ask which; within a zone, but for those that the cloud has once.
_BELOW = {"clc": ("walrus", "cc", "sc", "host"), "cc": ("nc",), "nc": ("sc", "walrus"), "sc": ("walrus",)}
_OF_THE_CLOUD = frozenset({"clc", "walrus"})


class ComponentState(enum.StrEnum):
    """As the administrator wants it. Whether it answers is another matter."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"  # nothing new begins there
    MAINTENANCE = "MAINTENANCE"  # nothing new, because somebody is about to work on the host


@dataclass(frozen=True)
class Component:
    address: str
    state: ComponentState = ComponentState.ENABLED

    @property
    def role(self) -> str:
        return self.address.partition("@")[0]


@dataclass(frozen=True)
class Host:
    """A host that has joined. `host` and `port`: where its role bus listens. `account` is nobody's."""

    host_id: str
    public_key: bytes
    name: str
    host: str
    port: int
    zone: str
    components: tuple[Component, ...]
    joined_at: float
    account: str = "000000000000"
    api_port: int = 8773
    settings: dict[str, str] = field(default_factory=dict)  # of the zone, said by its cluster controller

    def component(self, address: str) -> Component | None:
        return next((c for c in self.components if c.address == address), None)


@dataclass(frozen=True)
class Peer:
    """A host as others must know it. `addresses` are those of its roles on the bus."""

    public_key: bytes
    host: str
    port: int
    addresses: tuple[str, ...]
    api_port: int = 8773

    @property
    def host_id(self) -> str:
        return host_id_of(self.public_key)

    @property
    def roles(self) -> frozenset[str]:
        return frozenset(address.partition("@")[0] for address in self.addresses)

    @property
    def node(self) -> str:
        """The name of its node, if it is one: the HOST of nc@HOST."""
        return next((a.partition("@")[2] for a in self.addresses if a.startswith("nc@")), "")


def host_id_of(public: bytes) -> str:
    return "host-" + hashlib.sha256(public).hexdigest()[:16]


def agent_of(host_id: str) -> str:
    """The address of what answers for the host itself."""
    return f"host@{host_id}"


def is_name(text: str) -> bool:
    """Of a host: a label of a domain name."""
    return _NAME.fullmatch(text) is not None


def is_zone(text: str) -> bool:
    return _ZONE.fullmatch(text) is not None


def address_of(role: str, zone: str, name: str) -> str:
    """On the bus, of a role at a host."""
    if role in _OF_THE_CLOUD:
        return role
    return f"{role}@{name if role == 'nc' else zone}"


def speak_to_each_other(one: "Speaker", other: "Speaker") -> bool:
    """Whether any role of one asks a role of the other, or is asked by it. Others need not know each other:
    whoever has the key of a node finds no other node that would listen."""
    return _asks(one, other) or _asks(other, one)


@dataclass(frozen=True)
class Speaker:
    roles: frozenset[str]
    zone: str

    @classmethod
    def of(cls, roles: Iterable[str], zone: str) -> "Speaker":
        """Every host answers for itself, too."""
        return cls(frozenset(roles) | {"host"}, zone)


def _asks(upper: Speaker, lower: Speaker) -> bool:
    for role in upper.roles:
        for below in _BELOW.get(role, ()):
            far = role in _OF_THE_CLOUD or below in _OF_THE_CLOUD
            if below in lower.roles and (far or upper.zone == lower.zone):
                return True
    return False
