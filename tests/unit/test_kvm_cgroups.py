"""Limits of guests: what a host has is found, what it has not is said, a guest is put where it belongs."""

import os
import subprocess
from pathlib import Path

import pytest

from euca_box.kvm.cgroups import ROOT, Cgroups, find_cgroups


def version_2(root: Path, controllers: str) -> Path:
    (root / "cgroup.controllers").write_text(controllers)
    (root / "cgroup.subtree_control").write_text("")
    return root


def test_version_2_is_taken_where_it_has_cpu_and_memory(tmp_path):
    found = find_cgroups(version_2(tmp_path, "cpuset cpu io memory hugetlb pids"))

    assert found.reason == "limits by cgroup version 2: cpu, memory, pids"
    for folder in (tmp_path, tmp_path / "euca-box"):
        assert (folder / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_a_guest_of_version_2_gets_what_its_size_says(tmp_path):
    group = tmp_path / "i-00000001"
    group.mkdir()
    for name in ("cpu.max", "cpu.weight", "memory.max"):  # this kernel has no pids
        (group / name).touch()

    Cgroups("", {"v2": tmp_path}).limit("i-00000001", 4711, vcpus=2, memory_mib=512)

    assert {path.name: path.read_text() for path in group.iterdir()} == {
        "cpu.max": "250000 100000",
        "cpu.weight": "200",
        "memory.max": str(1024 << 20),
        "cgroup.procs": "4711",
    }


@pytest.mark.parametrize(
    "controllers", [None, "", "hugetlb", "cpu pids"], ids=["none", "empty", "others", "half"]
)
def test_a_host_without_them_says_so_and_guests_run_on(tmp_path, controllers):
    if controllers is not None:
        version_2(tmp_path, controllers)

    found = find_cgroups(tmp_path)

    assert found.reason.startswith("guests have no limits")
    found.limit("i-00000001", 1, 1, 128)
    found.remove("i-00000001")
    assert not (tmp_path / "euca-box").exists()


def test_a_group_that_cannot_be_made_is_logged_and_no_error(tmp_path, caplog):
    Cgroups("", {"v2": tmp_path / "absent"}).limit("i-00000001", 1, 1, 128)
    assert "i-00000001 runs without limits" in caplog.text


def test_only_empty_groups_are_swept(tmp_path):
    (tmp_path / "i-00000001").mkdir()
    (tmp_path / "i-00000002" / "busy").mkdir(parents=True)
    Cgroups("", {"v2": tmp_path}).remove_empty()
    assert [path.name for path in tmp_path.iterdir()] == ["i-00000002"]


HERE = find_cgroups() if os.geteuid() == 0 else Cgroups("")


@pytest.mark.skipif(not HERE.folders, reason=f"needs root and control groups: {HERE.reason}")
def test_a_process_of_this_host_is_limited_and_its_group_goes_with_it():
    name = f"test-{os.getpid()}"
    with subprocess.Popen(["sleep", "60"]) as process:
        HERE.limit(name, process.pid, vcpus=1, memory_mib=128)
        groups = Path(f"/proc/{process.pid}/cgroup").read_text()
        limits = [
            path.read_text().split() for path in ROOT.glob(f"**/euca-box/{name}/*") if path.name in LIMITS
        ]
        HERE.remove(name)  # not empty yet: harmless
        process.kill()
    HERE.remove(name)

    assert f"/euca-box/{name}" in groups
    assert ["150000"] in limits or ["150000", "100000"] in limits
    assert [str(640 << 20)] in limits
    assert not list(ROOT.glob(f"**/euca-box/{name}"))


LIMITS = ("cpu.max", "cpu.cfs_quota_us", "memory.max", "memory.limit_in_bytes")
