"""The checkpoint file of an instance's folder: whose folder it is, for whoever finds it without its row.

Eucalyptus 1.6.2 adopted guests by such a file (`instance-checkpoint`). Here the row decides what runs; the
file lets the operator tell what a disk was, when the database is lost.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc, Resident

NAME = "instance-checkpoint"
LONGEST = 4096


def write(nc: "Nc", resident: "Resident") -> None:
    """Before anything else is put into the folder. Nothing secret: no user data, no keys."""
    spec, where = resident.spec, resident.placement
    found = {
        "instance_id": spec.instance_id,
        "account": spec.account,
        "image_id": spec.image_id,
        "image": f"{spec.image.sha256}.{spec.image.format}",
        "vm_type": spec.vm_type.name,
        "private_ip": where.private_ip,
        "launch_time": spec.launch_time,
        "disks": ["disk.qcow2", *(f"{disk.virtual_name}.raw" for disk in spec.extra_disks)],
    }
    nc.workbench.write_private(nc.folder_of(spec.instance_id) / NAME, json.dumps(found, indent=2).encode())


def read(folder: Path) -> dict[str, Any] | None:
    """What the file of this folder says, or None when there is none that can be read."""
    try:
        with (folder / NAME).open("rb") as file:
            found = json.loads(file.read(LONGEST))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("instance_id") == folder.name else None
