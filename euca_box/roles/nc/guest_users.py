"""The user that an instance's QEMU runs as: one of its own. A guest that breaks out finds no other's disk.

The numbers are of no account of the host (systemd, UIDS-GIDS.md: unused from 1879048192 on). They follow from
the instance id, so that none comes back soon.
"""

from typing import TYPE_CHECKING

from euca_box.model import ids

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc

SPAN = 1 << 27


def choose_uid(nc: "Nc", instance_id: str) -> int | None:
    """None: it runs as the one user that all have."""
    if not nc.settings.first_uid:
        return None
    taken = {resident.uid for resident in nc.residents.values()}
    digits = int(ids.wire_digits(instance_id), 16)
    while (uid := nc.settings.first_uid + digits % SPAN) in taken:
        digits += 1
    return uid
