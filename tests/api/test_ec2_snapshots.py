"""Snapshots by boto3, with the real Walrus: what is refused, who may use one, what is kept of it."""

import random

import pytest

from tests.api.cloud_box import filters, refused, running_cloud, tagged

ZONE, REGION = "us-east-1a", "us-east-1"
MIB = 1 << 20


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), max_snapshots=4) as box:
        yield box


@pytest.fixture
def ec2(box):
    yield box.ec2()
    for user in ("alice", "mallory"):
        client = box.ec2(user)
        for volume_id in [v["VolumeId"] for v in client.describe_volumes()["Volumes"]]:
            box.until(lambda v=volume_id, u=user: box.volume(v, u)["State"] != "creating")
            client.delete_volume(VolumeId=volume_id)
        for snapshot in client.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
            client.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
        box.until(
            lambda u=user: not box.rows("clc", "SELECT id FROM snapshot WHERE account = ?", box.account(u))
        )
        box.until(lambda u=user: not box.ec2(u).describe_volumes()["Volumes"])
    assert box.rows("walrus", "SELECT * FROM object WHERE bucket = '_snapshots'") == []
    assert (
        box.rows("walrus", "SELECT * FROM snapshot_chunk") == box.rows("walrus", "SELECT * FROM chunk") == []
    )


@pytest.fixture
def volume(box, ec2):
    made = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    box.until_volume(made, "available")
    return made


def write(box, volume, units):
    """Unit -> its bytes, one for all of it."""

    def put():
        for number, byte in units.items():
            box.app.engine.put(box.app.engine._volumes[volume], number * MIB, byte * MIB)

    box.in_trio(put)


def content(box, volume):
    """Of one that is filled."""
    box.until(lambda: not box.in_trio(lambda: box.app.engine._volumes[volume].is_lazy))
    units = box.in_trio(lambda: dict(box.app.engine._volumes[volume].units))
    return {n: unit[:1] for n, unit in sorted(units.items()) if any(unit)}


@pytest.fixture
def snapshot(box, ec2, volume):
    write(box, volume, {0: b"a", 200: b"b"})
    made = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    box.until_snapshot(made, "completed")
    return made


def test_a_snapshot_goes_to_walrus_and_comes_back_as_a_volume(box, ec2, volume):
    write(box, volume, {n: bytes([n % 250 + 1]) for n in range(120)})
    made = ec2.create_snapshot(
        VolumeId=volume, Description="d", TagSpecifications=tagged("snapshot", name="s")
    )
    assert (made["State"], made["VolumeId"], made["VolumeSize"]) == ("pending", volume, 1)
    shown = box.until_snapshot(made["SnapshotId"], "completed")
    assert (shown["Progress"], shown["Description"], shown["OwnerId"]) == ("100%", "d", box.account())
    assert shown["Tags"] == [{"Key": "name", "Value": "s"}]
    assert not shown["Encrypted"]
    copy = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=made["SnapshotId"])
    assert (copy["Size"], copy["SnapshotId"]) == (1, made["SnapshotId"])
    box.until_volume(copy["VolumeId"], "available")
    assert content(box, copy["VolumeId"]) == content(box, volume)


def test_users_see_nothing_of_where_snapshots_are_kept(box, snapshot):
    assert box.rows("walrus", "SELECT count(*) AS n FROM object WHERE bucket = '_snapshots'") == [{"n": 3}]
    for user in ("alice", "admin"):
        s3 = box.client("s3", user)
        assert "_snapshots" not in [b["Name"] for b in s3.list_buckets()["Buckets"]]
        assert refused(s3.list_objects_v2, Bucket="_snapshots")[0] in ("NoSuchBucket", "InvalidBucketName")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"VolumeId": "vol-00000000"}, "InvalidVolume.NotFound"),
        ({"VolumeId": "disk"}, "InvalidVolumeID.Malformed"),
        ({"Description": "x" * 256}, "InvalidParameterValue"),
        ({"OutpostArn": "arn:x"}, "UnsupportedOperation"),
        ({"DryRun": True}, "DryRunOperation"),
        ({"TagSpecifications": tagged("volume", a="b")}, "InvalidParameterValue"),
    ],
)
def test_what_cannot_be_snapshot_is_refused(ec2, volume, asked, code):
    assert refused(ec2.create_snapshot, **{"VolumeId": volume} | asked)[0] == code
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_an_account_has_as_many_snapshots_as_the_settings_say(ec2, volume):
    for _ in range(4):
        ec2.create_snapshot(VolumeId=volume)
    assert refused(ec2.create_snapshot, VolumeId=volume) == ("SnapshotLimitExceeded", 400)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"SnapshotId": "snap-00000000"}, "InvalidSnapshot.NotFound"),
        ({"SnapshotId": "s"}, "InvalidSnapshotID.Malformed"),
        ({"Size": 0}, "InvalidParameterValue"),
    ],
)
def test_a_volume_is_not_smaller_than_its_snapshot_which_must_be_there(ec2, snapshot, asked, code):
    wanted = {"AvailabilityZone": ZONE, "SnapshotId": snapshot} | asked
    assert refused(ec2.create_volume, **wanted)[0] == code


def test_a_snapshot_that_is_pending_makes_no_volume(box, ec2, volume):
    box.in_trio(setattr, box.app.engine, "copy_seconds", 3.0)
    made = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    box.in_trio(setattr, box.app.engine, "copy_seconds", 0.0)
    asked = {"AvailabilityZone": ZONE, "SnapshotId": made}
    assert refused(ec2.create_volume, **asked) == ("IncorrectState", 400)
    assert refused(ec2.copy_snapshot, SourceRegion=REGION, SourceSnapshotId=made)[0] == "IncorrectState"
    ec2.delete_snapshot(SnapshotId=made)
    assert refused(ec2.describe_snapshots, SnapshotIds=[made])[0] == "InvalidSnapshot.NotFound"


def test_who_is_given_a_snapshot_makes_volumes_and_copies_of_it_and_changes_nothing(box, ec2, snapshot):
    theirs, asked = box.ec2("mallory"), {"AvailabilityZone": ZONE, "SnapshotId": snapshot}
    assert refused(theirs.create_volume, **asked)[0] == "InvalidSnapshot.NotFound"
    give = {"Add": [{"UserId": box.account("mallory")}]}
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission=give)
    shown = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert shown["CreateVolumePermissions"] == give["Add"]

    assert [s["SnapshotId"] for s in theirs.describe_snapshots()["Snapshots"]] == [snapshot]
    assert theirs.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    assert len(theirs.describe_snapshots(RestorableByUserIds=["self"])["Snapshots"]) == 1
    made = theirs.create_volume(**asked)["VolumeId"]
    box.until_volume(made, "available", "mallory")
    assert content(box, made) == {0: b"a", 200: b"b"}
    copy = theirs.copy_snapshot(SourceRegion=REGION, SourceSnapshotId=snapshot)["SnapshotId"]
    assert box.until_snapshot(copy, "completed", "mallory")["OwnerId"] == box.account("mallory")
    for call in (theirs.delete_snapshot, theirs.modify_snapshot_attribute):
        assert refused(call, SnapshotId=snapshot)[0] == "AuthFailure"

    ec2.reset_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert refused(theirs.create_volume, **asked)[0] == "InvalidSnapshot.NotFound"
    ec2.delete_snapshot(SnapshotId=snapshot)
    again = theirs.create_volume(AvailabilityZone=ZONE, SnapshotId=copy)["VolumeId"]
    box.until_volume(again, "available", "mallory")
    assert content(box, again) == {0: b"a", 200: b"b"}


def test_permissions_are_given_in_the_flat_form_and_refused_to_nobody(box, ec2, snapshot):
    flat = {"SnapshotId": snapshot, "Attribute": "createVolumePermission", "OperationType": "add"}
    ec2.modify_snapshot_attribute(**flat, GroupNames=["all"])
    assert len(box.ec2("mallory").describe_snapshots(RestorableByUserIds=["all"])["Snapshots"]) == 1
    ec2.modify_snapshot_attribute(**flat | {"OperationType": "remove"}, GroupNames=["all"])
    assert box.ec2("mallory").describe_snapshots()["Snapshots"] == []
    for wrong, code in (
        ({"UserIds": ["999999999999"]}, "InvalidAMIAttributeItemValue"),
        ({"GroupNames": ["friends"]}, "InvalidAMIAttributeItemValue"),
        ({}, "MissingParameter"),
        ({"UserIds": [box.account("mallory")], "OperationType": "give"}, "InvalidParameterValue"),
        ({"UserIds": [box.account("mallory")], "Attribute": "x"}, "InvalidParameterValue"),
    ):
        assert refused(ec2.modify_snapshot_attribute, **flat | wrong)[0] == code


def test_filters_and_tags_find_snapshots(ec2, volume, snapshot):
    ec2.create_tags(Resources=[snapshot], Tags=[{"Key": "team", "Value": "blue"}])
    wanted = [
        filters(volume_id=volume), filters(status="completed"), filters(volume_size="1"),
        filters(**{"tag:team": "blue"}), filters(progress="100%"), filters(snapshot_id=snapshot),
    ]  # fmt: skip
    for wish in wanted:
        assert [s["SnapshotId"] for s in ec2.describe_snapshots(Filters=wish)["Snapshots"]] == [snapshot]
    assert ec2.describe_snapshots(Filters=filters(status="pending"))["Snapshots"] == []
    assert refused(ec2.describe_snapshots, Filters=filters(colour="red"))[0] == "InvalidParameterValue"


def test_a_chunk_that_rots_in_walrus_is_never_read_and_the_volume_says_why(box, ec2, volume):
    noise = random.Random(5).randbytes(MIB)
    box.in_trio(lambda: box.app.engine.put(box.app.engine._volumes[volume], 0, noise))
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    box.until_snapshot(snapshot, "completed")
    [row] = box.rows(
        "walrus",
        "SELECT file FROM piece JOIN object USING (generation) WHERE key LIKE 'chunks/%'",
    )
    path = next((box.data_dir / "walrus").rglob(row["file"]))
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"rot")
    made = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)["VolumeId"]
    box.until_volume(made, "available")

    def status():
        return ec2.describe_volume_status(VolumeIds=[made])["VolumeStatuses"][0]

    box.until(lambda: status()["VolumeStatus"]["Status"] == "impaired")
    assert "damaged" in status()["Actions"][0]["Description"]
    assert 0 not in box.in_trio(lambda: box.app.engine._volumes[made].units)
