"""Hosts join and move: who may, what they are told, and which hosts they shall believe.

The list of hosts has a version, which grows in the transaction of each change; `host_loop.py` tells it.
"""

import ipaddress
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.auth.join_tokens import new_token
from euca_box.messages import base, components
from euca_box.messages.base import Call
from euca_box.messages.hosts import AnnounceHost, HostAddress, JoinHost, Welcome
from euca_box.model.errors import (
    InvalidClientTokenId,
    InvalidParameterValue,
    RequestLimitExceeded,
    UnauthorizedOperation,
    Unavailable,
)
from euca_box.model.hosts import (
    JOINING_ROLES,
    Component,
    Host,
    Peer,
    Speaker,
    address_of,
    agent_of,
    host_id_of,
    is_name,
    is_zone,
    speak_to_each_other,
)
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import events, known_hosts, zones
from euca_box.store.store import Conflict, Row, Statement, Value, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

TOKEN_SECONDS = 3600.0
OF_THE_ZONE = ("network.private_subnet", "network.public_addresses", "network.mac_map", "network.router")
LONGEST_REQUEST = 8192  # bytes of a request for a certificate


async def load(clc: "Clc") -> None:
    await clc.hosts.load()
    row = one(await clc.store.read("SELECT version FROM hosts_version"))
    clc.hosts_version = row["version"] if row else 1


async def create_token(clc: "Clc", call: Call, op: components.CreateToken) -> components.NewToken:
    """Raises InvalidParameterValue, Unavailable."""
    own = known_hosts.own_host(clc)
    zone = op.zone or clc.settings.zone
    _check_roles(op.roles)
    if not is_zone(zone):
        raise InvalidParameterValue(f"{zone[:64]!r} is no name of a zone: letters, digits, -")
    token, expires_at = new_token(own.public_key), clc.now() + TOKEN_SECONDS
    row: dict[str, Value] = {"hash": token.hash, "roles": json.dumps(op.roles), "zone": zone}
    row["expires_at"] = expires_at
    await clc.store.write(
        Statement("DELETE FROM join_token WHERE expires_at < ?", (clc.now() - TOKEN_SECONDS,)),
        insert("join_token", row),
    )
    note(clc, call, "CreateToken", roles=" ".join(op.roles), zone=zone)
    return components.NewToken(token.text(), f"https://{own.host}:{own.port}", expires_at)


async def join_host(clc: "Clc", call: Call, op: JoinHost) -> Welcome:
    """Raises InvalidClientTokenId, InvalidParameterValue, RequestLimitExceeded, Unavailable."""
    known_hosts.own_host(clc)
    if clc.join_attempts.seconds_to_wait(clc.now(), "", call.source_ip):
        raise RequestLimitExceeded("There were too many wrong tokens from there. Wait, then try again.")
    host_id = host_id_of(op.public_key)
    async with clc.joining:
        try:
            token = await _token(clc, op, host_id)
        except InvalidClientTokenId:
            clc.join_attempts.note_failure(clc.now(), "", call.source_ip)
            note(clc, call, "JoinHost", error=InvalidClientTokenId(), name=op.name)
            raise
        if token["used_by"] != host_id or clc.hosts.find(host_id) is None:
            await _take(clc, op, token)
            note(clc, call, "JoinHost", name=op.name, host_id=host_id, roles=" ".join(op.roles))
    fp("clc.join.after-commit")
    await clc.tell_hosts()
    return welcome(clc, clc.hosts.find(host_id), op.at)


async def announce_host(clc: "Clc", call: Call, op: AnnounceHost) -> Welcome:
    """Raises UnauthorizedOperation: a host speaks for itself only."""
    known = clc.hosts.find(call.host)
    if known is None:
        raise UnauthorizedOperation
    _check_place(op.at)
    moved = (known.host, known.port, known.api_port) != (op.at.host, op.at.port, op.at.api_port)
    if moved:
        place = {"host": op.at.host, "port": op.at.port, "api_port": op.at.api_port}

        def at_its_place(host: Host) -> Host:
            return replace(host, **place)  # type: ignore[arg-type]

        await clc.hosts.change(known.host_id, at_its_place, known_hosts.next_version(clc))
        fp("clc.announce.after-commit")
        note(clc, call, "AnnounceHost", name=known.name, host=op.at.host)
        await clc.tell_hosts()
    return welcome(clc, clc.hosts.find(known.host_id), op.at)


def peers_of(clc: "Clc", host: Host) -> tuple[Peer, ...]:
    """The hosts that it has to do with; the cloud controller's is always among them."""
    others = (other for other in known_hosts.everyone(clc) if other.host_id != host.host_id)
    return tuple(_peer(o) for o in others if speak_to_each_other(_speaker(host), _speaker(o)))


def welcome(clc: "Clc", host: Host | None, at: HostAddress) -> Welcome:
    """Raises Unavailable: it was removed meanwhile. InvalidParameterValue for a bad request."""
    if host is None:
        raise Unavailable("The host was removed meanwhile.")
    return Welcome(
        host_id=host.host_id,
        name=host.name,
        zone=host.zone,
        roles=tuple(c.role for c in host.components),
        peers=peers_of(clc, host),
        version=clc.hosts_version,
        settings=_settings(clc, host),
        ca_pem=clc.notary.authority,
        server_pem=_certified(clc, at.server_request, _names(clc, host), host.name),
        identity_pem=_certified(clc, at.identity_request, (), "euca-box instance identity"),
    )


async def _token(clc: "Clc", op: JoinHost, host_id: str) -> Row:
    """Unknown, used, too old, for other roles: one answer for all. Raises InvalidClientTokenId."""
    rows = await clc.store.read("SELECT * FROM join_token WHERE hash = ?", op.token_hash)
    revoked = await clc.store.read("SELECT host_id FROM revoked_host WHERE host_id = ?", host_id)
    row = one(rows)
    if row is None or row["expires_at"] < clc.now() or row["used_by"] not in ("", host_id) or revoked:
        raise InvalidClientTokenId
    if set(op.roles) - set(json.loads(row["roles"])) or op.zone not in ("", row["zone"]):
        raise InvalidClientTokenId
    return row


async def _take(clc: "Clc", op: JoinHost, token: Row) -> None:
    """Commit the host and that the token is used. Raises InvalidParameterValue."""
    _check_roles(op.roles)
    _check_place(op.at)
    if not is_name(op.name):
        raise InvalidParameterValue(f"{op.name[:64]!r} is no name of a host: letters, digits, -")
    host_id, zone = host_id_of(op.public_key), token["zone"]
    roles = [role for role in JOINING_ROLES if role in op.roles]
    host = Host(
        host_id=host_id,
        public_key=op.public_key,
        name=op.name,
        host=op.at.host,
        port=op.at.port,
        zone=zone,
        components=tuple(Component(address_of(role, zone, op.name)) for role in roles),
        joined_at=clc.now(),
        api_port=op.at.api_port,
    )
    _check_is_new(clc, host)
    zones.settings_of(clc, host)
    used = Statement(
        "UPDATE join_token SET used_by = ? WHERE hash = ? AND used_by IN ('', ?)",
        (host_id, op.token_hash, host_id),
        expect=1,
    )
    again = [Statement("DELETE FROM host WHERE id = ?", (host_id,))]  # it joins anew, with other roles
    try:
        numbers = zones.new_number(clc, zone) if "cc" in roles else []
        await clc.store.write(
            used, *again, *clc.hosts.inserts([host]), *numbers, known_hosts.next_version(clc)
        )
    except Conflict:
        raise InvalidClientTokenId from None
    clc.hosts.take([host])
    await zones.load(clc)


def _check_roles(roles: tuple[str, ...]) -> None:
    if not roles or set(roles) - set(JOINING_ROLES):
        raise InvalidParameterValue(f"Hosts join with some of {', '.join(JOINING_ROLES)}.")


def _check_place(at: HostAddress) -> None:
    """No address that leads others to themselves (Eucalyptus 1.6.2 refuses the same ones)."""
    try:
        address = ipaddress.ip_address(at.host)
    except ValueError:
        raise InvalidParameterValue(f"{at.host[:64]!r} is no IP address.") from None
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise InvalidParameterValue(f"Other hosts cannot reach {at.host[:64]}: set bus.address.")
    if not (0 < at.port < 65536 and 0 < at.api_port < 65536):
        raise InvalidParameterValue("The port of a role bus is from 1 to 65535.")


def _check_is_new(clc: "Clc", host: Host) -> None:
    for other in known_hosts.everyone(clc):
        if other.host_id == host.host_id:
            continue
        taken = {c.address for c in other.components} & {c.address for c in host.components}
        if taken or other.name == host.name:
            what = ", ".join(sorted(taken)) or f"the name {host.name}"
            raise InvalidParameterValue(f"The host {other.name} at {other.host} has {what} already.")


def note(clc: "Clc", call: Call, action: str, error: Exception | None = None, **parameters: str) -> None:
    """An event: what operators and hosts do is no call of a user."""
    failed = error if isinstance(error, InvalidClientTokenId) else None
    events.add(clc, call, call.host or "operator", f"admin:{action}", json.dumps(parameters), failed)


def _settings(clc: "Clc", host: Host) -> dict[str, str]:
    """Those of the cloud and of the host's zone. Raises Unavailable."""
    shared = dict(clc.settings.shared)
    if host.zone != clc.settings.zone:  # whose network is another one
        shared = {name: value for name, value in shared.items() if name not in OF_THE_ZONE}
    return shared | zones.settings_of(clc, host) | {"cloud.zone": base.encode(host.zone)}


def _names(clc: "Clc", host: Host) -> tuple[str, ...]:
    """That its certificate may have: no address that another host has, whatever it says where it is."""
    others = {o.host for o in known_hosts.everyone(clc) if o.host_id != host.host_id}
    own = () if host.host in others else (host.host,)
    return (*own, host.name, "127.0.0.1", "localhost")


def _certified(clc: "Clc", wish: str, names: tuple[str, ...], common_name: str) -> str:
    if not wish:
        return ""
    if len(wish) > LONGEST_REQUEST:
        raise InvalidParameterValue("The request for a certificate is too long.")
    try:
        return clc.notary.certify(wish, names, common_name[:64])
    except ValueError:
        raise InvalidParameterValue("The request for a certificate is none.") from None


def _peer(host: Host) -> Peer:
    addresses = (*(c.address for c in host.components), agent_of(host.host_id))
    return Peer(host.public_key, host.host, host.port, addresses, host.api_port)


def _speaker(host: Host) -> Speaker:
    return Speaker.of((c.role for c in host.components), host.zone)
