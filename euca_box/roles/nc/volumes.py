"""Volumes of the instances of this node: what is plugged in is made to agree with what the spec says.

A row says which volumes an instance holds before the storage controller is asked for one, so that all are
given back after a crash, too.
"""

import logging
import string
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from euca_box.blockstore.engine import EngineError, RemoteConnection
from euca_box.kvm.hypervisor import Disk, KvmError
from euca_box.messages.base import system_call
from euca_box.messages.instance_spec import InstanceSpec
from euca_box.messages.sc import ScExportVolume, ScUnexportVolume, VolumeConnection
from euca_box.model.ec2_errors import IncorrectInstanceState
from euca_box.model.errors import EucaError, ServerFault, Unavailable
from euca_box.model.volumes import VolumeReport, VolumeWish
from euca_box.observe.failpoints import fp

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc, Resident

log = logging.getLogger(__name__)

ROOT_TARGET = "vda"  # the firmware boots it, kernels are told to mount it
BUSY_SECONDS = 15.0  # a guest that has not let go of a volume by then is busy with it
ASK_AGAIN_SECONDS = 5.0
RETRY_SECONDS = 2.0
RELAY_SECONDS = 1.0
TARGETS = tuple(f"vd{first}{letter}" for first in ("", "a") for letter in string.ascii_lowercase)[1:]
LONGEST_SERIAL = 20  # characters, VIRTIO_BLK_ID_BYTES
NOT_LET_GO = "the guest does not let go of it"


def serial_of(volume_id: str) -> str:
    """By which the guest knows the volume: its id, without the dash where that is too long, as on AWS."""
    return volume_id if len(volume_id) <= LONGEST_SERIAL else volume_id.replace("-", "")


async def settle(nc: "Nc", instance_id: str) -> bool:
    """One step towards the volumes that a running instance shall have; True when it has them."""
    resident = nc.residents[instance_id]
    if not resident.held and not resident.spec.volumes:
        return True
    try:
        here = await nc.hypervisor.disks(instance_id)
    except KvmError as error:
        log.warning("%s: its disks are not known: %s", instance_id, error)
        return False
    wanted = {wish.volume_id: wish for wish in resident.spec.volumes}
    settled = True
    for held in resident.held:
        if wanted.get(held.volume_id) != held:
            settled &= await _detach(nc, instance_id, held, here)
    for wish in wanted.values():
        settled &= await _attach(nc, instance_id, wish, here)
    return settled


async def disks_for_start(nc: "Nc", instance_id: str, own: tuple[Disk, ...]) -> tuple[Disk, ...]:
    """All disks of an instance that is about to start: root, its own ones, volumes. Raises EucaError."""
    spec = nc.residents[instance_id].spec
    root = [wish for wish in spec.volumes if is_root(spec, wish)]
    if spec.boots_from_volume and not root:
        raise IncorrectInstanceState(f"it has no volume at {spec.root_device_name}, its root")
    taken = {disk.target for disk in own} | {ROOT_TARGET}
    found = []
    for wish in spec.volumes:
        disk = await _awaited(nc, instance_id, wish, taken)
        taken.add(disk.target)
        found.append(disk)
        _tell(nc, instance_id, VolumeReport(wish.volume_id, wish.number, "attached"))
    return (
        *(d for d in found if d.target == ROOT_TARGET),
        *own,
        *(d for d in found if d.target != ROOT_TARGET),
    )


def is_root(spec: InstanceSpec, wish: VolumeWish) -> bool:
    return spec.boots_from_volume and wish.device == spec.root_device_name


async def release(nc: "Nc", instance_id: str) -> None:
    """Give back the volumes of an instance whose domain is gone.

    A storage controller that does not answer keeps nobody from ending: what is exported to nobody it hears
    from the CLC, and a newer attachment cuts off the older one.
    """
    resident = nc.residents[instance_id]
    for held in resident.held:
        try:
            await _give_back(nc, resident, held)
        except EucaError as error:
            log.warning("%s of %s was not given back: %s", held.volume_id, instance_id, error.message)
    if resident.held:
        await nc.mark(instance_id, held=())
    nc.volume_reports.pop(instance_id, None)


def reports(nc: "Nc", resident: "Resident") -> tuple[VolumeReport, ...]:
    """How each volume is that it shall have or still has."""
    known = nc.volume_reports.get(resident.spec.instance_id, {})
    found = {}
    for held in resident.held:
        found[held.volume_id] = VolumeReport(held.volume_id, held.number, "detaching")
    for wish in resident.spec.volumes:
        found[wish.volume_id] = VolumeReport(wish.volume_id, wish.number, "attaching")
    for report in known.values():
        there = found.get(report.volume_id)
        if there is not None and there.number == report.number and _fits(there, report):
            found[report.volume_id] = report
    return tuple(found.values())


def _fits(expected: VolumeReport, known: VolumeReport) -> bool:
    coming = ("attaching", "attached")
    return (expected.state in coming) == (known.state in coming)


async def _attach(nc: "Nc", instance_id: str, wish: VolumeWish, here: dict[str, str]) -> bool:
    resident = nc.residents[instance_id]
    serial = serial_of(wish.volume_id)
    if wish in resident.held and serial in here:
        _tell(nc, instance_id, VolumeReport(wish.volume_id, wish.number, "attached"))
        return await _grow(nc, instance_id, wish, serial)
    if serial in here or any(held.volume_id == wish.volume_id and held != wish for held in resident.held):
        return False  # an earlier attachment of it has still to go
    try:
        disk = await _exported(nc, instance_id, wish, set(here.values()))
        fp("nc.attach.after-export")
        await nc.hypervisor.attach_disk(instance_id, disk)
    except EucaError as error:
        return _not_yet(nc, instance_id, wish, error.message)
    except KvmError as error:
        log.warning("%s is not plugged into %s: %s", wish.volume_id, instance_id, error)
        return _not_yet(nc, instance_id, wish, "the virtual machine does not take it")
    fp("nc.attach.after-plug")
    here[serial] = disk.target
    _tell(nc, instance_id, VolumeReport(wish.volume_id, wish.number, "attached"))
    log.info("%s is attached to %s", wish.volume_id, instance_id)
    return True


async def _grow(nc: "Nc", instance_id: str, wish: VolumeWish, serial: str) -> bool:
    """Have the guest see that the volume is larger than it was when it was plugged in."""
    held = nc.residents[instance_id].held
    if any(h == wish and h.size_gib >= wish.size_gib for h in held):
        return True
    try:
        if nc.relay is not None:
            await nc.relay.renew(wish.volume_id, wish.size_gib)
        await nc.hypervisor.resize_disk(instance_id, serial, wish.size_gib << 30)
    except (KvmError, EngineError) as error:
        log.info("%s does not see yet that %s has grown: %s", instance_id, wish.volume_id, error)
        return False
    fp("nc.grow.after-resize")
    await nc.mark(instance_id, held=tuple(wish if h == wish else h for h in held))
    log.info("%s has %d GiB in %s", wish.volume_id, wish.size_gib, instance_id)
    return True


async def _detach(nc: "Nc", instance_id: str, held: VolumeWish, here: dict[str, str]) -> bool:
    """Ask the guest, look whether it has let go, and give the volume back when it has."""
    known = nc.volume_reports.setdefault(instance_id, {}).get(held.volume_id)
    serial = serial_of(held.volume_id)
    try:
        if serial in here:
            since = nc.detaching.setdefault((instance_id, held.volume_id), (nc.now(), 0.0))
            if nc.now() - since[1] >= ASK_AGAIN_SECONDS:
                nc.detaching[instance_id, held.volume_id] = since[0], nc.now()
                await nc.hypervisor.detach_disk(instance_id, serial)
                here = await nc.hypervisor.disks(instance_id)
            if serial in here:
                is_late = nc.now() - since[0] > BUSY_SECONDS
                state = VolumeReport(
                    held.volume_id, held.number, "busy" if is_late else "detaching", NOT_LET_GO
                )
                if known is None or known.state != "busy":
                    _tell(nc, instance_id, state)
                return False
        fp("nc.detach.after-unplug")
        await _give_back(nc, nc.residents[instance_id], held)
    except (EucaError, KvmError) as error:
        log.warning("%s is not detached from %s: %s", held.volume_id, instance_id, error)
        return False
    nc.detaching.pop((instance_id, held.volume_id), None)
    nc.volume_reports[instance_id].pop(held.volume_id, None)
    rest = tuple(h for h in nc.residents[instance_id].held if h != held)
    await nc.mark(instance_id, held=rest)
    fp("nc.detach.after-commit")
    log.info("%s is detached from %s", held.volume_id, instance_id)
    return True


async def _awaited(nc: "Nc", instance_id: str, wish: VolumeWish, taken: set[str]) -> Disk:
    """A storage controller that is away is waited for: the wish to start has a deadline above. Raises
    ClientFault."""
    while True:
        try:
            return await _exported(nc, instance_id, wish, taken)
        except ServerFault as error:
            nc.step(instance_id, f"waits for {wish.volume_id}: {error.message}")
            await trio.sleep(RETRY_SECONDS)


async def _exported(nc: "Nc", instance_id: str, wish: VolumeWish, taken: set[str]) -> Disk:
    """Raises EucaError."""
    resident = nc.residents[instance_id]
    if wish not in resident.held:
        others = tuple(h for h in resident.held if h.volume_id != wish.volume_id)
        await nc.mark(instance_id, held=(*others, wish))
        fp("nc.attach.after-commit")
    uid = resident.uid if resident.uid is not None else nc.workbench.qemu_user()
    request = await nc.relay.request(wish.volume_id) if nc.relay is not None else ""
    op = ScExportVolume(wish.volume_id, wish.number, uid, nc.settings.host, wish.ticket, request)
    found = await nc.bus.ask(nc.sc_of(resident.spec), op, system_call(f"attach-{wish.volume_id}"))
    if found.address:
        found = await _relayed(nc, wish, found, uid)
        fp("nc.attach.after-relay")
    is_first = is_root(resident.spec, wish)
    target = ROOT_TARGET if is_first else next(name for name in TARGETS if name not in taken)
    return Disk(Path(found.socket), "raw", target, serial_of(wish.volume_id), export=found.export)


async def _relayed(nc: "Nc", wish: VolumeWish, found: VolumeConnection, uid: int | None) -> VolumeConnection:
    """By a storage daemon here. Raises Unavailable."""
    if nc.relay is None:
        raise Unavailable(f"{wish.volume_id} is on another host, and there is no storage daemon here.")
    there = RemoteConnection(found.address, found.port, found.export, found.authority, found.certificate)
    try:
        here = await nc.relay.connect(wish.volume_id, wish.number, there, uid)
    except EngineError as error:
        raise Unavailable(f"{wish.volume_id} is out of reach: {error}") from error
    return VolumeConnection(str(here.socket), here.export)


async def keep_relays(nc: "Nc") -> None:
    """Storage daemons between guests here and volumes elsewhere: what died comes back."""
    while True:
        if nc.relay is not None:
            for sentence in await nc.relay.keep():
                log.warning("%s", sentence)
        await trio.sleep(RELAY_SECONDS)


async def _give_back(nc: "Nc", resident: "Resident", held: VolumeWish) -> None:
    if nc.relay is not None:
        try:
            await nc.relay.disconnect(held.volume_id)
        except (EngineError, OSError) as error:
            raise Unavailable(f"{held.volume_id} is not let go of: {error}") from error
    op = ScUnexportVolume(held.volume_id, held.number, ticket=held.ticket)
    await nc.bus.ask(nc.sc_of(resident.spec), op, system_call(f"detach-{held.volume_id}"))


def _not_yet(nc: "Nc", instance_id: str, wish: VolumeWish, reason: str) -> bool:
    _tell(nc, instance_id, VolumeReport(wish.volume_id, wish.number, "attaching", reason))
    return False


def _tell(nc: "Nc", instance_id: str, report: VolumeReport) -> None:
    known = nc.volume_reports.setdefault(instance_id, {})
    if known.get(report.volume_id) != report:
        known[report.volume_id] = report
        nc.changed()
