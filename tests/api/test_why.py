"""`why` and `doctor` in a cloud that runs: faults are planted, and each is named with what to do."""

import datetime
import json

import pytest
from click.testing import CliRunner

from euca_box.cli import main
from euca_box.model.errors import Unavailable
from euca_box.model.traces import Step
from euca_box.observe import logs
from tests.api.browser import person
from tests.api.cloud_box import running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    logs.set_up(tmp_path_factory.mktemp("logs"), "INFO", host="here", terminal="off")
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        box.image = box.register_images()[2]
        yield box
    logs.set_up(None, "WARNING", terminal="off")


@pytest.fixture
def run(box, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    return lambda *args: CliRunner().invoke(main, [*args, "--data-dir", str(box.data_dir)])


@pytest.fixture
def instance(box):
    [instance_id] = box.run_instances(box.image)
    box.until_state(instance_id, "running")
    yield instance_id
    box.terminate([instance_id])


def findings(run, *args):
    result = run("doctor", "-o", "json", *args)
    return {(row["check"], row["state"]): row for row in json.loads(result.stdout)}, result.exit_code


# Stories


def test_the_story_of_an_instance_goes_from_who_asked_to_what_every_role_says(box, run, instance):
    result = run("why", instance)
    assert result.exit_code == 0, result.stdout
    text = result.stdout
    for words in (
        f"{instance} is running on nc@{box.app.host}",
        f"{instance} shall run on nc@{box.app.host}",
        "its virtual machine runs",
        f"CcRunInstance {instance}: done",
        f"NcRunInstance {instance}: done",
        f"euca-box doctor network {instance}",
    ):
        assert words in text
    told = json.loads(run("why", instance, "-o", "json").stdout)
    assert [h["at"] for h in told["happenings"]] == sorted(h["at"] for h in told["happenings"])


def test_a_request_tells_what_it_asked_and_what_became_of_it(box, run):
    reply = box.ec2().run_instances(ImageId=box.image, MinCount=1, MaxCount=1)
    request_id, instance_id = reply["ResponseMetadata"]["RequestId"], reply["Instances"][0]["InstanceId"]
    box.until_state(instance_id, "running")
    box.until(lambda: box.rows("clc", "SELECT 1 FROM event WHERE request_id = ?", request_id))
    text = run("why", request_id).stdout
    assert "asked for RunInstances" in text and f"{instance_id} is running" in text
    with pytest.raises(Exception, match="InvalidAMIID") as caught:
        box.ec2().run_instances(ImageId="emi-0badbad0", MinCount=1, MaxCount=1)
    refused = caught.value.response["ResponseMetadata"]["RequestId"]
    box.until(lambda: box.rows("clc", "SELECT 1 FROM event WHERE request_id = ?", refused))
    assert "InvalidAMIID.NotFound" in run("why", refused).stdout
    box.terminate([instance_id])
    box.until(lambda: "asked for TerminateInstances" in run("why", instance_id).stdout)
    assert "asked for Describe" not in run("why", instance_id).stdout


def test_an_instance_whose_image_cannot_be_had_says_so_with_its_deadline(box, run, monkeypatch):
    """Walrus hangs: the launch stays pending."""
    flushed = box.app.nc.cache

    async def silent(*_):
        raise Unavailable("walrus is silent")

    for path in flushed._folder.glob("*"):
        path.unlink()
    monkeypatch.setattr(flushed, "_fetch", silent)
    [instance_id] = box.run_instances(box.image)
    box.until_state(instance_id, "terminated")
    text = run("why", instance_id).stdout
    assert "walrus is silent" in text and "Launch it again when its cause is gone" in text


def test_a_volume_that_the_guest_keeps_and_one_that_cannot_be_made(box, run, instance):
    volume = box.ec2().create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    box.until_volume(volume, "available")
    assert f"{volume}, 1 GiB, is available" in run("why", volume).stdout
    box.ec2().attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    box.until_volume(volume, "in-use")
    text = run("why", volume).stdout
    assert f"attached at {instance} as /dev/sdf" in text and "attachment 1 has it" in text
    box.ec2().detach_volume(VolumeId=volume)
    box.until_volume(volume, "available")
    box.ec2().delete_volume(VolumeId=volume)
    box.until(lambda: "was deleted here" in run("why", volume).stdout)


def test_addresses_images_and_nodes_have_stories_too(box, run, instance):
    made = box.ec2().allocate_address()
    assert "leads nowhere" in run("why", made["PublicIp"]).stdout
    assert "leads nowhere" in run("why", made["AllocationId"]).stdout
    box.ec2().associate_address(AllocationId=made["AllocationId"], InstanceId=instance)
    assert f"shall lead to {instance}" in run("why", made["PublicIp"]).stdout
    box.ec2().disassociate_address(PublicIp=made["PublicIp"])
    box.ec2().release_address(AllocationId=made["AllocationId"])
    assert f"{box.image} (root-tiny) is available" in run("why", box.image).stdout
    node = run("why", f"nc@{box.app.host}")
    assert f"nc@{box.app.host} is UP" in node.stdout


def test_what_nobody_knows_is_exit_code_1(run):
    for thing in ("i-0badbad0", "x" * 129, "vol-%", "a\x1b[31m"):
        result = run("why", thing)
        assert result.exit_code == 1
        assert "\x1b" not in result.stdout + result.stderr


def test_patterns_in_an_id_match_nothing_else(box, run, instance):
    assert run("why", "i-________").exit_code == 1
    assert run("why", "%%").exit_code == 1


# Examination


def test_a_healthy_cloud_has_nothing_that_fails(box, run):
    found, code = findings(run)
    failing = {key for key in found if key[1] == "fail"}
    assert failing <= set() and code == 0
    checks = {check for check, _ in found}
    assert {"kernel", "kvm", "libvirt", "disk", "file system", "database", "secrets", "certificates", "clock",
            "nodes", "network", "hypervisor", "objects", "volumes", "cloud", "QEMU"} <= checks  # fmt: skip
    assert "things were looked at" in run("doctor").stdout


def test_a_network_that_was_changed_is_found(box, run, monkeypatch):
    async def changed(instance_id):
        return [Step("", "the rules are ours", "bad", "a chain is missing", "euca-box doctor network")]

    monkeypatch.setattr(box.network, "trace", changed)
    found, code = findings(run)
    assert code == 4 and "a chain is missing" in found["network", "fail"]["detail"]
    assert found["network", "fail"]["remedy"] == "euca-box doctor network"


def test_a_node_that_is_silent_is_found_and_its_instances_say_why(box, run, instance):
    [cc_node] = box.app.cc.nodes.values()

    def down():
        cc_node.up, cc_node.detail = False, "no answer for 60 s"

    def up():
        cc_node.up = True

    box.in_trio(down)
    try:
        found, code = findings(run)
        text = run("why", instance)
    finally:
        box.in_trio(up)
    assert code == 4
    assert f"euca-box why nc@{box.app.host}" in found["nodes", "fail"]["remedy"]
    assert text.exit_code == 4 and "which does not answer: no answer for 60 s" in text.stdout


def test_a_secret_that_others_can_read_is_found_and_fixed(box, run):
    key = box.data_dir / "master.key"
    key.chmod(0o644)
    found, code = findings(run)
    assert code == 4 and str(key) in found["secrets", "fail"]["detail"]
    found, code = findings(run, "--fix")
    assert code == 0 and found["secrets", "ok"]["fixed"]
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_certificate_that_ends_is_found(box, run, monkeypatch):
    from euca_box.doctor import secrets as checks

    ends = checks.end_of
    monkeypatch.setattr(checks, "SOON", datetime.timedelta(days=200_000))
    found, _ = findings(run)
    assert "ends on" in found["certificates", "warn"]["detail"]
    monkeypatch.setattr(checks, "end_of", lambda path: ends(path).replace(year=2020))
    found, code = findings(run)
    assert code == 4 and "ended on 2020" in found["certificates", "fail"]["detail"]


def test_a_full_disk_is_found(box, run, monkeypatch):
    from euca_box.doctor import disks

    monkeypatch.setattr(disks, "LEAST_BYTES", 1 << 60)
    found, code = findings(run)
    assert code == 4 and "are free at" in found["disk", "fail"]["detail"]


def test_a_check_that_breaks_is_a_finding(box, run, monkeypatch):
    from euca_box.doctor import examination

    def broken(host, fix):
        raise RuntimeError("boom")
        yield

    monkeypatch.setattr(examination, "CHECKS", (*examination.CHECKS, broken))
    found, code = findings(run)
    assert code == 4 and found["broken", "fail"]["detail"] == "the check failed: boom"


def test_users_are_refused(box):
    assert box.admin_raw("POST", "/TellStory?at=clc", b'{"thing":"x"}')[0] == 400
    assert box.admin_raw("POST", "/Examine", b"{}")[0] >= 400


def test_the_page_of_warnings_shows_the_same_to_administrators_only(box):
    key = box.data_dir / "ca.key"
    key.chmod(0o640)
    try:
        text = person(box, "admin", "administrators battery 1").get("/warnings").text
    finally:
        key.chmod(0o600)
    assert str(key) in text and "chmod 600" in text
    assert person(box, "alice").get("/warnings").status == 403
