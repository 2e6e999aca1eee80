"""Data directories of every older version start under this one, keep what they had, and survive kills."""

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from euca_box.app import MIGRATIONS
from euca_box.config import ROLES
from euca_box.store import engine
from euca_box.store.store import StoreError
from tests.api.cloud_box import running_cloud

KEPT = sorted((Path(__file__).parent.parent / "data_dirs").glob("*.tar.xz"))
MIGRATE = """
import sqlite3, sys
from pathlib import Path
from euca_box.observe import failpoints
from euca_box.store import engine
failpoints.arm_from_environment()
db = sqlite3.connect(sys.argv[1])
engine.prepare(db, sys.argv[1])
engine.migrate(db, Path(sys.argv[2]), sys.argv[1])
"""


def unpacked(archive, folder):
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "data", filter="data")
    return json.loads((folder / "data" / "facts.json").read_text())


def schema_of(path):
    """Version and definitions; SQLite keeps the words of ALTER TABLE, so columns are compared."""
    with closing(sqlite3.connect(path)) as db:
        [version] = db.execute("PRAGMA user_version").fetchone()
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {n: sorted(r[1:3] for r in db.execute(f"PRAGMA table_info({n})")) for n in names}
        indexes = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    return version, columns, indexes


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What each role's database is when this version makes it."""
    folder = tmp_path_factory.mktemp("fresh")
    for role in ROLES:
        with closing(sqlite3.connect(folder / f"{role}.db")) as db:
            engine.prepare(db, str(folder / f"{role}.db"))
            engine.migrate(db, MIGRATIONS[role], str(folder / f"{role}.db"))
    return {role: schema_of(folder / f"{role}.db") for role in ROLES}


@pytest.mark.parametrize("archive", KEPT, ids=lambda path: path.name.partition(".")[0])
def test_an_older_cloud_goes_on_with_all_that_it_had(archive, tmp_path, fresh):
    facts = unpacked(archive, tmp_path)
    with closing(sqlite3.connect(tmp_path / "data" / "clc" / "clc.db")) as db:
        [older] = db.execute("PRAGMA user_version").fetchone()
    with running_cloud(tmp_path, users=()) as box:
        box.keys.update(facts["keys"])
        s3, ec2 = box.client("s3"), box.ec2()
        box.until_walrus_knows()
        small = s3.get_object(Bucket="kept-bucket", Key="small")
        assert (small["Body"].read(), small["ContentType"], small["Metadata"]) == (
            b"small",
            "text/plain",
            {"a": "b"},
        )
        assert s3.get_object(Bucket="kept-bucket", Key="large")["Body"].read() == b"\x07" * 700_000
        assert ec2.describe_key_pairs()["KeyPairs"][0]["KeyName"] == "kept-key"
        assert ec2.describe_images(ImageIds=[facts["image"]])["Images"][0]["State"] == "available"
        instance = box.instance(facts["instance"])
        assert instance["KeyName"] == "kept-key" and instance["ImageId"] == facts["image"]
        if facts["volume"]:
            assert box.volume(facts["volume"])["Size"] == 1
        [again] = box.run_instances(facts["image"], KeyName="kept-key")
        box.until_state(again, "running")
        box.terminate([again])
    assert (tmp_path / "data" / "clc" / f"clc.db.schema-{older:04}").stat().st_mode & 0o777 == 0o600
    for role in ROLES:
        path = tmp_path / "data" / role / f"{role}.db"
        assert schema_of(path) == fresh[role], role


@pytest.mark.parametrize("archive", KEPT, ids=lambda path: path.name.partition(".")[0])
@pytest.mark.parametrize("role", ROLES)
def test_a_kill_behind_each_migration_loses_nothing(archive, role, tmp_path, fresh):
    unpacked(archive, tmp_path)
    path = tmp_path / "data" / role / f"{role}.db"
    if not path.exists():
        pytest.skip("that version had no such role")
    with closing(sqlite3.connect(path)) as db:
        [version] = db.execute("PRAGMA user_version").fetchone()
        rows = {n: db.execute(f"SELECT count(*) FROM {n}").fetchone() for (n,) in tables(db)}
    older = version
    while version < fresh[role][0]:
        version += 1
        killed = {"EUCA_BOX_FAILPOINTS": f"store.migrate.after-{version:04}=kill"}
        command = [sys.executable, "-c", MIGRATE, str(path), str(MIGRATIONS[role])]
        done = subprocess.run(command, env=os.environ | killed, capture_output=True)
        assert done.returncode == -9, done.stderr
        assert schema_of(path)[0] == version
    assert schema_of(path) == fresh[role]
    subprocess.run([sys.executable, "-c", MIGRATE, str(path), str(MIGRATIONS[role])], check=True)
    if older < version:
        [copy] = path.parent.glob("*.schema-*")
        assert copy.name == f"{path.name}.schema-{older:04}"
        with closing(sqlite3.connect(copy)) as db:
            assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
            assert {n: db.execute(f"SELECT count(*) FROM {n}").fetchone() for n in rows} == rows
    assert not list(path.parent.glob("*.copying"))
    with closing(sqlite3.connect(path)) as db:
        now = {n: db.execute(f"SELECT count(*) FROM {n}").fetchone() for n in rows if (n,) in tables(db)}
    assert all(now[name] >= rows[name] for name in now if name not in ("object", "multipart_upload"))


def tables(db):
    return db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()


def test_a_newer_database_is_refused_and_not_touched(tmp_path):
    path = tmp_path / "clc.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with closing(sqlite3.connect(path)) as db, pytest.raises(StoreError, match="written by a newer euca-box"):
        engine.migrate(db, MIGRATIONS["clc"], str(path))
    assert path.read_bytes() == before


def test_no_room_for_the_copy_is_no_upgrade(tmp_path, monkeypatch):
    unpacked(KEPT[0], tmp_path)
    path = tmp_path / "data" / "clc" / "clc.db"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(engine.os, "open", full)
    with closing(sqlite3.connect(path)) as db, pytest.raises(StoreError, match="a copy of it cannot be kept"):
        engine.migrate(db, MIGRATIONS["clc"], str(path))
    monkeypatch.undo()
    assert schema_of(path)[0] == 1 and not list(path.parent.glob("*.copying"))
