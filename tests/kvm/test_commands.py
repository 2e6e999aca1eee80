"""The commands of the README's first screen, as a person types them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kvm.test_first_guest import cloud

__all__ = ["cloud"]  # the fixture

pytestmark = [pytest.mark.kvm, pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")]


def test_from_the_demo_image_to_a_shell_and_the_console(cloud):
    built = cloud.run("image", "build", "demo", "-o", "json")
    image_id = json.loads(built.stdout)["image_id"]
    assert image_id.startswith("emi-")
    assert json.loads(cloud.run("image", "build", "demo", "-o", "json").stdout)["image_id"] == image_id

    launched = cloud.run("launch", "hello", "-o", "json")
    assert launched.returncode == 0, launched.stderr
    instance_id = json.loads(launched.stdout)["instance_id"]

    inside = cloud.run("ssh", instance_id, "hostname; id -un")
    assert re.fullmatch(r"ip-10-87-0-\d+\nroot\n", inside.stdout), inside.stderr

    console = subprocess.run(
        cloud.command("console", instance_id),
        env=cloud.environment, input=b"\n\x1d", capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert console.returncode == 0
    assert f"ready {instance_id}".encode() in console.stdout

    # What follows `aws` is the AWS CLI's own, so our flag comes first.
    aws = [sys.executable, "-m", "euca_box", "aws", "--data-dir", str(cloud.data.path)]
    described = subprocess.run(
        [*aws, "ec2", "describe-instances", "--output", "json"],
        env=cloud.environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    [instance] = json.loads(described.stdout)["Reservations"][0]["Instances"]
    assert instance["Tags"] == [{"Key": "Name", "Value": "hello"}]
    cloud.terminate([instance_id])
    assert cloud.leftovers() == []


def test_a_command_says_what_to_do_when_nothing_runs(cloud, tmp_path):
    command = [*cloud.command("status")[:-1], str(tmp_path)]
    done = subprocess.run(command, env=cloud.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Start it: euca-box run" in done.stderr
    assert cloud.run("ssh", "i-00000000").returncode == 1
    assert "no instance" in cloud.run("console", "i-00000000").stderr
