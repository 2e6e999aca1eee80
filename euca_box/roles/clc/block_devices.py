"""Block device mappings of RunInstances: which disks an instance has beside its root, and their names.

A VM type gives up to two, empty and formatted: ephemeral0 and swap. A mapping renames one or leaves it out.
As on AWS, a mapping of an ephemeral disk that the VM type does not have is no error and gives none.
"""

import re
from collections.abc import Iterable

from euca_box.messages.ec2_instances import BlockDeviceMapping
from euca_box.model.ec2_errors import InvalidBlockDeviceMapping
from euca_box.model.images import ImageVolume
from euca_box.model.instances import ExtraDisk, VmType

# cloud-init takes sdb for vdb; 1.6.2 wrote sda2 and sda3, which a mapping may still say.
DEVICES = {"ephemeral0": "/dev/sdb", "swap": "/dev/sdc"}
OLD_NAMES = {"ephemeral": "ephemeral0"}
ROOT_NAMES = ("ami", "emi", "root")
_DEVICE = re.compile(r"(?:/dev/)?((?:sd|xvd|vd|hd)[a-z][0-9]{0,2})")
_VIRTUAL = re.compile(r"ephemeral[0-9]{1,2}")


def extra_disks(
    vm_type: VmType,
    mappings: Iterable[BlockDeviceMapping],
    root_device_name: str,
    volumes: Iterable[ImageVolume] = (),
) -> tuple[ExtraDisk, ...]:
    """Beside these volumes, which keep their places. Raises InvalidBlockDeviceMapping."""
    taken = {volume.device for volume in volumes}
    sizes = {"ephemeral0": vm_type.ephemeral_gib * 1024, "swap": vm_type.swap_mib}
    devices = {name: DEVICES[name] for name, size_mib in sizes.items() if size_mib}
    named: dict[str, str] = {}
    left_out: set[str] = set()
    for mapping in mappings:
        device = _device(mapping)
        if mapping.no_device is not None:
            left_out.add(device)
        elif mapping.ebs is None and (name := _virtual_name(mapping, device, root_device_name)) in devices:
            named[name] = device
    devices = {name: device for name, device in devices.items() if device not in left_out} | named
    # A disk of the VM type makes room for a volume that was asked for at its place.
    devices = {name: device for name, device in devices.items() if name in named or device not in taken}
    _check_devices([*{root_device_name, *taken}, *devices.values()])
    return tuple(ExtraDisk(name, device, sizes[name]) for name, device in devices.items())


def devices_of(mappings: Iterable[BlockDeviceMapping]) -> list[tuple[str, BlockDeviceMapping]]:
    """Each with its device as it is written everywhere. Raises InvalidBlockDeviceMapping."""
    found = [(_device(mapping), mapping) for mapping in mappings]
    _check_devices([device for device, _ in found])
    return found


def plain(device: str) -> str:
    """As it is written everywhere: with /dev/. Raises InvalidBlockDeviceMapping."""
    return _device(BlockDeviceMapping(device))


def _device(mapping: BlockDeviceMapping) -> str:
    match = _DEVICE.fullmatch(mapping.device_name or "")
    if match is None:
        raise InvalidBlockDeviceMapping(f"'{(mapping.device_name or '')[:64]}' is no name of a device.")
    return f"/dev/{match[1]}"


def _virtual_name(mapping: BlockDeviceMapping, device: str, root_device_name: str) -> str:
    name = OLD_NAMES.get(mapping.virtual_name or "", mapping.virtual_name or "")
    if name in ROOT_NAMES and device == root_device_name:
        return name
    if name != "swap" and not _VIRTUAL.fullmatch(name):
        raise InvalidBlockDeviceMapping(
            f"'{name[:64]}' at {device} is not one of ephemeral0, swap, nor a volume."
        )
    return name


def _check_devices(devices: list[str]) -> None:
    for device in devices:
        if devices.count(device) > 1:
            raise InvalidBlockDeviceMapping(f"{device} is named twice.")
