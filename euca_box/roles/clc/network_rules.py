"""What the network mode of the zone does not have is refused: nothing is accepted that would not happen."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from euca_box.model.errors import UnsupportedOperation
from euca_box.model.network_modes import MODES, NetworkMode

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


def mode_of(clc: "Clc") -> NetworkMode:
    return MODES[clc.settings.network_mode]


def need_public_addresses(clc: "Clc") -> None:
    """Raises UnsupportedOperation."""
    if not (mode := mode_of(clc)).public:
        raise UnsupportedOperation(f"There are no public addresses in network mode {mode.name}.")


def need_groups(clc: "Clc") -> None:
    """Raises UnsupportedOperation."""
    if not (mode := mode_of(clc)).groups:
        raise UnsupportedOperation(
            f"Security groups are not enforced in network mode {mode.name}, so they have no rules."
        )


def check_groups(clc: "Clc", group_ids: Collection[str], current: Collection[str] | None = None) -> None:
    """`current`: those of an instance that exists. Raises UnsupportedOperation."""
    mode = mode_of(clc)
    if not mode.network_for_each_group:
        return
    if len(group_ids) != 1:
        raise UnsupportedOperation(f"In network mode {mode.name} an instance has exactly one security group.")
    if current is not None and set(current) != set(group_ids):
        raise UnsupportedOperation(
            f"In network mode {mode.name} an instance keeps its security group, which is its network."
        )


def wants_public(clc: "Clc", addressing_type: str | None) -> bool:
    """Whether an instance shall have an automatic public address. Raises UnsupportedOperation."""
    if addressing_type == "public":
        need_public_addresses(clc)
        return True
    asked = clc.settings.automatic_public_addresses and addressing_type != "private"
    return asked and mode_of(clc).public
