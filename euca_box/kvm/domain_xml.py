"""Turns a Machine into libvirt's domain XML, and reads our labels back out of it. Pure: text in, text out.

Reference: libvirt 9.0, formatdomain. Every disk names its format and its whole backing chain: QEMU never
probes.
"""

from collections.abc import Mapping
from pathlib import Path

from lxml import etree

from euca_box.kvm.accelerator import Accelerator
from euca_box.kvm.hypervisor import Disk, KvmError, Machine, Nic

NAMESPACE = "https://euca-box.org/xmlns/domain/1"
MACHINE_TYPE = "pc"
UEFI_MACHINE_TYPE = "q35"  # PCI Express, as the instances of EC2 that boot by UEFI have it
# QEMU's cache of translated code; without a limit a guest of 128 MiB took 354 MB (TCG only).
TCG_CACHE_MIB = 32
SPARE_PORTS = 24  # for disks that are attached while a q35 guest runs, beside those it starts with
SOCKET_PATH_BYTES = 107  # sun_path of unix(7), less the final NUL
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)


def domain_xml(machine: Machine, accelerator: Accelerator, group: int | None = None) -> str:
    """`group` is that of a QEMU with a user of its own, where it is another: the one that opens /dev/kvm.

    Raises KvmError for what XML or a socket address cannot hold (control characters, long paths).
    """
    _check_sockets(machine)
    try:
        root = _domain(machine, accelerator)
        if machine.uid is not None:
            root.append(_user(machine.uid, machine.uid if group is None else group))
    except ValueError as error:
        raise KvmError(f"{machine.name}: a name, path or label cannot be written as XML: {error}") from error
    etree.indent(root)
    return etree.tostring(root, encoding="unicode") + "\n"


def labels_of(xml: str) -> Mapping[str, str] | None:
    """The labels that domain_xml() wrote; None for a domain that is not ours."""
    ours = etree.fromstring(xml.encode(), _PARSER).find(f"metadata/{{{NAMESPACE}}}labels")
    if ours is None:
        return None
    found = ours.findall(f"{{{NAMESPACE}}}label")
    return {label.get("name", ""): label.get("value", "") for label in found}


def backup_xml(target: Path) -> str:
    """For virDomainBackupBegin: a full copy of the first disk into a qcow2 file (libvirt, formatbackup)."""
    disk = _element(
        "disk",
        _element("driver", type="qcow2"),
        _element("target", file=str(target)),
        name="vda",
        type="file",
    )
    root = _element("domainbackup", _element("disks", disk), mode="push")
    return etree.tostring(root, encoding="unicode")


def disk_xml(disk: Disk) -> str:
    """For virDomainAttachDevice."""
    return etree.tostring(_disk(disk), encoding="unicode")


def disk_elements(xml: str) -> dict[str, tuple[str, str]]:
    """Serial -> target and the element as it stands in the XML of a domain that runs."""
    found = {}
    for disk in etree.fromstring(xml.encode(), _PARSER).iterfind("devices/disk"):
        serial, target = disk.findtext("serial"), disk.find("target")
        if serial and target is not None:
            text = etree.tostring(disk, encoding="unicode", with_tail=False)
            found[serial] = target.get("dev", ""), text
    return found


def _domain(machine: Machine, accelerator: Accelerator) -> etree._Element:
    return _element(
        "domain",
        _element("name", machine.name),
        _element("uuid", machine.uuid),
        _metadata(machine.labels),
        _element("memory", str(machine.memory_mib), unit="MiB"),
        _element("vcpu", str(machine.vcpus)),
        _sysinfo(machine.uuid),
        _os(machine),
        _features(accelerator),
        _element("cpu", mode="host-passthrough" if accelerator.name == "kvm" else "maximum"),
        _element("clock", offset="utc"),
        _element("on_poweroff", "destroy"),
        _element("on_reboot", "restart"),
        _element("on_crash", "destroy"),
        _devices(machine),
        type="kvm" if accelerator.name == "kvm" else "qemu",
    )


def _user(uid: int, gid: int) -> etree._Element:
    # The numbers only: what belongs to whom is for the node controller to say.
    label = _element("label", f"+{uid}:+{gid}")
    return _element("seclabel", label, type="static", model="dac", relabel="no")


def _element(tag: str, *content: etree._Element | str, **attributes: str) -> etree._Element:
    element = etree.Element(tag, attributes)
    for part in content:
        if isinstance(part, str):
            element.text = part
        else:
            element.append(part)
    return element


def _metadata(labels: Mapping[str, str]) -> etree._Element:
    ours = etree.Element(f"{{{NAMESPACE}}}labels", nsmap={"euca": NAMESPACE})
    for name, value in labels.items():
        etree.SubElement(ours, f"{{{NAMESPACE}}}label", name=name, value=value)
    return _element("metadata", ours)


def _sysinfo(uuid: str) -> etree._Element:
    # Guests find EC2 by a system UUID and serial number that begin with "ec2" (EC2 User Guide,
    # identify instances).
    entries = [_element("entry", uuid, name="uuid"), _element("entry", uuid, name="serial")]
    maker = [
        _element("entry", "euca-box", name="manufacturer"),
        _element("entry", "EC2 compatible instance", name="product"),
    ]
    return _element("sysinfo", _element("system", *maker, *entries), type="smbios")


def _os(machine: Machine) -> etree._Element:
    machine_type = UEFI_MACHINE_TYPE if machine.uefi is not None else MACHINE_TYPE
    parts = [_element("type", "hvm", arch="x86_64", machine=machine_type)]
    if machine.uefi is not None:
        parts.append(_element("loader", str(machine.uefi.code), readonly="yes", type="pflash"))
        parts.append(_element("nvram", str(machine.uefi.variables)))
    if machine.kernel is not None:
        parts.append(_element("kernel", str(machine.kernel)))
        parts += [_element("initrd", str(machine.ramdisk))] if machine.ramdisk is not None else []
        parts += [_element("cmdline", machine.cmdline)] if machine.cmdline else []
    else:
        parts.append(_element("boot", dev="hd"))
    return _element("os", *parts, _element("smbios", mode="sysinfo"))


def _features(accelerator: Accelerator) -> etree._Element:
    features = _element("features", _element("acpi"), _element("apic"))
    if accelerator.name == "tcg":
        features.append(_element("tcg", _element("tb-cache", str(TCG_CACHE_MIB), unit="MiB")))
    return features


def _devices(machine: Machine) -> etree._Element:
    serial = _element("source", mode="bind", path=str(machine.serial_socket))
    return _element(
        "devices",
        *(_spare_ports() if machine.uefi is not None else ()),
        *(_disk(disk) for disk in machine.disks),
        *(_nic(nic) for nic in machine.nics),
        _element("controller", type="usb", model="none"),
        _element("serial", serial, _element("target", port="0"), type="unix"),
        _element("graphics", _element("listen", type="socket", socket=str(machine.vnc_socket)), type="vnc"),
        _element("video", _element("model", type="vga", vram="2048")),
        _element("audio", id="1", type="none"),
        _element("memballoon", model="virtio"),
        _element("rng", _element("backend", "/dev/urandom", model="random"), model="virtio"),
    )


def _spare_ports() -> list[etree._Element]:
    """q35 takes a device that comes later only in a port that was there at the start; pc has free slots."""
    root = _element("controller", type="pci", index="0", model="pcie-root")
    return [root, *(_element("controller", type="pci", model="pcie-root-port") for _ in range(SPARE_PORTS))]


def _disk(disk: Disk) -> etree._Element:
    if disk.export:
        return _exported(disk)
    return _element(
        "disk",
        _element(
            "driver", name="qemu", type=disk.format, cache="writeback", discard="unmap", error_policy="stop"
        ),
        _element("source", file=str(disk.path)),
        _backing(disk),
        _element("target", dev=disk.target, bus="virtio"),
        _element("serial", disk.serial),
        type="file",
        device="disk",
    )


def _exported(disk: Disk) -> etree._Element:
    host = _element("host", transport="unix", socket=str(disk.path))
    return _element(
        "disk",
        _element("driver", name="qemu", type="raw", cache="none", discard="unmap", error_policy="stop"),
        _element("source", host, protocol="nbd", name=disk.export),
        _element("target", dev=disk.target, bus="virtio"),
        _element("serial", disk.serial),
        type="network",
        device="disk",
    )


def _backing(disk: Disk) -> etree._Element:
    # An empty <backingStore/> ends the chain explicitly; without it libvirt would look into the file.
    chain = _element("backingStore")
    for path, image_format in reversed(disk.backing):
        chain = _element(
            "backingStore",
            _element("format", type=image_format),
            _element("source", file=str(path)),
            chain,
            type="file",
        )
    return chain


def _nic(nic: Nic) -> etree._Element:
    # No option ROM: SeaBIOS would wait for iPXE's network boot, 55 s where no DHCP answers.
    tap = _element("target", dev=nic.device, managed="no")
    return _element(
        "interface",
        _element("mac", address=nic.mac),
        tap,
        _element("model", type="virtio"),
        _element("rom", enabled="no"),
        type="ethernet",
    )


def _check_sockets(machine: Machine) -> None:
    for path in (machine.serial_socket, machine.vnc_socket):
        if len(bytes(path)) > SOCKET_PATH_BYTES:
            raise KvmError(f"the path of a socket is too long ({SOCKET_PATH_BYTES} bytes at most): {path}")
