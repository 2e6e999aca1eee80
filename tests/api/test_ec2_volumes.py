"""Volumes by boto3: what is refused and why, tags, filters, quotas, client tokens."""

import pytest

from tests.api.cloud_box import WHOLE_DISK, filters, refused, running_cloud, tagged

ZONE = "us-east-1a"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), max_volumes=12, max_volumes_gib=500) as box:
        box.image = box.register("disk", WHOLE_DISK)
        yield box


@pytest.fixture
def ec2(box):
    yield box.ec2()
    box.terminate_all()
    for volume_id in [v["VolumeId"] for v in box.ec2().describe_volumes()["Volumes"]]:
        box.until(lambda v=volume_id: box.volume(v)["State"] not in ("creating", "in-use"))
        box.ec2().delete_volume(VolumeId=volume_id)
    box.until(lambda: not box.ec2().describe_volumes()["Volumes"])


@pytest.fixture
def volume(box, ec2):
    made = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    box.until_volume(made, "available")
    return made


@pytest.fixture
def instance(box, ec2):
    [made] = box.run_instances(box.image)
    box.until_state(made, "running")
    return made


def test_a_volume_is_shown_as_it_was_asked_for(box, ec2):
    made = ec2.create_volume(
        AvailabilityZone=ZONE, Size=3, VolumeType="gp2", TagSpecifications=tagged("volume", name="data")
    )
    assert (made["State"], made["Size"], made["VolumeType"]) == ("creating", 3, "gp2")
    shown = box.until_volume(made["VolumeId"], "available")
    assert (shown["AvailabilityZone"], shown["Encrypted"], shown["SnapshotId"]) == (ZONE, False, "")
    assert shown["Tags"] == [{"Key": "name", "Value": "data"}]
    assert shown["CreateTime"] == made["CreateTime"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"Size": 1}, "MissingParameter"),
        ({"AvailabilityZone": ZONE}, "MissingParameter"),
        ({"AvailabilityZone": "mars-1a", "Size": 1}, "InvalidZone.NotFound"),
        ({"AvailabilityZone": ZONE, "Size": 0}, "InvalidParameterValue"),
        ({"AvailabilityZone": ZONE, "Size": -1}, "InvalidParameterValue"),
        ({"AvailabilityZone": ZONE, "Size": 99999}, "InvalidParameterValue"),
        ({"AvailabilityZone": ZONE, "Size": 1, "VolumeType": "io2"}, "UnsupportedOperation"),
        ({"AvailabilityZone": ZONE, "Size": 1, "Iops": 100}, "UnsupportedOperation"),
        ({"AvailabilityZone": ZONE, "Size": 1, "MultiAttachEnabled": True}, "UnsupportedOperation"),
        ({"AvailabilityZone": ZONE, "Size": 501}, "VolumeLimitExceeded"),
        ({"AvailabilityZone": ZONE, "Size": 1, "ClientToken": "x" * 65}, "InvalidParameterValue"),
        ({"AvailabilityZone": ZONE, "Size": 1, "DryRun": True}, "DryRunOperation"),
        (
            {"AvailabilityZone": ZONE, "Size": 1, "TagSpecifications": tagged("instance", a="b")},
            "InvalidParameterValue",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_and_makes_nothing(ec2, asked, code):
    assert refused(ec2.create_volume, **asked)[0] == code
    assert ec2.describe_volumes()["Volumes"] == []


def test_an_account_has_as_many_volumes_as_the_settings_say(ec2):
    for _ in range(12):
        ec2.create_volume(AvailabilityZone=ZONE, Size=1)
    assert refused(ec2.create_volume, AvailabilityZone=ZONE, Size=1) == ("VolumeLimitExceeded", 400)


def test_a_client_token_makes_one_volume(ec2):
    asked = {"AvailabilityZone": ZONE, "Size": 1, "ClientToken": "once"}
    first, second = (ec2.create_volume(**asked)["VolumeId"] for _ in range(2))
    assert first == second
    assert len(ec2.describe_volumes()["Volumes"]) == 1
    assert refused(ec2.create_volume, **asked | {"Size": 2})[0] == "IdempotentParameterMismatch"


def test_filters_find_volumes_by_their_own_facts_and_their_attachment(box, ec2, volume, instance):
    other = ec2.create_volume(AvailabilityZone=ZONE, Size=2, VolumeType="gp3")["VolumeId"]
    box.until_volume(other, "available")
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    box.until_volume(volume, "in-use")

    def found(**wanted):
        return [v["VolumeId"] for v in ec2.describe_volumes(Filters=filters(**wanted))["Volumes"]]

    for wanted in ({"size": "1"}, {"status": "in-use"}, {"attachment.instance-id": instance}):
        assert found(**wanted) == [volume]
    assert found(**{"attachment.device": "/dev/sdf", "attachment.status": "attached"}) == [volume]
    assert found(volume_type="gp3") == found(status="available") == [other]
    assert refused(ec2.describe_volumes, Filters=filters(colour="blue"))[0] == "InvalidParameterValue"
    reply = ec2.describe_instances(Filters=filters(**{"block-device-mapping.volume-id": volume}))
    assert reply["Reservations"][0]["Instances"][0]["InstanceId"] == instance


def test_tags_of_a_volume_are_changed_and_found(ec2, volume):
    ec2.create_tags(Resources=[volume], Tags=[{"Key": "team", "Value": "blue"}])
    assert ec2.describe_volumes(Filters=filters(**{"tag:team": "blue"}))["Volumes"][0]["VolumeId"] == volume
    assert ec2.describe_tags(Filters=filters(resource_type="volume"))["Tags"][0]["ResourceId"] == volume


def test_a_volume_that_is_in_use_is_neither_deleted_nor_attached_again(box, ec2, volume, instance):
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="sdf")
    assert refused(ec2.delete_volume, VolumeId=volume) == ("VolumeInUse", 400)
    box.until_volume(volume, "in-use")
    assert refused(ec2.delete_volume, VolumeId=volume) == ("VolumeInUse", 400)
    asked = {"VolumeId": volume, "InstanceId": instance, "Device": "/dev/sdg"}
    assert refused(ec2.attach_volume, **asked) == ("VolumeInUse", 400)


@pytest.mark.parametrize(
    "device", ["", "/dev/null", "sdf;reboot", "/dev/sd", "../sda", "/dev/sdf1234", "x" * 300]
)
def test_a_device_that_is_none_is_refused(ec2, volume, instance, device):
    code, _ = refused(ec2.attach_volume, VolumeId=volume, InstanceId=instance, Device=device)
    assert code in ("InvalidParameterValue", "MissingParameter")
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available"


def test_a_place_that_is_taken_is_refused_however_it_is_written(box, ec2, volume, instance):
    other = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    box.until_volume(other, "available")
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    for device in ("/dev/sdf", "sdf", "/dev/sda1"):
        asked = {"VolumeId": other, "InstanceId": instance, "Device": device}
        assert refused(ec2.attach_volume, **asked)[0] == "InvalidParameterValue"


def test_what_is_not_attached_is_not_detached(ec2, box, volume, instance):
    assert refused(ec2.detach_volume, VolumeId=volume) == ("IncorrectState", 400)
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    box.until_volume(volume, "in-use")
    for wrong in ({"InstanceId": "i-00000000"}, {"Device": "/dev/sdg"}):
        assert refused(ec2.detach_volume, VolumeId=volume, **wrong)[0] == "InvalidAttachment.NotFound"
    shown = ec2.detach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    assert (shown["State"], shown["InstanceId"], shown["Device"]) == ("detaching", instance, "/dev/sdf")
    box.until_volume(volume, "available")


def test_another_account_sees_and_takes_nothing(box, ec2, volume, instance):
    theirs = box.ec2("mallory")
    assert theirs.describe_volumes()["Volumes"] == []
    assert refused(theirs.delete_volume, VolumeId=volume)[0] == "InvalidVolume.NotFound"
    mine = theirs.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    box.until_volume(mine, "available", "mallory")
    asked = {"VolumeId": mine, "InstanceId": instance, "Device": "/dev/sdf"}
    assert refused(theirs.attach_volume, **asked)[0] == "InvalidInstanceID.NotFound"
    theirs.delete_volume(VolumeId=mine)


def test_a_volume_is_ok_and_its_attributes_are_kept(ec2, volume):
    [status] = ec2.describe_volume_status(VolumeIds=[volume])["VolumeStatuses"]
    assert status["VolumeStatus"]["Status"] == "ok"
    ec2.modify_volume_attribute(VolumeId=volume, AutoEnableIO={"Value": True})
    shown = ec2.describe_volume_attribute(VolumeId=volume, Attribute="autoEnableIO")
    assert shown["AutoEnableIO"] == {"Value": True}
    assert (
        refused(ec2.describe_volume_attribute, VolumeId=volume, Attribute="x")[0] == "InvalidParameterValue"
    )
    assert refused(ec2.modify_volume_attribute, VolumeId=volume)[0] == "MissingParameter"


def test_a_volume_grows_and_is_of_another_type_and_that_is_told(box, ec2, volume):
    assert ec2.describe_volumes_modifications(VolumeIds=[volume])["VolumesModifications"] == []
    made = ec2.modify_volume(VolumeId=volume, Size=4, VolumeType="gp3")["VolumeModification"]
    assert (made["ModificationState"], made["OriginalSize"], made["TargetSize"]) == ("completed", 1, 4)
    shown = box.volume(volume)
    assert (shown["Size"], shown["VolumeType"]) == (4, "gp3")
    found = ec2.describe_volumes_modifications(Filters=filters(target_size="4"))["VolumesModifications"]
    assert [m["VolumeId"] for m in found] == [volume]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "MissingParameter"),
        ({"Size": 0}, "InvalidParameterValue"),
        ({"Size": 99999}, "InvalidParameterValue"),
        ({"Size": 501}, "VolumeLimitExceeded"),
        ({"VolumeType": "io2"}, "UnsupportedOperation"),
        ({"Size": 2, "Iops": 100}, "UnsupportedOperation"),
        ({"Size": 2, "DryRun": True}, "DryRunOperation"),
    ],
)
def test_what_a_volume_cannot_become_is_refused(box, ec2, volume, asked, code):
    assert refused(ec2.modify_volume, VolumeId=volume, **asked)[0] == code
    assert box.volume(volume)["Size"] == 1
