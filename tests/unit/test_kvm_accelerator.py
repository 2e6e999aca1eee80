"""KVM is used only where it works, and a /dev/kvm that does not work is out of sight."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from euca_box.kvm.accelerator import Accelerator, probe
from euca_box.kvm.embed import prepare_root, qemu_group
from euca_box.kvm.hypervisor import KvmError

TCG = Accelerator("tcg", "")


@pytest.fixture
def cpuinfo(tmp_path):
    def write(flags):
        path = tmp_path / "cpuinfo"
        path.write_text(f"processor : 0\nflags\t\t: {flags}\n")
        return path

    return write


@pytest.mark.parametrize("flag", ["vmx", "svm"])
def test_a_device_that_opens_on_a_fit_processor_is_kvm(cpuinfo, flag):
    assert probe(Path("/dev/null"), cpuinfo(f"fpu {flag} sse")).name == "kvm"


def test_a_device_without_a_fit_processor_is_not(cpuinfo):
    found = probe(Path("/dev/null"), cpuinfo("fpu xvmx svms"))
    assert (found.name, "neither vmx nor svm" in found.reason) == ("tcg", True)


def test_what_is_not_there_or_not_a_device_is_not(cpuinfo, tmp_path):
    good = cpuinfo("vmx")
    assert "does not open" in probe(tmp_path / "none", good).reason
    (tmp_path / "file").touch()
    assert "not a device" in probe(tmp_path / "file", good).reason


def test_a_cpuinfo_without_flags_is_not(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor: 0\n")
    assert probe(Path("/dev/null"), tmp_path / "cpuinfo").name == "tcg"


@pytest.fixture
def visible_kvm():
    # Asked when the test runs: tests with real guests hide the device from this whole process.
    if os.geteuid() != 0 or not Path("/dev/kvm").is_char_device():
        pytest.skip("needs root and a /dev/kvm in sight")


@pytest.mark.usefixtures("visible_kvm")
def test_hiding_covers_the_device_for_us_and_for_nobody_else():
    script = (
        "import os, threading\n"
        "from euca_box.kvm.accelerator import hide_kvm, probe\n"
        "print(hide_kvm(), hide_kvm(), probe().reason, oct(os.stat('/dev/kvm').st_mode & 0o777))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "True False /dev/kvm is not a device 0o0"
    assert Path("/dev/kvm").is_char_device()


@pytest.mark.usefixtures("visible_kvm")
def test_hiding_after_a_thread_has_started_is_refused():
    script = (
        "import threading\n"
        "from euca_box.kvm.accelerator import hide_kvm\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "hide_kvm()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert "too late" in done.stderr


def test_with_kvm_qemu_gets_the_group_of_the_device(tmp_path):
    device = tmp_path / "kvm"
    device.touch()
    if os.geteuid() == 0:
        os.chown(device, 0, 108)
        assert qemu_group(65501, Accelerator("kvm", ""), device) == 108
        os.chown(device, 0, 0)
        assert qemu_group(65501, Accelerator("kvm", ""), device) == 65501
    assert qemu_group(65501, TCG, device) == 65501


@pytest.fixture
def built_in_user(monkeypatch):
    monkeypatch.setattr("euca_box.kvm.embed.BUILT_IN_USER", "root")


@pytest.mark.usefixtures("built_in_user")
def test_the_settings_of_libvirt_take_every_right_from_qemu(tmp_path):
    prepare_root(tmp_path / "root", 65501, 65502, TCG)

    written = (tmp_path / "root/etc/qemu.conf").read_text()
    for line in ('user = "+65501"', 'group = "+65502"', "seccomp_sandbox = 1", "dynamic_ownership = 0"):
        assert line in written.splitlines()
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o711
    assert (tmp_path / "root/etc").stat().st_mode & 0o777 == 0o700


def test_a_host_without_libvirts_user_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("euca_box.kvm.embed.BUILT_IN_USER", "no-such-user")

    with pytest.raises(KvmError, match=r"useradd --system .* no-such-user"):
        prepare_root(tmp_path / "root", 65501, 65501, TCG)
