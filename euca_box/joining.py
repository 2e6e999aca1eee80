"""How a host becomes one of a cloud, and what it writes down then. Blocking work of a moment, in trio."""

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import trio

import euca_box
from euca_box import membership
from euca_box.api.roles.join import TARGET, JoinRequest
from euca_box.auth import certificates
from euca_box.auth.host_messages import HostKey, sign
from euca_box.auth.join_tokens import JoinToken
from euca_box.bus import letters
from euca_box.bus.connections import Connection, ConnectionLost
from euca_box.datadir import DataDir
from euca_box.messages import base
from euca_box.messages.hosts import HostAddress, JoinHost, Welcome
from euca_box.model.errors import EucaError
from euca_box.model.hosts import Peer

PORT = 8774
SECONDS = 30.0


class JoinError(Exception):
    """Not joined; the text says why and what to do."""


@dataclass(frozen=True)
class Wish:
    """`address`: where other hosts reach this one; empty: from where it reaches the cloud controller."""

    url: str
    token: JoinToken
    name: str
    roles: tuple[str, ...]
    zone: str = ""
    address: str = ""
    port: int = PORT
    api_port: int = 8773


def enter(data: DataDir, wish: Wish, now: float) -> Welcome:
    """Ask, and write down what was answered. Asked again with the same token, nothing changes.

    Raises JoinError.
    """
    key = membership.host_key(data)
    try:
        told = trio.run(_asked, data, key, wish, now)
    except ConnectionLost as error:
        raise JoinError(f"{error}. Is that the URL that `euca-box token create` printed?") from None
    except trio.TooSlowError:
        raise JoinError(f"{wish.url} did not answer within {SECONDS:.0f} s.") from None
    except EucaError as error:
        raise JoinError(f"the cloud refused: {error.message}") from None
    welcome, address = told
    keep_files(data, welcome)
    membership.keep_peers(data, welcome.version, welcome.peers)
    joined = membership.Membership(
        wish.token.public_key, welcome.name, welcome.roles, welcome.zone, address, welcome.settings
    )
    membership.keep(data, joined)
    return welcome


def own_address(data: DataDir, host: str, port: int, api_port: int) -> HostAddress:
    """Where this host is, with requests for the certificates that it needs."""
    server = certificates.private_key(data.tls[1])
    identity = certificates.private_key(data.identity[1], is_rsa=True)
    return HostAddress(
        host,
        port,
        euca_box.__version__,
        certificates.request(server).decode(),
        certificates.request(identity).decode(),
        api_port,
    )


def keep_files(data: DataDir, welcome: Welcome) -> None:
    """The authority's certificate, and those of this host."""
    files: dict[Path, str] = {
        data.path / "ca.pem": welcome.ca_pem,
        data.tls[0]: welcome.server_pem,
        data.identity[0]: welcome.identity_pem,
    }
    for path, text in files.items():
        if text:
            certificates.write_file(path, text.encode(), 0o644)


def way_to(host: str, port: int) -> str:
    """Our own address on the way there. Raises OSError; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        return str(probe.getsockname()[0])


async def _asked(data: DataDir, key: HostKey, wish: Wish, now: float) -> tuple[Welcome, str]:
    """Raises ConnectionLost, EucaError, JoinError, trio.TooSlowError."""
    parts = urlsplit(wish.url)
    host, port = parts.hostname or "", parts.port or PORT
    if parts.scheme != "https" or not host:
        raise JoinError(f"{wish.url} is no URL such as https://192.0.2.1:8774")
    clc = Peer(wish.token.public_key, host, port, ("clc",))
    with trio.fail_after(SECONDS):
        connection = await Connection.open(clc)
        async with connection:
            address = wish.address or connection.local_address
            at = own_address(data, address, wish.port, wish.api_port)
            told = JoinRequest(wish.token.text(), key.public, wish.name, wish.roles, wish.zone, at)
            body = base.encode(told).encode()
            headers = sign(key, clc.host_id, "POST", TARGET, body, now)
            answer = await connection.exchange(clc, TARGET, headers, body)
    if answer.status != 200:
        raise JoinError(f"the cloud refused: {answer.body[:512].decode(errors='replace').strip()}")
    try:
        return letters.read_reply(answer.body, JoinHost), address
    except letters.BadLetter as error:
        raise JoinError(f"the cloud answered what this version does not understand: {error}") from None
