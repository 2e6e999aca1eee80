"""The hosts that there are, for everything of the cloud controller that asks which."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from euca_box.messages.hosts import HostReport
from euca_box.model.errors import Unavailable
from euca_box.model.hosts import Component, ComponentState, Host
from euca_box.store.store import Statement

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


@dataclass(frozen=True)
class Seen:
    """What a host last said. `seen_at`: on the clock of this host; `error`: why it says nothing now."""

    report: HostReport | None = None
    seen_at: float | None = None
    error: str = "has not answered yet"


def own_host(clc: "Clc") -> Host:
    """The host of this cloud controller. Raises Unavailable where no other could reach it."""
    if clc.own_host is None or not clc.own_host.host:
        raise Unavailable("The role bus does not listen here: see the log, and bus.listen and bus.port.")
    return clc.own_host


def everyone(clc: "Clc") -> list[Host]:
    return ([clc.own_host] if clc.own_host is not None else []) + clc.hosts.all()


def with_component(clc: "Clc", address: str) -> Host | None:
    return next((host for host in everyone(clc) if host.component(address) is not None), None)


def next_version(clc: "Clc", at_least: int = 0) -> Statement:
    clc.hosts_version = max(clc.hosts_version + 1, at_least)
    return Statement(
        "INSERT INTO hosts_version (one, version) VALUES (1, ?) "
        "ON CONFLICT (one) DO UPDATE SET version = excluded.version",
        (clc.hosts_version,),
    )


def zone_names(clc: "Clc") -> list[str]:
    """That a cluster controller has registered for; the configured one comes first."""
    others = (h.zone for h in clc.hosts.all() if any(c.role == "cc" for c in h.components))
    return list(dict.fromkeys((clc.settings.zone, *others)))


def state_of(clc: "Clc", address: str) -> ComponentState:
    """As wanted; ENABLED for what no host has."""
    for host in everyone(clc):
        if (component := host.component(address)) is not None:
            return wished(clc, host, component)
    return ComponentState.ENABLED


def wished(clc: "Clc", host: Host, component: Component) -> ComponentState:
    if clc.own_host is not None and host.host_id == clc.own_host.host_id:
        return clc.own_states.get(component.address, ComponentState.ENABLED)
    return component.state


def is_silent(clc: "Clc", zone: str) -> bool:
    """One of several zones, whose cluster controller gives no news: nobody waits for it to answer. The task
    that listens to it notices when it is back."""
    return f"cluster {zone}" in clc.problems and len(zone_names(clc)) > 1
