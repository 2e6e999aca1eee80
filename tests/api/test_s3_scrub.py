"""What the operator is told of damaged versions: by the admin socket and by the command."""

import json

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from euca_box.cli import main
from tests.api.cloud_box import running_cloud

KEY = "[red]torn\x1b[31m"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), users=("alice",)) as box:
        yield box


@pytest.fixture
def command(box):
    return lambda *words: CliRunner().invoke(
        main, ["walrus", "scrub", *words, "--data-dir", str(box.data_dir)], env={"COLUMNS": "200"}
    )


@pytest.fixture(scope="module")
def damaged(box):
    """The file of a version whose bytes were changed behind our back, and that somebody has tried to read."""
    s3 = box.client("s3")
    s3.create_bucket(Bucket="torn")
    s3.put_object(Bucket="torn", Key=KEY, Body=b"x" * 100_000)
    [file] = [p for p in (box.data_dir / "walrus" / "objects").rglob("*") if p.is_file()]
    file.write_bytes(b"x" * 99_999 + b"y")
    with pytest.raises(ClientError, match="InternalError"):
        s3.get_object(Bucket="torn", Key=KEY)
    return file


def test_nothing_damaged_is_said_and_a_success(box, command):
    report = box.admin("GetScrub")
    assert report["quarantine"] == []
    assert command().exit_code == 0
    assert "No version is damaged" in command().output


def test_a_damaged_version_is_shown_with_its_place(box, command, damaged):
    [found] = box.admin("GetScrub")["quarantine"]
    assert (found["bucket"], found["key"], found["version_id"]) == ("torn", KEY, "null")
    assert damaged.as_posix().endswith(found["file"])
    shown = command()
    assert (shown.exit_code, "torn" in shown.output) == (4, True)
    assert "[red]torn" in shown.output
    assert "\x1b" not in shown.output
    assert json.loads(command("-o", "json").output)["quarantine"] == [found]


def test_a_round_begins_when_the_operator_wants_it_and_lifts_what_is_whole_again(box, command, damaged):
    damaged.write_bytes(b"x" * 100_000)
    assert "MiB read" in command("--now").output
    box.until(lambda: box.admin("GetScrub")["quarantine"] == [])
    assert box.client("s3").get_object(Bucket="torn", Key=KEY)["Body"].read() == b"x" * 100_000
    box.until(lambda: box.admin("GetScrub")["is_done"])
