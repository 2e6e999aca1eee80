"""Settings that roles keep: changed while the cloud runs, by every way in, and still so after a restart."""

import json
import sqlite3

import pytest
from click.testing import CliRunner

from euca_box.cli import main
from euca_box.observe import failpoints
from euca_box.services.live import KEPT
from euca_box.settings import is_setting
from tests.api.browser import person
from tests.api.cloud_box import refused, running_cloud

pytest.importorskip("boto", reason="boto 2 needs Python 3.11", exc_type=ImportError)

from boto.exception import BotoServerError

from tests.api.test_configuration import connect


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("settings")) as box:
        box.cc, box.sc, box.node = "cc@us-east-1a", "sc@us-east-1a", f"nc@{box.app.host}"
        yield box


@pytest.fixture(autouse=True)
def as_configured(box):
    yield
    for at in ("clc", "walrus", box.cc, box.sc, box.node):
        box.admin_at(at, "ResetSettings", names=list(KEPT[at.partition("@")[0]]))


@pytest.fixture
def run(box, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    return lambda *args: CliRunner().invoke(main, ["config", *args, "--data-dir", str(box.data_dir)])


def change(box, at, **values):
    pairs = [[name.replace("__", "."), text] for name, text in values.items()]
    return {row["name"]: row for row in box.admin_at(at, "ChangeSettings", values=pairs)["settings"]}


def raw(box, at, **values):
    pairs = [[name.replace("__", "."), text] for name, text in values.items()]
    status, reply = box.admin_raw("POST", f"/ChangeSettings?at={at}", json.dumps({"values": pairs}).encode())
    return status, reply.get("message", "")


def test_every_setting_that_a_role_keeps_is_one_and_is_shown(box):
    for at in ("clc", "walrus", box.cc, box.sc, box.node):
        role = at.partition("@")[0]
        rows = box.admin_at(at, "GetSettings")["settings"]
        assert [row["name"] for row in rows] == list(KEPT[role])
        assert all(is_setting(row["name"]) and row["meaning"] for row in rows)
        assert all(row["value"] == row["configured"] and not row["changed_at"] for row in rows)


def test_each_kind_is_in_force_at_once(box):
    change(box, "clc", cloud__max_key_pairs="1")
    box.ec2().create_key_pair(KeyName="only")
    assert refused(box.ec2().create_key_pair, KeyName="another")[0] == "KeyPairLimitExceeded"
    change(box, box.sc, sc__max_volume_gib="2")
    too_large = {"AvailabilityZone": "us-east-1a", "Size": 3}
    assert box.ec2().create_volume(**too_large | {"Size": 2})["State"] == "creating"
    assert refused(box.ec2().create_volume, **too_large)[0] == "InvalidParameterValue"
    change(box, "walrus", walrus__max_buckets="1")
    box.client("s3").create_bucket(Bucket="first-one")
    assert refused(box.client("s3").create_bucket, Bucket="second-one")[0] == "TooManyBuckets"
    change(box, box.node, nc__cache_gib="7", nc__max_cores="3")
    assert box.app.nc.cache.limit_bytes == 7 << 30
    box.until(lambda: box.admin("DescribeCloud")["nodes"][0]["cores"] == 3, seconds=40)
    change(box, box.cc, cc__scheduler="ROUNDROBIN")


def test_all_values_are_taken_or_none_and_every_mistake_is_named(box):
    status, message = raw(
        box, "clc", cloud__max_images="9", cloud__max_volumes="-1", cloud__images_public="maybe"
    )
    assert status == 400 and "cloud.images_public" in message
    status, message = raw(box, "clc", cloud__max_images="9", cloud__max_volumes="-1", log__clc="LOUD")
    assert status == 400
    assert "cloud.max_volumes = -1 must be at least 0" in message
    assert 'log.clc = "LOUD" is not one of' in message and "DEBUG, INFO, WARNING, ERROR" in message
    rows = {row["name"]: row for row in box.admin_at("clc", "GetSettings")["settings"]}
    assert rows["cloud.max_images"]["value"] == "100"
    assert "placement policy; there are GREEDY, ROUNDROBIN" in raw(box, box.cc, cc__scheduler="BEST")[1]


@pytest.mark.parametrize(
    ("at", "name", "words"),
    [
        ("clc", "cloud__zone", "set it in the configuration file and start again"),
        ("clc", "walrus__max_buckets", "is kept by walrus, not by clc"),
        (
            "walrus",
            "walrus__buckets",
            "There is no setting walrus.buckets. walrus keeps walrus.max_image_gib",
        ),
        ("cc@us-east-1a", "cc__wake_command", "set it in the configuration file"),
        ("clc", "junk", "There is no setting junk"),
        ("clc", "__class__", "There is no setting"),
    ],
)
def test_what_no_role_keeps_says_where_it_is_set(box, at, name, words):
    status, message = raw(box, at, **{name: "1"})
    assert status == 400 and words in message


def test_what_needs_a_new_start_says_so_until_it_is_as_it_was(box):
    rows = change(box, "walrus", walrus__max_gib="1.5", walrus__lifecycle_day_seconds="60")
    assert rows["walrus.max_gib"]["waits"] and rows["walrus.lifecycle_day_seconds"]["waits"]
    again = change(box, "walrus", walrus__max_gib="0", walrus__lifecycle_day_seconds="86400")
    assert not any(row["waits"] for row in again.values())


def test_a_user_may_not_look_and_a_change_is_an_event(box):
    change(box, "clc", cloud__max_addresses="7")
    raw(box, "clc", cloud__max_addresses="-7")
    box.until(lambda: len(box.rows("clc", "SELECT * FROM event WHERE action = 'admin:ChangeSettings' AND "
                                          "parameters LIKE '%max_addresses%'")) >= 2)  # fmt: skip
    done, no = box.rows("clc", "SELECT * FROM event WHERE parameters LIKE '%max_addresses%' ORDER BY id")[-2:]
    assert (
        json.loads(done["parameters"])["resource"] == "clc: cloud.max_addresses=7" and not done["error_code"]
    )
    assert no["error_code"] == "InvalidParameterValue"
    with pytest.raises(BotoServerError) as caught:
        connect(box, "alice").get_object("DescribeProperties", {}, dict)
    assert caught.value.error_code == "UnauthorizedOperation"


def test_the_commands_get_set_list_and_reset(box, run):
    assert run("get", "cloud.max_images").stdout == "100\n"
    assert run("set", "cloud.max_images", "5").stdout == "cloud.max_images is 5 at clc now.\n"
    assert run("get", "cloud.max_images").stdout == "5\n"
    assert "cloud.max_images" in run("list", "--changed").stdout
    assert "cloud.max_volumes" not in run("list", "--changed").stdout
    assert "sc.max_volume_gib" in run("list", "--at", "sc").stdout
    assert run("reset", "cloud.max_images").stdout == "cloud.max_images is 100 at clc now.\n"
    later = run("set", "walrus.quotas", "000000000002=10/2.5, 000000000003=1/1")
    assert "from the next start on" in later.stdout
    assert json.loads(run("get", "walrus.quotas", "-o", "json").stdout)[0]["value"] == (
        "000000000002=10/2.5,000000000003=1/1"
    )
    for args, words in (
        (("set", "cloud.zone", "x"), "set it in /etc/euca-box/config.toml and start again"),
        (("set", "cloud.max_image", "5"), "Did you mean cloud.max_images?"),
        (("set", "cloud.max_images", "many"), "must be a whole number"),
        (("set", "sc.max_volume_gib", "5", "--at", "sc@elsewhere"), "no sc is known here at sc@elsewhere"),
    ):
        result = run(*args)
        assert result.exit_code == 1 and words in result.stderr
    assert run("set", "cloud.max_images").exit_code == 2


def test_the_tools_of_eucalyptus_read_and_change_them(box):
    admin = connect(box)

    def ask(action, **fields):
        reply = admin.make_request(action, fields, "/", "POST")
        return reply.status, reply.read().decode()

    status, text = ask("GetWalrusConfiguration", Name="walrus")
    assert status == 200, text
    assert status == 200 and "<euca:maxBucketsPerUser>0<" in text and "<euca:maxCacheSizeInMB>30720<" in text
    status, text = ask(
        "UpdateWalrusConfiguration", Name="walrus", MaxBucketsPerUser="5", MaxCacheSizeInMB="2048"
    )
    assert status == 200 and "<euca:maxBucketsPerUser>5<" in text
    status, text = ask("UpdateStorageConfiguration", Name="us-east-1a", MaxVolumeSizeInGB="10")
    assert status == 200 and "<euca:maxVolumeSizeInGB>10<" in text
    assert box.admin_at(box.sc, "GetSettings", names=["sc.max_volume_gib"])["settings"][0]["value"] == "10"
    assert ask("UpdateStorageConfiguration", MaxVolumeSizeInGB="10", ZeroFillVolumes="true")[0] == 400
    assert ask("UpdateStorageConfiguration", MaxVolumeSizeInGB="1e3")[0] == 400
    assert ask("UpdateWalrusConfiguration", MaxCacheSizeInMB="100")[0] == 400
    assert ask("GetStorageConfiguration", Name="elsewhere")[0] == 400
    status, text = ask("DescribeProperties")
    assert "<euca:name>us-east-1a.sc.max_volume_gib<" in text and "<euca:name>cloud.max_images<" in text
    assert f"<euca:name>{box.app.host}.nc.cache_gib<" in text
    status, text = ask("ModifyPropertyValue", Name="us-east-1a.sc.max_volume_gib", Value="12")
    assert "<euca:value>12<" in text and "<euca:oldValue>10<" in text
    status, text = ask("ModifyPropertyValue", Name="us-east-1a.sc.max_volume_gib", Reset="true")
    assert "<euca:value>1024<" in text
    assert ask("ModifyPropertyValue", Name="us-east-1a.sc.nothing", Value="1")[0] == 400
    assert ask("ModifyPropertyValue", Name="cloud.max_images")[0] == 400
    assert ask("ModifyPropertyValue", Name="cloud.max_images", Value="1", Extra="x")[0] == 400
    status, text = ask("ModifyPropertyValue", Name="log.cc", Value="DEBUG")
    assert status == 400
    assert ask("ModifyPropertyValue", Name="us-east-1a.log.cc", Value="DEBUG")[0] == 200


def test_the_page_of_the_console_changes_them_for_administrators_only(box):
    admin = person(box, "admin", "administrators battery 1")
    page = admin.get("/settings")
    assert "cloud.max_images" in page.text and "sc@us-east-1a" in page.text
    same = {"name": "cloud.max_images", "at": "clc"}
    assert admin.said(admin.post("/settings", **same, value="8", do="set")) == "The setting is changed."
    assert box.app.clc.settings.max_images == 8
    assert "must be at least 0" in admin.said(admin.post("/settings", **same, value="-8", do="set"))
    elsewhere = same | {"at": "host@x", "value": "1", "do": "set"}
    assert admin.said(admin.post("/settings", **elsewhere)) == "This component is not known."
    waits = {"name": "walrus.lifecycle_day_seconds", "at": "walrus", "value": "60", "do": "set"}
    assert "from the next start on" in admin.said(admin.post("/settings", **waits))
    admin.post("/settings", **same, do="reset")
    assert box.app.clc.settings.max_images == 100
    alice = person(box, "alice")
    assert "AccessDenied" in alice.post("/settings", **same, value="1", do="set").text
    assert box.app.clc.settings.max_images == 100


def test_a_change_is_in_force_after_a_restart_also_when_it_was_killed_behind_the_commit(tmp_path):
    with running_cloud(tmp_path, users=()) as box:
        change(box, "walrus", walrus__max_gib="1.5", log__walrus="ERROR")
        failpoints.arm("clc.settings.after-commit", "fail")
        try:
            assert raw(box, "clc", cloud__max_images="3")[0] == 500
        finally:
            failpoints.disarm_all()
    with sqlite3.connect(tmp_path / "data" / "cc" / "cc.db") as db:
        db.execute("INSERT INTO setting VALUES ('cc.scheduler', '\"GONE\"', 1, 'x')")
        db.execute("INSERT INTO setting VALUES ('cc.no_longer', '1', 1, 'x')")
    with running_cloud(tmp_path, users=()) as box:
        assert box.app.clc.settings.max_images == 3
        [row] = box.admin_at("walrus", "GetSettings", names=["walrus.max_gib"])["settings"]
        assert (row["value"], row["configured"], row["waits"]) == ("1.5", "0.0", False)
        assert row["changed_by"] == "the operator" and row["changed_at"] > 0
        assert box.app.config.cc.scheduler == "GREEDY"
        box.admin_at("walrus", "ResetSettings", names=["walrus.max_gib"])
        [row] = box.admin_at("walrus", "GetSettings", names=["walrus.max_gib"])["settings"]
        assert row["value"] == "0.0"
        box.admin_at("walrus", "ResetSettings", names=["log.walrus"])
