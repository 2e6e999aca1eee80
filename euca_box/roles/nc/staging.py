"""The steps between a wish and a running domain, and back to nothing; each may be repeated."""

import errno
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from euca_box.images.download import DownloadError
from euca_box.images.inject import InjectError
from euca_box.kvm.firmware import Firmware
from euca_box.kvm.hypervisor import Disk, DomainExists, KvmError, Machine, Nic
from euca_box.model import ids
from euca_box.model.errors import EucaError
from euca_box.model.instance_names import InstanceNames
from euca_box.model.instances import Reason, server_error
from euca_box.net.network import NetError, Port, device_of
from euca_box.observe.failpoints import fp
from euca_box.roles.nc import checkpoint, consoles, moves, volumes
from euca_box.roles.nc.cache import CacheError
from euca_box.roles.nc.workbench import DiskKind

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc, Resident

log = logging.getLogger(__name__)

GIB, MIB = 1024**3, 1024**2
# Linux counts some timer ticks and panics when they come late, as on a busy host without KVM. Under KVM
# it does not look ("no_timer_check" in Documentation/admin-guide/kernel-parameters.txt).
COMMAND_LINE = "root=/dev/vda console=ttyS0 no_timer_check"
KEYED = "root-with-key.raw"
EXTRA_TARGETS = ("vdb", "vdc")
LONGEST_SERIAL = 20  # characters, VIRTIO_BLK_ID_BYTES
NO_FIRMWARE = "its image boots by UEFI, and the node has no firmware for that (Debian's package ovmf)"
DISK_FULL = "the disk of the node is full"


class NoFirmware(Exception):
    """The node cannot boot the image; the text says why, for the user."""


async def start(nc: "Nc", resident: "Resident") -> None:
    """Fetch, make the disk, plug in, start. Raises what a step raises; `reason_of` puts it into words."""
    spec = resident.spec
    instance_id = spec.instance_id
    base = None
    if not spec.boots_from_volume:
        nc.step(instance_id, f"fetches its image {spec.image.location}")
        base = await nc.cache.get(spec.image)
    kernel = await nc.cache.get(spec.kernel) if spec.kernel else None
    ramdisk = await nc.cache.get(spec.ramdisk) if spec.ramdisk else None
    fp("nc.start.after-fetch")
    nc.step(instance_id, "makes its disk")
    disks = await _disks(nc, resident, base)
    fp("nc.start.after-disk")
    if spec.volumes or spec.boots_from_volume:
        nc.step(instance_id, "gets its volumes")
        disks = await volumes.disks_for_start(nc, instance_id, disks)
    nc.step(instance_id, "is plugged into the network")
    await plug(nc, resident)
    fp("nc.start.after-plug")
    nc.step(instance_id, "starts")
    await _create(nc, resident, disks, kernel, ramdisk)
    fp("nc.start.after-create")
    await nc.mark(instance_id, started=True, launched=True)
    fp("nc.start.after-commit")
    nc.ends.pop(instance_id, None)
    nc.running.add(instance_id)
    nc.seen_running.add(instance_id)
    nc.steps.pop(instance_id, None)
    log.info("%s runs", instance_id)


async def plug(nc: "Nc", resident: "Resident") -> None:
    """Network and public address, as they should be."""
    where = resident.placement
    await nc.network.plug(port_of(resident, nc.names))
    fp("nc.plug.before-address")
    if where.public_ip is not None:
        await nc.network.assign_public(where.public_ip, where.private_ip)


async def finish(nc: "Nc", resident: "Resident") -> None:
    """Leave nothing: domain, tap, address, files, sockets. Then the row says that it is gone."""
    instance_id = resident.spec.instance_id
    nc.step(instance_id, "is ended")
    fp("nc.finish.before-destroy")
    await nc.hypervisor.destroy(instance_id)
    nc.running.discard(instance_id)
    fp("nc.finish.after-destroy")
    await volumes.release(nc, instance_id)
    await consoles.disconnect(nc, instance_id)
    if resident.placement.public_ip is not None:
        here = await nc.network.public_addresses()
        if here.get(resident.placement.public_ip) == resident.placement.private_ip:
            await nc.network.unassign_public(resident.placement.public_ip)
    fp("nc.finish.after-address")
    await nc.network.unplug(instance_id)
    fp("nc.finish.after-unplug")
    await nc.workbench.remove(nc.folder_of(instance_id))
    fp("nc.finish.after-disk")
    await nc.workbench.remove(nc.sockets_of(instance_id))
    fp("nc.finish.before-commit")
    tombstone = moves.tombstone(nc, instance_id, resident.moved)
    await nc.mark(instance_id, tombstone, ending=True, gone_at=nc.now())
    fp("nc.finish.after-commit")
    moves.bury(nc, instance_id, resident.moved)
    nc.steps.pop(instance_id, None)
    nc.ends.pop(instance_id, None)


def reason_of(error: Exception) -> Reason:
    """A failed start, in words for the user; what is not foreseen is in the log of the node."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return server_error(DISK_FULL)
    if isinstance(error, KvmError) and "No space left" in str(error):
        return server_error(DISK_FULL)
    if isinstance(error, CacheError | DownloadError):
        return server_error(f"its image cannot be had: {error}")
    if isinstance(error, NoFirmware):
        return server_error(str(error))
    if isinstance(error, EucaError):
        return server_error(error.message)
    if isinstance(error, NetError):
        return server_error("the network of the node refused it")
    return server_error("the node could not start it")


def port_of(resident: "Resident", names: InstanceNames) -> Port:
    spec, where = resident.spec, resident.placement
    return Port(
        instance_id=spec.instance_id,
        device=device_of(spec.instance_id),
        mac=mac_of(resident),
        private_ip=where.private_ip,
        group_ids=spec.group_ids,
        hostname=names.host(where.private_ip or spec.instance_id),
        network=where.network,
        tag=where.tag,
    )


def mac_of(resident: "Resident") -> str:
    """The one that the site's map gave it, else the one of its id."""
    return resident.placement.mac or ids.mac_of(resident.spec.instance_id)


async def _disks(nc: "Nc", resident: "Resident", base: Path | None) -> tuple[Disk, ...]:
    """The overlay of this instance (none where its root is a volume) and its empty disks: those that its
    guest has used, else new ones. What is there before the first start was made by an earlier try."""
    spec = resident.spec
    folder = nc.folder_of(spec.instance_id)
    extra = [
        Disk(folder / f"{disk.virtual_name}.raw", "raw", target, disk.virtual_name)
        for disk, target in zip(spec.extra_disks, EXTRA_TARGETS[: len(spec.extra_disks)], strict=True)
    ]
    if not resident.launched:
        nc.workbench.make_folder(folder.parent)
        await nc.workbench.remove(folder)
        nc.workbench.make_folder(folder)
        checkpoint.write(nc, resident)
        fp("nc.disk.after-folder")
    root = () if base is None else (await _root(nc, resident, base),)
    if resident.launched:
        return (*root, *extra)
    for disk, made in zip(spec.extra_disks, extra, strict=True):
        kind: DiskKind = "swap" if disk.virtual_name == "swap" else "ext4"
        await nc.workbench.create_formatted(
            made.path, disk.size_mib * MIB, kind, disk.virtual_name, resident.uid
        )
    return (*root, *extra)


async def _root(nc: "Nc", resident: "Resident", base: Path) -> Disk:
    spec = resident.spec
    folder = nc.folder_of(spec.instance_id)
    base_format = cast(Literal["raw", "qcow2"], spec.image.format)
    path = folder / "disk.qcow2"
    root = Disk(path, "qcow2", "vda", f"{spec.instance_id}-root"[-LONGEST_SERIAL:], ((base, base_format),))
    if resident.launched:
        return replace(root, backing=((folder / KEYED, base_format),)) if resident.keyed else root
    if await _keyed(nc, resident, base, folder / KEYED):
        base = folder / KEYED
        root = replace(root, backing=((base, base_format),))
    await nc.workbench.create_overlay(path, base, base_format, spec.vm_type.disk_gib * GIB, resident.uid)
    return root


async def _keyed(nc: "Nc", resident: "Resident", image: Path, copy: Path) -> bool:
    """Make a copy of a root file system with the SSH key in it, where the node does that.

    That it cannot be done is no reason not to start, as in 1.6.2: the image may ask the metadata.
    """
    spec = resident.spec
    wanted = nc.settings.inject_keys and spec.public_key and spec.image.format == "raw"
    done = False
    if wanted and not spec.image.bootable:
        try:
            await nc.workbench.copy_with_key(image, copy, spec.public_key, resident.uid)
            done = True
        except InjectError as error:
            log.warning("%s starts without its SSH key in %s: %s", spec.instance_id, spec.image_id, error)
    if resident.keyed != done:
        await nc.mark(spec.instance_id, keyed=done)
    return done


def _firmware(nc: "Nc", resident: "Resident") -> Firmware | None:
    """What its boot mode wants. Raises NoFirmware."""
    spec = resident.spec
    if spec.boot_mode not in ("uefi", "uefi-preferred"):
        return None
    found = nc.workbench.uefi(nc.folder_of(spec.instance_id) / "uefi-variables.fd", resident.uid)
    if found is None and spec.boot_mode == "uefi":
        raise NoFirmware(NO_FIRMWARE)
    return found


async def _create(
    nc: "Nc", resident: "Resident", disks: tuple[Disk, ...], kernel: Path | None, ramdisk: Path | None
) -> None:
    spec = resident.spec
    sockets = nc.sockets_of(spec.instance_id)
    nc.workbench.make_qemu_folder(sockets, resident.uid)
    machine = Machine(
        name=spec.instance_id,
        uuid=uuid_of(spec.instance_id),
        vcpus=spec.vm_type.cpu,
        memory_mib=spec.vm_type.memory_mib,
        disks=disks,
        nics=(Nic(device_of(spec.instance_id), mac_of(resident)),),
        serial_socket=sockets / "serial.sock",
        vnc_socket=sockets / "vnc.sock",
        kernel=kernel,
        ramdisk=ramdisk,
        cmdline=COMMAND_LINE if kernel else "",
        uefi=_firmware(nc, resident),
        uid=resident.uid,
        labels={"account": spec.account, "instance": spec.instance_id},
    )

    async def before_start() -> None:
        await consoles.connect(nc, spec.instance_id, fresh=True)
        fp("nc.start.before-resume")

    try:
        await nc.hypervisor.create(machine, before_start=before_start)
    except DomainExists:
        # An earlier process made it and died, perhaps before it let the guest run.
        log.info("%s is there already; adopted", spec.instance_id)
        await consoles.connect(nc, spec.instance_id)
        await nc.hypervisor.resume(spec.instance_id)


def uuid_of(instance_id: str) -> str:
    """A UUID that begins with ec2, by which cloud-init knows where it is; the rest is the instance id."""
    digits = instance_id.partition("-")[2].rjust(ids.DIGITS, "0")
    rest = digits if len(digits) == ids.DIGITS else digits[5:]
    return f"ec2{digits[:5]}-{digits[5:8]}0-4000-8000-{rest.rjust(12, '0')}"
