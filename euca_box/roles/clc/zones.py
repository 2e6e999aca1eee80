"""Availability zones: each is a cluster, with one cluster controller and one storage controller.

The first zone is the configured one. Others come with the first cluster controller that joins for them, and
keep their number when that one goes: ids of subnets follow from it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from euca_box.messages import base
from euca_box.messages.cc import Resources
from euca_box.model.errors import InvalidParameterValue, Unavailable
from euca_box.model.hosts import ComponentState, Host
from euca_box.roles.clc import known_hosts
from euca_box.store.store import Statement, insert

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

FIRST = 1
ANY = (None, "", "default")  # 1.6.2's name for whichever there is


@dataclass(frozen=True)
class Zone:
    """`subnet_cidr` is empty until its cluster controller has said it. `enabled`: it takes what is new."""

    name: str
    number: int
    subnet_id: str
    subnet_cidr: str
    enabled: bool

    def id_in(self, region: str) -> str:
        return f"{region}-az{self.number}"


async def load(clc: "Clc") -> None:
    rows = await clc.store.read("SELECT name, number FROM zone ORDER BY number")
    clc.zone_numbers = {clc.settings.zone: FIRST} | {
        row["name"]: row["number"] for row in rows if row["name"] != clc.settings.zone
    }


def all_zones(clc: "Clc") -> list[Zone]:
    """The configured one first."""
    return [_zone(clc, name) for name in known_hosts.zone_names(clc)]


def find(clc: "Clc", name: str | None) -> Zone | None:
    return next((zone for zone in all_zones(clc) if zone.name == name), None)


def of_subnet(clc: "Clc", subnet_id: str) -> Zone | None:
    return next((zone for zone in all_zones(clc) if zone.subnet_id == subnet_id.lower()), None)


def subnet_id_of(clc: "Clc", name: str) -> str:
    """Also of a zone that is no longer there."""
    number = clc.zone_numbers.get(name, FIRST)
    return clc.settings.subnet_id if number == FIRST else f"subnet-{number:08x}"


def new_number(clc: "Clc", name: str) -> list[Statement]:
    """A row for a zone that has none yet; take it into `zone_numbers` when it is committed."""
    if name in clc.zone_numbers:
        return []
    return [insert("zone", {"name": name, "number": max(clc.zone_numbers.values(), default=FIRST) + 1})]


def settings_of(clc: "Clc", host: Host) -> dict[str, str]:
    """What the network of the host's zone is like, for hosts that join there: said by its cluster controller.

    Raises Unavailable while that one has not said it.
    """
    if host.zone == clc.settings.zone or host.component(f"cc@{host.zone}") is not None:
        return {}
    controller = known_hosts.with_component(clc, f"cc@{host.zone}")
    if controller is None or not controller.settings:
        raise Unavailable(
            f"The cluster controller of {host.zone} has not joined or not run yet: it comes first."
        )
    return dict(controller.settings)


def fullest(found: dict[str, Resources]) -> list[str]:
    """LeastFullFirst, the policy of 1.6.2: where most is free comes first; the earlier zone among equals."""
    return sorted(found, key=lambda name: -found[name].types[0].available)


def checked(clc: "Clc", name: str | None) -> Zone | None:
    """None where any will do. Raises InvalidParameterValue."""
    if name in ANY:
        return None
    zone = find(clc, name)
    if zone is None:
        raise InvalidParameterValue(f"Invalid availability zone: [{(name or '')[:64]}]")
    return zone


def _zone(clc: "Clc", name: str) -> Zone:
    cidr = clc.settings.subnet_cidr
    if name != clc.settings.zone:
        controller = known_hosts.with_component(clc, f"cc@{name}")
        told = controller.settings.get("network.private_subnet", "") if controller else ""
        cidr = base.decode(told, str) if told else ""
    enabled = known_hosts.state_of(clc, f"cc@{name}") is ComponentState.ENABLED
    return Zone(name, clc.zone_numbers.get(name, FIRST), subnet_id_of(clc, name), cidr, enabled)
