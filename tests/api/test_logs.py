"""The logs of a cloud that runs: one request through all roles, no secret, and nobody else may read them."""

import json
import logging
import threading

import pytest
from click.testing import CliRunner

from euca_box.cli import main
from euca_box.observe import logs
from tests.api.cloud_box import running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.set_up(folder, "INFO", host="here", terminal="off")
    for role in ("clc", "walrus", "cc", "sc", "nc", "box"):
        logs.set_level(role, "DEBUG")  # not of boto, which shares the process
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        box.image = box.register_images()[2]
        yield box
    logs.set_up(None, "WARNING", terminal="off")
    for name in logs._LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(box, at, **asked):
    return [json.loads(line) for line in box.admin_at(at, "GetLogs", **asked)["lines"]]


def test_a_launch_has_its_request_id_in_every_role_on_its_way(box):
    reply = box.ec2().run_instances(ImageId=box.image, MinCount=1, MaxCount=1)
    request_id, instance_id = reply["ResponseMetadata"]["RequestId"], reply["Instances"][0]["InstanceId"]
    box.until_state(instance_id, "running")
    for at in ("clc", "cc@us-east-1a", f"nc@{box.app.host}"):
        found = lines(box, at, request=request_id)
        assert any(instance_id in line["message"] for line in found), at
        assert {line["role"] for line in found} <= {at.partition("@")[0], "box"}
    ended = box.ec2().terminate_instances(InstanceIds=[instance_id])["ResponseMetadata"]["RequestId"]
    box.until_state(instance_id, "terminated")
    for at in ("clc", "cc@us-east-1a", f"nc@{box.app.host}"):
        assert any(instance_id in line["message"] for line in lines(box, at, request=ended)), at


def test_each_thing_that_was_done_or_refused_is_an_event_record(box):
    box.ec2().create_key_pair(KeyName="one")
    with pytest.raises(Exception, match="Duplicate"):
        box.ec2().create_key_pair(KeyName="one")
    words = [x["message"] for x in lines(box, "clc", about="ec2:CreateKeyPair")]
    assert words[-2].endswith(": done") and "InvalidKeyPair.Duplicate" in words[-1]
    assert f"arn:aws:iam::{box.account()}" in words[-1] and "127.0.0.1" in words[-1]


def test_no_line_has_a_secret_of_a_session_with_every_api(box):
    """Keys, passwords, tokens, private keys, user data: whatever the level."""
    key = box.ec2().create_key_pair(KeyName="secret-key")["KeyMaterial"]
    session = box.client("sts").get_session_token()["Credentials"]
    s3 = box.client("s3")
    s3.create_bucket(Bucket="b-logs")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "b-logs", "Key": "absent"})
    box.admin("SetPassword", name="alice", password="Sekret-word-1234")
    user_data = "user-data-that-is-secret"
    [instance_id] = box.run_instances(box.image, UserData=user_data)
    box.until_state(instance_id, "running")
    box.terminate([instance_id])
    with pytest.raises(Exception, match="NoSuchKey"):
        s3.get_object(Bucket="b-logs", Key="absent")
    text = "".join(path.read_text() for path in logs.log_file().paths())
    assert len(text.splitlines()) > 15
    for secret in (
        box.credentials()[1],
        box.credentials("admin")[1],
        session["SecretAccessKey"],
        session["SessionToken"],
        url.partition("Signature=")[2].partition("&")[0],
        "Sekret-word-1234",
        user_data,
        key.splitlines()[3],
        (box.data_dir / "master.key").read_bytes().hex(),
    ):
        assert secret and secret not in text
    assert "PRIVATE KEY-----\\nM" not in text


def test_users_cannot_read_them_and_wrong_questions_are_refused(box):
    assert box.admin_raw("POST", "/GetLogs", b"{}")[0] >= 400
    assert box.admin_raw("POST", "/GetLogs?at=nc@absent", b"{}")[0] == 503
    assert (
        box.admin_raw("POST", "/GetLogs?at=clc", b'{"level":"LOUD"}')[1]["error"] == "InvalidParameterValue"
    )
    assert box.admin_raw("POST", "/GetLogs?at=clc", b'{"most":100000}')[0] == 400


def test_one_who_follows_gets_a_line_when_it_is_written(box):
    cursor = box.admin_at("walrus", "GetLogs", most=1)["cursor"]
    found = []

    def follow():
        found.extend(lines(box, "walrus", after=cursor, wait_seconds=15.0, about="just now"))

    thread = threading.Thread(target=follow)
    thread.start()
    logging.getLogger("euca_box.roles.cc").info("just now, but of another role")
    logging.getLogger("euca_box.objects").info("just now")
    thread.join(15)
    assert [line["message"] for line in found] == ["just now"]


def test_the_command_shows_them_in_the_order_of_time(box, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    logging.getLogger("euca_box.roles.sc").warning("first \x1b[31m %s", "of the sc")
    logging.getLogger("euca_box.roles.clc").info("second")

    def run(*args):
        return CliRunner().invoke(main, ["logs", *args, "--data-dir", str(box.data_dir)])

    shown = run("-n", "20").stdout.splitlines()
    times = [line[:23] for line in shown]
    assert times == sorted(times)
    first = next(line for line in shown if "of the sc" in line)
    assert " here sc     warning: first �[31m of the sc" in first
    assert len([line for line in shown if line.endswith("second")]) == 1
    assert "of the sc" not in run("--role", "clc").stdout
    assert run("--role", "xc").exit_code == 1 and "Known: clc" in run("--role", "xc").stderr
    assert run("--since", "soon").exit_code == 2
    assert run("--host", "elsewhere").stdout == ""
    assert json.loads(run("--about", "of the sc", "-o", "json").stdout)["role"] == "sc"
