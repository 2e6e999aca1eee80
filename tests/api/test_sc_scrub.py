"""What the operator is told of volumes that the disk cannot read."""

import json

import pytest
from click.testing import CliRunner

from euca_box.cli import main
from tests.api.cloud_box import running_cloud

ZONE = "us-east-1a"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), users=("alice",)) as box:
        yield box


def command(box, *words):
    return CliRunner().invoke(
        main, ["sc", "scrub", *words, "--data-dir", str(box.data_dir)], env={"COLUMNS": "200"}
    )


def test_a_round_is_begun_and_shows_what_cannot_be_read(box):
    ec2 = box.ec2()
    made = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    box.until_volume(made, "available")
    engine = box.app.engine
    box.in_trio(lambda: engine.put(engine._volumes[made], 5 << 20, b"x" * (1 << 20)))
    box.in_trio(lambda: engine._volumes[made].unreadable.add(5))
    assert command(box, "--now").exit_code in (0, 4)
    box.until(lambda: command(box).exit_code == 4)
    assert made in command(box).output
    report = json.loads(command(box, "-o", "json").output)[f"sc@{ZONE}"]
    assert report["unreadable"] == [{"volume_id": made, "offset_bytes": 5 << 20, "length_bytes": 1 << 20}]
    [shown] = ec2.describe_volume_status(VolumeIds=[made])["VolumeStatuses"]
    assert shown["VolumeStatus"]["Status"] == "impaired"
    ec2.delete_volume(VolumeId=made)
    box.until(lambda: not ec2.describe_volumes()["Volumes"])
    box.until(lambda: command(box).exit_code == 0)
