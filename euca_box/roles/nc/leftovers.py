"""What carries our marks and belongs to no instance: left by a crash between two lines, or a failed removal.

Domains, ports, addresses and sockets of nobody are taken away, and copies of disks that nobody makes.
A disk is taken away only when its instance was terminated here: of one that this node never heard of the row
may be lost, and then the disk is all there is. The ledger remembers what was found and what was done.
"""

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from euca_box.messages.base import Call
from euca_box.messages.cc import Leftover, Leftovers
from euca_box.messages.nc import NcDescribeLeftovers
from euca_box.roles.nc import addresses, checkpoint
from euca_box.store.store import Statement

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc

log = logging.getLogger(__name__)

LEDGER_LINES = 1000
REMOVED, KEPT = "removed", "kept"
_INSTANCE_ID = re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})")


async def describe_leftovers(nc: "Nc", call: Call, op: NcDescribeLeftovers) -> Leftovers:
    rows = await nc.store.read("SELECT at, kind, name, deed FROM leftover ORDER BY id DESC")
    return Leftovers(tuple(Leftover(nc.address, r["at"], r["kind"], r["name"], r["deed"]) for r in rows))


async def sweep(nc: "Nc") -> None:
    """Raises NetError, KvmError, OSError, StoreError; what was not reached comes next time."""
    for domain in await nc.hypervisor.domains():
        if domain.labels.get("instance") == domain.name and not _lives(nc, domain.name):
            await nc.hypervisor.destroy(domain.name)
            await _note(nc, "domain", domain.name, REMOVED)
    for port in await nc.network.ports():
        if not _lives(nc, port.instance_id):
            await nc.network.unplug(port.instance_id)
            await _note(nc, "port", port.instance_id, REMOVED)
    await addresses.settle(nc)
    for path in (nc.settings.run_folder, nc.settings.run_folder / "consoles"):
        for folder in _of_nobody(nc, path):
            await nc.workbench.remove(folder)
            await _note(nc, "sockets", folder.name, REMOVED)
    for folder in nc.workbench.folders(nc.settings.folder / "imaging"):
        if folder.name not in nc.imaging:
            await nc.workbench.remove(folder)
            await _note(nc, "copy", folder.name, REMOVED)
    for folder in _of_nobody(nc, nc.settings.folder / "instances"):
        if folder.name in nc.tombstones:
            await nc.workbench.remove(folder)
            await _note(nc, "disk", folder.name, REMOVED)
        elif folder.name not in nc.kept_disks:
            nc.kept_disks.add(folder.name)
            await _note(nc, "disk", f"{folder.name}{_owner(folder)}", KEPT)


def _lives(nc: "Nc", instance_id: str) -> bool:
    resident = nc.residents.get(instance_id)
    return resident is not None and resident.gone_at is None


def _of_nobody(nc: "Nc", path: Path) -> Iterable[Path]:
    for folder in nc.workbench.folders(path):
        if _INSTANCE_ID.fullmatch(folder.name) and not _lives(nc, folder.name):
            yield folder


def _owner(folder: Path) -> str:
    found = checkpoint.read(folder)
    return f" of account {found.get('account')}" if found else ""


async def _note(nc: "Nc", kind: str, name: str, deed: str) -> None:
    log.warning("the %s of %s belongs to no instance here; %s", kind, name, deed)
    await nc.store.write(
        Statement(
            "INSERT INTO leftover (at, kind, name, deed) VALUES (?, ?, ?, ?)", (nc.now(), kind, name, deed)
        ),
        Statement("DELETE FROM leftover WHERE id <= (SELECT max(id) FROM leftover) - ?", (LEDGER_LINES,)),
    )
