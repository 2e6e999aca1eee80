"""The bundle for who shall help: what is needed is in it, and no secret."""

import tarfile

import pytest
from click.testing import CliRunner

from euca_box.cli import main
from euca_box.observe import logs
from tests.api.cloud_box import running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    logs.set_up(tmp_path_factory.mktemp("logs"), "INFO", host="here", terminal="off")
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        yield box
    logs.set_up(None, "WARNING", terminal="off")


def unpacked(path):
    with tarfile.open(path) as tar:
        return {m.name.partition("/")[2]: tar.extractfile(m).read().decode() for m in tar.getmembers()}


def test_it_has_state_findings_and_logs_of_every_role_and_no_secret(box, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "EUCA_BOX__WALRUS__NOTIFICATION_TARGETS", '["hook=https://u:Sekret-hook-1@h.example/x"]'
    )
    key = box.ec2().create_key_pair(KeyName="k")["KeyMaterial"]
    box.admin("SetPassword", name="alice", password="Sekret-word-1234")
    box.client("s3").create_bucket(Bucket="support")
    box.client("s3").put_object(Bucket="support", Key="o", Body=b"bytes-of-a-user")
    [instance_id] = box.run_instances(box.register_images()[2], UserData="user-data-of-a-user")
    box.until_state(instance_id, "running")
    target = tmp_path / "b.tar.gz"
    done = CliRunner().invoke(
        main, ["support", "bundle", "--to", str(target), "--data-dir", str(box.data_dir)]
    )
    assert done.exit_code == 0, done.output
    assert target.stat().st_mode & 0o777 == 0o600
    parts = unpacked(target)
    node = f"nc@{box.app.host}"
    wanted = {"versions.json", "settings.json", "status.json", "cloud.json", "components.json", "doctor.json"}
    assert wanted | {"files.txt", "logs/clc.jsonl", f"logs/{node}.jsonl", f"settings/{node}.json"} <= set(
        parts
    )
    assert instance_id in parts["logs/clc.jsonl"] and "master.key" in parts["files.txt"]
    text = "".join(parts.values())
    for secret in (
        box.credentials()[1],
        box.credentials("admin")[1],
        "Sekret-word-1234",
        "Sekret-hook-1",
        "bytes-of-a-user",
        "user-data-of-a-user",
        key.splitlines()[3],
        "PRIVATE KEY-----\\n",
        (box.data_dir / "master.key").read_bytes().hex(),
    ):
        assert secret not in text
    box.terminate([instance_id])


def test_without_a_cloud_it_has_what_this_host_says(tmp_path):
    target = tmp_path / "b.tar.gz"
    done = CliRunner().invoke(
        main, ["support", "bundle", "--to", str(target), "--data-dir", str(tmp_path / "none")]
    )
    assert done.exit_code == 0, done.output
    assert {"versions.json", "doctor.json", "box.log"} <= set(unpacked(target))
