"""Ids of 17 digits, as AWS has them, by setting: everything that follows an id still fits its place."""

from collections.abc import Iterator

import pytest

from tests.api.cloud_box import CloudBox, filters, running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("long"), id_digits=17) as cloud:
        yield cloud


def test_an_instance_with_a_long_id_lives_its_whole_life(box: CloudBox) -> None:
    _, _, image_id = box.register_images()
    instance_ids = box.run_instances(image_id, count=3)
    assert {len(name) for name in instance_ids} == {len("i-") + 17}
    box.until_state(instance_ids[0], "running")
    record = box.instance(instance_ids[0])
    digits = instance_ids[0][-8:]
    [interface] = record["NetworkInterfaces"]
    assert interface["MacAddress"].replace(":", "") == f"d00d{digits}"
    machine = box.hypervisor.machines[instance_ids[0]]
    assert machine.nics[0].device == f"t{digits}"
    assert machine.uuid.startswith("ec2")
    assert len(machine.uuid.replace("-", "")) == 32
    assert len(machine.disks[0].serial) <= 20
    upper = instance_ids[0].upper().replace("I-", "i-")
    found = box.ec2().describe_instances(Filters=filters(instance_id=[instance_ids[0]]), InstanceIds=[upper])
    assert len(found["Reservations"]) == 1
    box.terminate(instance_ids)


def test_every_other_id_is_long_too(box: CloudBox) -> None:
    ec2 = box.ec2()
    group_id = ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
    key_id = ec2.create_key_pair(KeyName="k")["KeyPairId"]
    allocation_id = ec2.allocate_address()["AllocationId"]
    for name in (group_id, key_id, allocation_id):
        assert len(name.partition("-")[2]) == 17
    ec2.delete_security_group(GroupId=group_id)
    ec2.delete_key_pair(KeyPairId=key_id)
    ec2.release_address(AllocationId=allocation_id)
