"""What people who ran Eucalyptus lost days with: each fault is planted, and `why` or `doctor` names it.

Those of nodes, networks, secrets, certificates, disks and images are in test_why.py, those of databases in
tests/clients/test_start.py.
"""

import json
import time

import pytest
from click.testing import CliRunner

from euca_box.blockstore.engine import EngineError
from euca_box.cli import main
from euca_box.doctor import clocks, machine, ports
from euca_box.doctor.examination import Host, examine
from euca_box.model.errors import Unavailable
from euca_box.observe import logs
from tests.api.cloud_box import running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    logs.set_up(tmp_path_factory.mktemp("logs"), "INFO", host="here", terminal="off")
    with running_cloud(tmp_path_factory.mktemp("cloud"), launch_seconds=10.0) as box:
        box.image = box.register_images()[2]
        yield box
    logs.set_up(None, "WARNING", terminal="off")


@pytest.fixture
def run(box, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    return lambda *args: CliRunner().invoke(main, [*args, "--data-dir", str(box.data_dir)])


def findings(run):
    result = run("doctor", "-o", "json")
    return {(row["check"], row["state"]): row for row in json.loads(result.stdout)}, result.exit_code


def host_findings(box, **more):
    found = examine(Host(box.app.config, box.app.data, box.app.roles, running=False))
    return {(one.check, one.state): one for one in found}


def test_a_launch_that_nobody_takes_says_who_is_silent_and_until_when_it_waits(box, run, monkeypatch):
    ask = box.app.clc.bus.ask

    async def silent(address, op, call):
        if type(op).__name__ == "CcRunInstance":
            raise Unavailable("cc@us-east-1a did not answer CcRunInstance within 30 s")
        return await ask(address, op, call)

    monkeypatch.setattr(box.app.clc.bus, "ask", silent)
    [instance_id] = box.run_instances(box.image)
    box.until(lambda: "did not answer CcRunInstance" in run("why", instance_id).stdout)
    told = run("why", instance_id)
    assert told.exit_code == 4
    assert f"{instance_id} is pending" in told.stdout
    assert "cc@us-east-1a did not take it in time" in told.stdout and "then it is given up" in told.stdout
    box.until_state(instance_id, "terminated", "alice")
    assert "the launch was given up" in run("why", instance_id).stdout


def test_a_volume_that_stays_creating_says_that_its_storage_controller_fails(box, run, monkeypatch):
    async def broken(*_, **__):
        raise EngineError("the disk does not answer")

    monkeypatch.setattr(box.app.engine, "create", broken)
    volume_id = box.ec2().create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    box.until(lambda: "the disk does not answer" in run("why", volume_id).stdout)
    told = run("why", volume_id)
    assert told.exit_code == 4
    assert f"{volume_id}, 1 GiB, is creating" in told.stdout and "sc@us-east-1a to make it" in told.stdout
    monkeypatch.undo()
    box.until_volume(volume_id, "available")
    assert run("why", volume_id).exit_code == 0


def test_a_volume_that_the_guest_keeps_busy_says_how_to_take_it(box, run):
    [instance_id] = box.run_instances(box.image)
    box.until_state(instance_id, "running")
    volume_id = box.ec2().create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    box.until_volume(volume_id, "available")
    box.ec2().attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdg")
    box.until_volume(volume_id, "in-use")
    box.in_trio(box.hypervisor.clinging.add, (instance_id, volume_id))
    box.ec2().detach_volume(VolumeId=volume_id)
    told = run("why", volume_id)
    assert told.exit_code == 4
    assert f"the guest {instance_id} to let go of it" in told.stdout
    assert f"aws ec2 detach-volume --force --volume-id {volume_id}" in told.stdout
    box.in_trio(box.hypervisor.clinging.discard, (instance_id, volume_id))
    box.until_volume(volume_id, "available")
    box.terminate([instance_id])


def test_a_clock_that_nothing_keeps_right_is_named(box, monkeypatch):
    class Libc:
        state = clocks.TIME_ERROR

        def adjtimex(self, buffer):
            return self.state

    monkeypatch.setattr(clocks.ctypes, "CDLL", lambda *_, **__: Libc())
    assert "timedatectl set-ntp true" in host_findings(box)["clock", "warn"].remedy
    Libc.state = 0
    assert ("clock", "ok") in host_findings(box)


def test_a_host_whose_clock_runs_away_is_named(box, run, monkeypatch):
    from euca_box.roles.clc import examination

    rows = examination.component_rows

    def skewed(clc):
        return [type(row)(**{**vars(row), "skew_seconds": 42.0}) for row in rows(clc)]

    monkeypatch.setattr(examination, "component_rows", skewed)
    found, code = findings(run)
    assert code == 4 and "+42.0 s off" in found["clocks", "fail"]["detail"]


def test_hosts_of_different_versions_are_named(box, run, monkeypatch):
    from euca_box.roles.clc import examination

    rows = examination.component_rows
    monkeypatch.setattr(
        examination,
        "component_rows",
        lambda clc: [type(row)(**{**vars(row), "version": "0.0.1"}) for row in rows(clc)],
    )
    found, _ = findings(run)
    assert "runs version 0.0.1" in found["versions", "warn"]["detail"]


def test_packets_that_are_not_forwarded_are_named(box, run, monkeypatch, tmp_path):
    off = tmp_path / "ip_forward"
    off.write_text("0\n")
    monkeypatch.setattr(machine, "FORWARD", off)
    found, code = findings(run)
    assert code == 4 and "sysctl -w net.ipv4.ip_forward=1" in found["forwarding", "fail"]["remedy"]


def test_another_dhcp_server_is_named(box, run, monkeypatch):
    monkeypatch.setattr(ports, "_bound", lambda kind, port: iter([("0.0.0.0", "4711")] if port == 67 else []))
    monkeypatch.setattr(ports, "_program_with", lambda inode: "/usr/sbin/dhcpd -4 (process 99)")
    found, _ = findings(run)
    assert "/usr/sbin/dhcpd -4 (process 99) answers DHCP" in found["dhcp", "warn"]["detail"]


def test_taken_ports_are_named_before_a_start(box, monkeypatch):
    monkeypatch.setattr(ports, "_bound", lambda kind, port: iter([("0.0.0.0", "1")]))
    monkeypatch.setattr(ports, "_program_with", lambda inode: "nginx (process 7)")
    assert "is taken by nginx (process 7)" in host_findings(box)["ports", "fail"].detail


def test_programs_that_are_missing_or_old_are_named(box, monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    found = host_findings(box)
    assert found["QEMU", "fail"].remedy == "apt-get install qemu-system-x86"
    monkeypatch.undo()
    monkeypatch.setattr(machine, "_version_text", lambda program: "QEMU emulator version 4.2.0")
    assert "is old" in host_findings(box)["QEMU", "warn"].detail


def test_a_walrus_that_does_not_know_new_users_is_named(box, run):
    box.in_trio(box.app.clc.problems.__setitem__, "principals", "Walrus does not know the newest users: x")
    try:
        found, code = findings(run)
    finally:
        box.in_trio(box.app.clc.problems.pop, "principals", None)
    assert code == 4 and "newest users" in found["principals", "fail"]["detail"]


def test_what_is_late_is_named(box, run, monkeypatch):
    [instance_id] = box.run_instances(box.image)
    box.until_state(instance_id, "running")
    record = box.app.clc.instances.find(instance_id)
    late = type(record)(**{**vars(record), "state": "pending", "deadline": time.time() - 3600})
    monkeypatch.setattr(box.app.clc.instances, "all", lambda: [late])
    found, _ = findings(run)
    monkeypatch.undo()
    assert found["instances", "warn"]["remedy"] == f"euca-box why {instance_id}"
    box.terminate([instance_id])
