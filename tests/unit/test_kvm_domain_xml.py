"""The domain XML is the same every time, names every format, and carries any label."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from euca_box.kvm.accelerator import Accelerator
from euca_box.kvm.domain_xml import SPARE_PORTS, domain_xml, labels_of
from euca_box.kvm.firmware import Firmware
from euca_box.kvm.hypervisor import Disk, KvmError, Machine, Nic

GOLDEN = Path(__file__).parent / "test_kvm_domain_xml.golden.xml"
TCG = Accelerator("tcg", "no device")
KVM = Accelerator("kvm", "it works")
MACHINE = Machine(
    name="i-4e9f08a1",
    uuid="ec2e1916-9099-4caf-8c3a-9a1b3f0e2c5d",
    vcpus=2,
    memory_mib=256,
    disks=(
        Disk(
            Path("/i/root.qcow2"),
            "qcow2",
            "vda",
            "root",
            ((Path("/i/mid"), "qcow2"), (Path("/i/base"), "raw")),
        ),
        Disk(Path("/i/swap"), "raw", "vdb", "swap"),
    ),
    nics=(Nic("t4e9f08a1", "d0:0d:4e:9f:08:a1"),),
    serial_socket=Path("/run/e/serial"),
    vnc_socket=Path("/run/e/vnc"),
    kernel=Path("/i/kernel"),
    ramdisk=Path("/i/ramdisk"),
    cmdline="root=/dev/vda console=ttyS0",
    labels={"account": "123456789012", "generation": "3"},
)
# What XML 1.0 can hold: no control characters but tab and line ends, no surrogates, no U+FFFE and U+FFFF.
XML_TEXT = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff", include_characters="\t\n\r"
    )
)


def test_the_xml_is_the_golden_one():
    assert domain_xml(MACHINE, TCG) == GOLDEN.read_text()


@given(st.dictionaries(XML_TEXT, XML_TEXT, max_size=5))
def test_any_label_comes_back_as_it_was(labels):
    assert labels_of(domain_xml(replace(MACHINE, labels=labels), TCG)) == labels


@given(st.dictionaries(st.text(), st.text(), max_size=3), st.text())
def test_any_other_text_is_refused_and_never_changed(labels, cmdline):
    try:
        xml = domain_xml(replace(MACHINE, labels=labels, cmdline=cmdline), TCG)
    except KvmError:
        return
    assert labels_of(xml) == labels
    found = etree.fromstring(xml.encode()).findtext("os/cmdline") or ""
    assert found == cmdline


def test_every_disk_names_the_format_of_its_whole_chain():
    root = etree.fromstring(domain_xml(MACHINE, TCG).encode())

    first, second = root.findall("devices/disk")
    assert first.find("driver").get("type") == "qcow2"
    assert [f.get("type") for f in first.iter("format")] == ["qcow2", "raw"]
    assert second.find("driver").get("type") == "raw"
    for disk in (first, second):
        ends = [store for store in disk.iter("backingStore") if len(store) == 0]
        assert len(ends) == 1, "the end of the chain is written down too"


def test_the_accelerator_decides_type_and_processor():
    emulated, native = (etree.fromstring(domain_xml(MACHINE, a).encode()) for a in (TCG, KVM))

    assert (emulated.get("type"), emulated.find("cpu").get("mode")) == ("qemu", "maximum")
    assert (native.get("type"), native.find("cpu").get("mode")) == ("kvm", "host-passthrough")
    assert native.find("features/tcg") is None


def test_a_machine_without_a_kernel_boots_its_disk():
    root = etree.fromstring(domain_xml(replace(MACHINE, kernel=None, ramdisk=None, cmdline=""), TCG).encode())

    assert root.find("os/boot").get("dev") == "hd"
    assert root.find("os/kernel") is None


def test_a_foreign_domain_has_no_labels():
    assert labels_of("<domain><name>x</name></domain>") is None


def test_a_socket_path_that_the_kernel_would_cut_is_refused():
    long = Path("/run") / ("x" * 103)
    assert domain_xml(replace(MACHINE, vnc_socket=Path("/run") / ("x" * 102)), TCG)
    with pytest.raises(KvmError, match="too long"):
        domain_xml(replace(MACHINE, serial_socket=long), TCG)


@pytest.mark.parametrize(("group", "label"), [(None, "+1900000007:+1900000007"), (108, "+1900000007:+108")])
def test_a_guest_with_a_user_of_its_own_runs_as_that_and_libvirt_changes_no_file(group, label):
    root = etree.fromstring(domain_xml(replace(MACHINE, uid=1_900_000_007), KVM, group))

    found = root.find("seclabel")
    assert (found.get("type"), found.get("model"), found.get("relabel")) == ("static", "dac", "no")
    assert found.findtext("label") == label


def test_a_uefi_guest_has_pci_express_the_firmware_and_variables_of_its_own():
    firmware = Firmware(Path("/f/code.fd"), Path("/i/variables.fd"))
    root = etree.fromstring(domain_xml(replace(MACHINE, kernel=None, ramdisk=None, uefi=firmware), TCG))

    assert root.find("os/type").get("machine") == "q35"
    loader = root.find("os/loader")
    assert (loader.text, loader.get("type"), loader.get("readonly")) == ("/f/code.fd", "pflash", "yes")
    assert root.findtext("os/nvram") == "/i/variables.fd"


def test_a_q35_machine_has_ports_for_disks_that_come_later_below_its_root():
    firmware = Firmware(Path("/firmware/code.fd"), Path("/guest/variables.fd"))
    controllers = [
        (c.get("model"), c.get("index"))
        for c in etree.fromstring(domain_xml(replace(MACHINE, uefi=firmware), TCG)).iter("controller")
        if c.get("type") == "pci"
    ]
    # libvirt refuses a first controller that is not the root of the machine.
    assert controllers[0] == ("pcie-root", "0")
    assert controllers[1:] == [("pcie-root-port", None)] * SPARE_PORTS
