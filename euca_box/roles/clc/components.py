"""Components as the operator sees and changes them: every role of every host."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import components as messages
from euca_box.messages.base import Call, Done
from euca_box.messages.cc import ZoneNode
from euca_box.model.ec2_errors import NoSuchEntity
from euca_box.model.errors import IncorrectState, InvalidParameterValue, UnsupportedOperation
from euca_box.model.hosts import Component, ComponentState, Host
from euca_box.model.nodes import NodeWish
from euca_box.model.volumes import VolumeState
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import hosts, known_hosts
from euca_box.store.store import Statement, insert

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

SUSPENDABLE = ("nc", "cc", "sc")
NOT_READY = "NOTREADY"


async def describe_components(clc: "Clc", call: Call, op: messages.DescribeComponents) -> messages.Components:
    return messages.Components(tuple(component_rows(clc)))


def component_rows(clc: "Clc") -> list[messages.ComponentRow]:
    return [_row(clc, host, c) for host in known_hosts.everyone(clc) for c in host.components]


def component_problems(clc: "Clc") -> list[str]:
    """Of other hosts, for people."""
    own = clc.own_host.host_id if clc.own_host is not None else ""
    rows = (_row(clc, host, c) for host in clc.hosts.all() if host.host_id != own for c in host.components)
    return [f"{row.address} on {row.host}: {row.detail}" for row in rows if row.state == NOT_READY]


async def set_component_state(clc: "Clc", call: Call, op: messages.SetComponentState) -> Done:
    """Raises InvalidParameterValue, NoSuchEntity, UnsupportedOperation."""
    if op.state not in tuple(ComponentState):
        raise InvalidParameterValue(f"The state is one of {', '.join(ComponentState)}.")
    host, component = _find(clc, op.component)
    if component.role not in SUSPENDABLE:
        raise UnsupportedOperation(f"The cloud has one {component.role}, which cannot be disabled.")
    state = ComponentState(op.state)
    if clc.own_host is not None and host.host_id == clc.own_host.host_id:
        await _set_own(clc, component.address, state)
    else:

        def with_state(current: Host) -> Host:
            return replace(current, components=_changed(current, component.address, state))

        await clc.hosts.change(host.host_id, with_state, known_hosts.next_version(clc))
    fp("clc.component.after-commit")
    hosts.note(clc, call, "SetComponentState", component=component.address, state=op.state)
    clc.nodes_bell.ring()
    return Done()


async def deregister_component(clc: "Clc", call: Call, op: messages.DeregisterComponent) -> Done:
    """Raises IncorrectState, NoSuchEntity, UnsupportedOperation."""
    host, component = _find(clc, op.component)
    if clc.own_host is not None and host.host_id == clc.own_host.host_id:
        raise UnsupportedOperation(
            f"{component.address} is a role of the cloud controller's host: its setting `roles` says so."
        )
    if (why := _why_needed(clc, host, component)) is not None:
        raise IncorrectState(f"{component.address} cannot go: {why}.")

    rest = tuple(c for c in host.components if c != component)
    if rest:

        def without(current: Host) -> Host:
            return replace(current, components=rest)

        await clc.hosts.change(host.host_id, without, known_hosts.next_version(clc))
    else:
        await clc.hosts.remove(host.host_id, known_hosts.next_version(clc))
    fp("clc.deregister.after-commit")
    hosts.note(clc, call, "DeregisterComponent", component=component.address)
    await clc.tell_all_hosts()
    return Done()


async def revoke_host(clc: "Clc", call: Call, op: messages.RevokeHost) -> Done:
    """Its key is stolen, or the host is gone for good: no question is asked. What ran there stays pending
    or lost until it is ended. Raises NoSuchEntity."""
    host = next((h for h in clc.hosts.all() if op.host in (h.name, h.host_id)), None)
    if host is None:
        raise NoSuchEntity("host", op.host[:64])
    refused = insert("revoked_host", {"host_id": host.host_id, "at": clc.now()}, or_replace=True)
    tokens = Statement("UPDATE join_token SET expires_at = 0 WHERE used_by = ?", (host.host_id,))
    await clc.hosts.remove(host.host_id, refused, tokens, known_hosts.next_version(clc))
    fp("clc.revoke.after-commit")
    hosts.note(clc, call, "RevokeHost", host=host.name, host_id=host.host_id)
    await clc.tell_all_hosts()
    return Done()


async def load(clc: "Clc") -> None:
    """What was disabled of the components of the own host."""
    rows = await clc.store.read("SELECT address, state FROM component_state")
    clc.own_states = {row["address"]: ComponentState(row["state"]) for row in rows}


def nodes_by_zone(clc: "Clc") -> dict[str, list[ZoneNode]]:
    """For each zone that has a cluster controller: its nodes as wished."""
    found: dict[str, list[ZoneNode]] = {zone: [] for zone in known_hosts.zone_names(clc)}
    for host in known_hosts.everyone(clc):
        for component in host.components:
            if component.role == "nc" and host.zone in found:
                wish = NodeWish(known_hosts.wished(clc, host, component).value)
                found[host.zone].append(ZoneNode(component.address, wish))
    return found


async def _set_own(clc: "Clc", address: str, state: ComponentState) -> None:
    row = insert("component_state", {"address": address, "state": state.value}, or_replace=True)
    await clc.store.write(row, known_hosts.next_version(clc))
    clc.own_states[address] = state


def _changed(host: Host, address: str, state: ComponentState) -> tuple[Component, ...]:
    return tuple(replace(c, state=state) if c.address == address else c for c in host.components)


def _find(clc: "Clc", name: str) -> tuple[Host, Component]:
    """By its address, or by the name of a node. Raises NoSuchEntity."""
    for host in known_hosts.everyone(clc):
        for component in host.components:
            if name in (component.address, component.address.removeprefix("nc@")):
                return host, component
    raise NoSuchEntity("component", name[:64])


def _why_needed(clc: "Clc", host: Host, component: Component) -> str | None:
    if component.role == "nc":
        return _some(
            "instances",
            (i.instance_id for i in clc.instances.all() if i.node == component.address and not i.ended_at),
        )
    if component.role == "cc":
        here = (i.instance_id for i in clc.instances.all() if i.zone == host.zone and not i.ended_at)
        return _some("instances", here)
    if component.role == "sc":
        alive: Callable[[VolumeState], bool] = lambda state: state is not VolumeState.ERROR  # noqa: E731
        return _some(
            "volumes", (v.volume_id for v in clc.volumes.all() if v.zone == host.zone and alive(v.state))
        )
    return "the cloud keeps its images there" if clc.images.all() else None


def _some(noun: str, ids: Iterable[str]) -> str | None:
    found = list(ids)
    return f"it has {len(found)} {noun}, {', '.join(found[:3])} among them" if found else None


def _row(clc: "Clc", host: Host, component: Component) -> messages.ComponentRow:
    seen = clc.seen_hosts.get(host.host_id, known_hosts.Seen())
    wanted, detail = known_hosts.wished(clc, host, component), seen.error
    if not detail and seen.report is not None:
        word = seen.report.roles.get(component.role, "does not run there")
        detail = "" if word == "runs" else word
    state = NOT_READY if detail and wanted is ComponentState.ENABLED else wanted.value
    return messages.ComponentRow(
        address=component.address,
        role=component.role,
        zone=host.zone,
        host=host.name,
        state=state,
        detail=detail,
        at=f"{host.host}:{host.port}",
        version=seen.report.version if seen.report else "",
        skew_seconds=_skew(clc, host),
        seen_at=seen.seen_at,
        host_id=host.host_id,
    )


def _skew(clc: "Clc", host: Host) -> float | None:
    """As this host measured it, with its own messages."""
    if clc.own_host is None:
        return None
    if host.host_id == clc.own_host.host_id:
        return 0.0
    own = clc.seen_hosts.get(clc.own_host.host_id, known_hosts.Seen()).report
    return own.skews.get(host.host_id) if own is not None else None
