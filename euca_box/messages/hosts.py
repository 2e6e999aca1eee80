"""Hosts join, say where they are, and are told whom to believe."""

from dataclasses import dataclass, field

from euca_box.messages.base import Op
from euca_box.model.hosts import Peer


@dataclass(frozen=True)
class HostAddress:
    """Where a host is, and what it wants certified: its server's key and the key for its guests' documents,
    as requests in PEM (RFC 2986)."""

    host: str
    port: int
    version: str
    server_request: str = ""
    identity_request: str = ""
    api_port: int = 8773


@dataclass(frozen=True)
class Welcome:
    """What a host must know of the cloud. `settings`: those that all hosts share, by their names.

    `peers` are the hosts that it speaks to, the cloud controller among them.
    """

    host_id: str
    name: str
    zone: str
    roles: tuple[str, ...]
    peers: tuple[Peer, ...]
    version: int
    settings: dict[str, str] = field(default_factory=dict)
    ca_pem: str = ""
    server_pem: str = ""
    identity_pem: str = ""


@dataclass(frozen=True)
class JoinHost(Op[Welcome], role="clc", timeout=20):
    """Take the host into the cloud. Twice with one token is harmless for the same key; with another it is
    refused, and so is a token that is unknown, used or too old: InvalidToken, in the same words."""

    token_hash: str = field(repr=False)
    public_key: bytes
    name: str
    roles: tuple[str, ...]
    zone: str
    at: HostAddress


@dataclass(frozen=True)
class AnnounceHost(Op[Welcome], role="clc", timeout=20):
    """A host that has joined says where it is now; only of itself. Twice is harmless."""

    at: HostAddress


@dataclass(frozen=True)
class HostReport:
    """How a host is. `roles`: role -> "runs" or what it waits for. `peers_version`: of what it was told."""

    version: str
    peers_version: int
    roles: dict[str, str]
    skews: dict[str, float] = field(default_factory=dict)  # host id -> seconds that its clock is ahead
    settings: dict[str, str] = field(default_factory=dict)  # of its zone, where its cluster controller is


@dataclass(frozen=True)
class HostConfigurePeers(Op[HostReport], role="host", timeout=8):
    """The hosts to believe from now on, all of them; older than what is known, nothing changes. Without any
    it is only a question."""

    version: int
    peers: tuple[Peer, ...] = ()
