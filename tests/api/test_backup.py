"""Backups under load: everything is as of one moment, verified, and comes back byte by byte."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from euca_box.backup.contents import Contents, decoded
from euca_box.backup.point import BackupError
from euca_box.cli import main
from tests.api.cloud_box import running_cloud

LARGE = 700_000  # more than what stands in a row


@pytest.fixture
def command(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def run(*args):
        return CliRunner().invoke(main, ["backup", *map(str, args)])

    return run


def content(number: int) -> bytes:
    return bytes([number % 251]) * (LARGE if number % 2 else 100)


class Load:
    """Writes, overwrites and deletes until it is told to stop; knows what was acknowledged, and when."""

    def __init__(self, s3):
        self.s3, self.stopped = s3, threading.Event()
        self.acknowledged: list[
            tuple[float, float, str, int | None]
        ] = []  # begun, done, key, content or gone
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        number = 0
        while not self.stopped.is_set():
            number += 1
            key, begun = f"k{number % 7}", time.time()
            if number % 5 == 0:
                self.s3.delete_object(Bucket="load", Key=key)
                self.acknowledged.append((begun, time.time(), key, None))
            else:
                self.s3.put_object(Bucket="load", Key=key, Body=content(number))
                self.acknowledged.append((begun, time.time(), key, number))

    def stop(self):
        self.stopped.set()
        self.thread.join()

    def at(self, moment: float) -> dict[str, set[int | None]]:
        """What each key may hold at the moment: one that was being written then may be either."""
        state: dict[str, set[int | None]] = {}
        for begun, done, key, number in self.acknowledged:
            if done <= moment:
                state[key] = {number}
            elif begun <= moment:
                state.setdefault(key, {None}).add(number)
        return state


def test_a_backup_under_load_comes_back_as_of_its_moment(tmp_path, command):
    with running_cloud(tmp_path / "a") as box:
        s3 = box.client("s3")
        s3.create_bucket(Bucket="load")
        box.ec2().create_key_pair(KeyName="kept")
        volume = box.ec2().create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
        box.until_volume(volume, "available")
        load = Load(s3)
        try:
            box.until(lambda: len(load.acknowledged) > 20)
            made = command(
                "create", "--objects", "--to", tmp_path / "b", "-o", "json", "--data-dir", box.data_dir
            )
            assert made.exit_code == 0, made.stderr
            before = len(load.acknowledged)
            box.until(lambda: len(load.acknowledged) > before + 20)
        finally:
            load.stop()
        box.ec2().create_key_pair(KeyName="later")
        assert not box.in_trio(lambda: box.app.walrus.held_until)
        keys, name = box.keys, json.loads(made.stdout)["name"]
    contents = decoded((tmp_path / "b" / name / "contents.json").read_bytes())
    restored = command("restore", name, "--from", tmp_path / "b", "--data-dir", tmp_path / "c" / "data")
    assert restored.exit_code == 0, restored.stderr
    with running_cloud(tmp_path / "c", users=()) as box:
        box.keys.update(keys)
        s3 = box.client("s3")
        expected = load.at(contents.point_at)
        assert len(expected) == 7
        for key, possible in expected.items():
            try:
                found = s3.get_object(Bucket="load", Key=key)["Body"].read()
            except s3.exceptions.NoSuchKey:
                assert None in possible, key
            else:
                assert found in {content(n) for n in possible if n is not None}, key
        names = [k["KeyName"] for k in box.ec2().describe_key_pairs()["KeyPairs"]]
        assert names == ["kept"]
        assert box.ec2().describe_volumes()["Volumes"][0]["VolumeId"] == volume
        # and what is deleted now goes: nothing holds it any more
        for key in expected:
            s3.delete_object(Bucket="load", Key=key)
        files = box.data_dir / "walrus" / "objects"
        box.until(lambda: not list(files.glob("[0-9a-f][0-9a-f]/*")))


def test_bytes_that_nobody_names_stay_while_a_backup_is_made_and_go_in_any_case(tmp_path):
    with running_cloud(tmp_path) as box:
        s3, files = box.client("s3"), box.data_dir / "walrus" / "objects"
        s3.create_bucket(Bucket="kept")
        box.admin("HoldRemovals", hold_seconds=2.0)
        s3.put_object(Bucket="kept", Key="k", Body=content(1))
        s3.delete_object(Bucket="kept", Key="k")
        assert len(list(files.glob("[0-9a-f][0-9a-f]/*"))) == 1
        box.until(lambda: not list(files.glob("[0-9a-f][0-9a-f]/*")))
        assert box.admin_raw("POST", "/HoldRemovals", b'{"hold_seconds": 1e9}')[0] == 400


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A data directory with something in it, whose cloud does not run, and a backup of it."""
    folder = tmp_path_factory.mktemp("stopped")
    with running_cloud(folder) as box:
        box.client("s3").create_bucket(Bucket="kept")
        box.client("s3").put_object(Bucket="kept", Key="k", Body=content(1))
        keys = box.keys
    made = CliRunner().invoke(
        main, ["backup", "create", "--objects", "--volumes", "--to", str(folder / "b"), "-o", "json",
               "--data-dir", str(folder / "data")],
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    return folder, json.loads(made.stdout)["name"], keys


def test_only_its_owner_reads_a_backup_and_lists_and_verifies_it(stopped, command):
    folder, name, _ = stopped
    for path in (folder / "b").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert [
        row["name"] for row in json.loads(command("list", "--from", folder / "b", "-o", "json").stdout)
    ] == [name]
    assert "are as they were written" in command("verify", name, "--from", folder / "b").stdout
    listed = {entry.path for entry in decoded((folder / "b" / name / "contents.json").read_bytes()).entries}
    assert {
        "clc/clc.db",
        "walrus/walrus.db",
        "master.key",
        "ca.key",
        "host.key",
        "initialised.json",
    } <= listed


def test_a_live_cloud_and_one_that_is_there_are_not_overwritten(stopped, command, tmp_path):
    folder, name, _ = stopped
    with running_cloud(tmp_path, users=()) as box:
        result = command("restore", name, "--from", folder / "b", "--replace", "--data-dir", box.data_dir)
        assert result.exit_code == 1 and "is in use by process" in result.stderr
    before = (tmp_path / "data" / "clc" / "clc.db").read_bytes()
    result = command("restore", name, "--from", folder / "b", "--data-dir", tmp_path / "data")
    assert result.exit_code == 1 and "--replace moves it aside" in result.stderr
    assert (tmp_path / "data" / "clc" / "clc.db").read_bytes() == before


@pytest.mark.parametrize("damage", ["flip", "shorten", "lose"])
def test_a_damaged_backup_is_refused_before_anything_is_touched(stopped, command, tmp_path, damage):
    folder, name, _ = stopped
    copy = tmp_path / "b"
    subprocess.run(["cp", "-a", folder / "b", copy], check=True)
    victim = copy / name / "walrus" / "walrus.db"
    data = victim.read_bytes()
    if damage == "flip":
        victim.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    elif damage == "shorten":
        victim.write_bytes(data[:-1])
    else:
        victim.unlink()
    result = command("restore", name, "--from", copy, "--data-dir", tmp_path / "data")
    assert result.exit_code == 1 and "walrus/walrus.db" in result.stderr
    assert not (tmp_path / "data" / "clc" / "clc.db").exists()
    assert not (tmp_path / "data" / "restoring.json").exists()


def test_hostile_lists_name_nothing_outside():
    good = Contents("n", 0.0, "1", "h", {}, (), ())
    for path in ("../etc/passwd", "/etc/passwd", "a/../../b", ""):
        text = json.loads(good.encoded()) | {
            "entries": [{"path": path, "size_bytes": 1, "sha256": "", "mode": 0}]
        }
        with pytest.raises(BackupError):
            decoded(json.dumps(text).encode())
    text = json.loads(good.encoded()) | {
        "entries": [{"path": "a", "size_bytes": 1, "sha256": "", "mode": 0o4755}]
    }
    with pytest.raises(BackupError, match="mode"):
        decoded(json.dumps(text).encode())
    for name in ("../x", "a/b", "", "-f", "x" * 200):
        with pytest.raises(BackupError, match="no name"):
            decoded(json.dumps(json.loads(good.encoded()) | {"name": name}).encode())
    with pytest.raises(BackupError, match="newer"):
        decoded(json.dumps(json.loads(good.encoded()) | {"format": 2}).encode())


def test_a_restore_that_was_killed_lets_no_cloud_start_until_it_is_done(stopped, command, tmp_path):
    """Killed at the marker, then behind each of the first files; the last run finishes."""
    folder, name, keys = stopped
    with running_cloud(tmp_path, users=()) as box:
        other = box.data_dir
    program = (
        "from euca_box.observe import failpoints; failpoints.arm_from_environment()\n"
        "from euca_box.cli import main; main()"
    )
    arguments = [sys.executable, "-c", program, "backup", "restore", name, "--from", str(folder / "b")]
    arguments += ["--replace", "--data-dir", str(other)]
    for place in ("backup.restore.after-marker", "backup.restore.after-file"):
        environment = os.environ | {"EUCA_BOX_FAILPOINTS": f"{place}=kill"}
        assert subprocess.run(arguments, env=environment, capture_output=True).returncode == -9
        started = CliRunner().invoke(main, ["init", "--data-dir", str(other)])
        assert started.exit_code == 1 and "was not finished" in started.stderr
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    aside = other / f"replaced-{name}"
    with sqlite3.connect(aside / "clc" / "clc.db") as db:
        assert db.execute("SELECT count(*) FROM user").fetchone()[0] == 1
    with running_cloud(tmp_path, users=()) as box:
        box.keys.update(keys)
        assert box.client("s3").get_object(Bucket="kept", Key="k")["Body"].read() == content(1)


def test_a_bucket_of_another_cloud_keeps_backups_too(stopped, command, tmp_path, monkeypatch):
    folder, _, keys = stopped
    with running_cloud(tmp_path / "other") as other:
        other.client("s3").create_bucket(Bucket="backups")
        key, secret = other.credentials()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", other.url)
        place = ("--to", "s3://backups/euca/one")
        assert command("create", "--volumes", *place, "--data-dir", folder / "data").exit_code == 1
        assert command("create", "--objects", *place, "--data-dir", folder / "data").exit_code == 0
        [row] = json.loads(command("list", *place, "-o", "json").stdout)
        result = command("restore", row["name"], *place, "--data-dir", tmp_path / "data")
        assert result.exit_code == 0, result.stderr
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        assert "AWS_SECRET_ACCESS_KEY" in command("list", *place).stderr
        assert command("list", "--from", "s3://absent/x").exit_code == 1
    with running_cloud(tmp_path, users=()) as box:
        box.keys.update(keys)
        assert box.client("s3").get_object(Bucket="kept", Key="k")["Body"].read() == content(1)


def test_what_was_not_finished_is_no_backup_and_leaves_nothing(stopped, command, tmp_path, monkeypatch):
    from euca_box.backup import creating

    folder, _, _ = stopped
    monkeypatch.setattr(creating, "verify", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    result = command("create", "--to", tmp_path / "b", "--data-dir", folder / "data")
    assert result.exit_code == 1 and "No space left" in result.stderr
    assert list(Path(tmp_path / "b").iterdir()) == []
