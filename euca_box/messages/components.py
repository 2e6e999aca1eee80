"""What the operator asks the CLC about hosts and components, through the admin socket and the registrations
of Eucalyptus."""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op


@dataclass(frozen=True)
class NewToken:
    """`text` is told this once. `url` is where to join."""

    text: str = field(repr=False)
    url: str
    expires_at: float


@dataclass(frozen=True)
class CreateToken(Op[NewToken], role="clc"):
    """By it one host may join with these roles, within an hour. `zone`: empty for the first one."""

    roles: tuple[str, ...]
    zone: str = ""


@dataclass(frozen=True)
class ComponentRow:
    """A role at a host. `state` is ENABLED, DISABLED or MAINTENANCE as wanted, NOTREADY when it should be
    enabled and does not answer. `skew_seconds`: how far the host's clock is ahead."""

    address: str
    role: str
    zone: str
    host: str
    state: str
    detail: str
    at: str
    version: str
    skew_seconds: float | None = None
    seen_at: float | None = None
    host_id: str = ""


@dataclass(frozen=True)
class Components:
    components: tuple[ComponentRow, ...]


@dataclass(frozen=True)
class DescribeComponents(Op[Components], role="clc"):
    """Every role of every host."""


@dataclass(frozen=True)
class SetComponentState(Op[Done], role="clc"):
    """`component` is an address (`nc@node1`), or the name of a node. Twice is harmless."""

    component: str
    state: str


@dataclass(frozen=True)
class DeregisterComponent(Op[Done], role="clc"):
    """Take the component out of the cloud, and its host when it was the last one there. A node that has
    instances, and a storage controller with volumes, are refused."""

    component: str


@dataclass(frozen=True)
class RevokeHost(Op[Done], role="clc"):
    """No host listens to this key from now on, and it can never join again, whatever runs there. `host` is
    a name or an id."""

    host: str
