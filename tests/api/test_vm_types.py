"""VM types are changed while the cloud runs, and every client sees them as they are."""

import json
from collections.abc import Iterator

import pytest

from tests.api.cloud_box import CloudBox, refused, running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("types")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def image_id(box: CloudBox) -> str:
    return box.register_images()[2]


def size(box: CloudBox, name: str) -> tuple[int, int]:
    [info] = box.ec2().describe_instance_types(InstanceTypes=[name])["InstanceTypes"]
    return info["VCpuInfo"]["DefaultVCpus"], info["MemoryInfo"]["SizeInMiB"]


def row(box: CloudBox, name: str) -> dict:
    return next(r for r in box.admin("ListVmTypes")["vm_types"] if r["name"] == name)


def refusal(box: CloudBox, operation: str, **fields) -> str:
    status, reply = box.admin_raw("POST", f"/{operation}", json.dumps(fields).encode())
    assert status >= 400
    return reply["error"]


def test_a_new_type_is_offered_run_and_taken_away_again(box, image_id):
    box.admin("SetVmType", name="m4.large", cpu=3, memory_mib=192, disk_gib=7)
    assert size(box, "m4.large") == (3, 192)
    assert row(box, "m4.large")["origin"] == "added"
    offered = box.ec2().describe_instance_type_offerings()["InstanceTypeOfferings"]
    assert "m4.large" in [o["InstanceType"] for o in offered]

    instance_ids = box.run_instances(image_id, InstanceType="m4.large")
    box.until_state(instance_ids[0], "running")
    machine = box.hypervisor.machines[instance_ids[0]]
    assert (machine.vcpus, machine.memory_mib) == (3, 192)
    assert row(box, "m4.large")["instances"] == 1
    assert refusal(box, "RemoveVmType", name="m4.large") == "IncorrectState"

    box.terminate(instance_ids)
    box.admin("RemoveVmType", name="m4.large")
    assert refused(box.ec2().describe_instance_types, InstanceTypes=["m4.large"])[0] == "InvalidInstanceType"


def test_a_change_counts_for_starts_from_now_on(box, image_id):
    instance_ids = box.run_instances(image_id, InstanceType="m1.small")
    before = size(box, "m1.small")
    box.until_state(instance_ids[0], "running")
    box.admin("SetVmType", name="m1.small", memory_mib=before[1] * 2)
    assert box.hypervisor.machines[instance_ids[0]].memory_mib == before[1]
    box.ec2().stop_instances(InstanceIds=instance_ids, Force=True)
    box.until_state(instance_ids[0], "stopped")
    box.ec2().start_instances(InstanceIds=instance_ids)
    box.until_state(instance_ids[0], "running")
    assert box.hypervisor.machines[instance_ids[0]].memory_mib == before[1] * 2
    box.terminate(instance_ids)
    box.admin("ResetVmType", name="m1.small")
    assert (size(box, "m1.small"), row(box, "m1.small")["origin"]) == (before, "configured")


@pytest.mark.parametrize(
    ("operation", "fields", "code"),
    [
        (
            "SetVmType",
            {"name": "No Name", "cpu": 1, "memory_mib": 64, "disk_gib": 1},
            "InvalidParameterValue",
        ),
        ("SetVmType", {"name": "new.one", "cpu": 1}, "InvalidParameterValue"),
        ("SetVmType", {"name": "m1.small", "cpu": 0}, "InvalidParameterValue"),
        ("SetVmType", {"name": "m1.small", "memory_mib": -5}, "InvalidParameterValue"),
        ("SetVmType", {"name": "m1.small", "disk_gib": 10**9}, "InvalidParameterValue"),
        ("RemoveVmType", {"name": "absent"}, "NoSuchEntity"),
        ("ResetVmType", {"name": "absent"}, "NoSuchEntity"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(box, operation, fields, code):
    before = box.admin("ListVmTypes")
    assert refusal(box, operation, **fields) == code
    assert box.admin("ListVmTypes") == before


def test_a_changed_type_outlives_the_process(tmp_path):
    with running_cloud(tmp_path) as first:
        first.admin("SetVmType", name="c1.medium", cpu=7)
        first.admin("RemoveVmType", name="c1.xlarge")
        assert size(first, "c1.medium")[0] == 7
    with running_cloud(tmp_path, users=()) as again:
        names = {r["name"]: r for r in again.admin("ListVmTypes")["vm_types"]}
        assert names["c1.medium"]["cpu"] == 7
        assert "c1.xlarge" not in names
