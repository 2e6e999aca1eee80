"""s3cmd, rclone and s3fs against S3: what people keep their backups with, each in its own ways.

s3fs needs other versions of botocore than ours: EUCA_BOX_S3FS_PYTHON names an interpreter that has it.
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.s3_box import ALICE, BOB, S3Box, running_s3

Run = Callable[..., subprocess.CompletedProcess]
NAMES = ("plain.txt", "with blank.txt", "ä ö+ü.txt", "deep/er/and deeper/100%.bin", "deep/~tilde'quote.txt")
S3FS = os.environ.get("EUCA_BOX_S3FS_PYTHON", "")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Box]:
    with running_s3(tmp_path_factory.mktemp("tools")) as made:
        yield made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of files with names that are hard to quote, one of them large enough for parts."""
    folder, chance = tmp_path / "tree", random.Random(1)
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(1000))
    (folder / "large.bin").write_bytes(chance.randbytes(20 << 20))
    (folder / "empty").write_bytes(b"")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def runner(program: str, *always: Any, **environment: str) -> Run:
    def run(*words: Any, code: int = 0) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [program, *map(str, always), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={n: v for n, v in os.environ.items() if not n.startswith("AWS_")} | environment,
        )
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        return done

    return run


@pytest.fixture(params=["4", "2006"])
def s3cmd(request: pytest.FixtureRequest, box: S3Box, tmp_path: Path) -> Run:
    if not shutil.which("s3cmd"):
        pytest.skip("needs s3cmd")
    host = f"127.0.0.1:{box.port}"
    (tmp_path / "s3cfg").write_text(
        f"[default]\naccess_key = {ALICE.access_key_id}\nsecret_key = {ALICE.secret_access_key}\n"
        f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\nbucket_location = us-east-1\n"
        f"multipart_chunk_size_mb = 5\nsignature_v2 = {request.param == '2006'}\n"
    )
    return runner("s3cmd", "-c", tmp_path / "s3cfg", "--no-progress")


def test_s3cmd_syncs_a_tree_there_and_back_and_removes_it(
    s3cmd: Run, tree: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bucket = f"s3://s3cmd-{request.node.callspec.params['s3cmd']}"
    s3cmd("mb", bucket)
    s3cmd("sync", f"{tree}/", f"{bucket}/there/")
    assert "Done. Uploaded" not in s3cmd("sync", f"{tree}/", f"{bucket}/there/").stdout
    (tmp_path / "back").mkdir()
    s3cmd("sync", f"{bucket}/there/", f"{tmp_path}/back/")
    assert contents(tmp_path / "back") == contents(tree)

    listed = s3cmd("ls", "-r", f"{bucket}/").stdout
    assert all(f"{bucket}/there/{name}" in listed for name in NAMES)
    below = s3cmd("ls", f"{bucket}/there/").stdout.split("\n")
    assert any(line.split() == ["DIR", f"{bucket}/there/deep/"] for line in below)
    s3cmd("cp", f"{bucket}/there/large.bin", f"{bucket}/copy.bin")
    s3cmd("setacl", "--acl-public", f"{bucket}/there/plain.txt")
    assert "*anon*: READ" in s3cmd("info", f"{bucket}/there/plain.txt").stdout
    s3cmd("rb", bucket, code=13)  # it is not empty
    s3cmd("del", "-r", "-f", bucket + "/")
    s3cmd("rb", bucket)


@pytest.fixture
def rclone(box: S3Box, tmp_path: Path) -> Run:
    if not shutil.which("rclone"):
        pytest.skip("needs rclone")
    return runner(
        "rclone",
        "--config",
        tmp_path / "none",
        "--s3-chunk-size=5M",
        "--s3-upload-cutoff=6M",
        "--retries=1",
        "--low-level-retries=1",
        RCLONE_CONFIG_BOX_TYPE="s3",
        RCLONE_CONFIG_BOX_PROVIDER="Other",
        RCLONE_CONFIG_BOX_ENDPOINT=box.url,
        RCLONE_CONFIG_BOX_ACCESS_KEY_ID=ALICE.access_key_id,
        RCLONE_CONFIG_BOX_SECRET_ACCESS_KEY=ALICE.secret_access_key,
    )


def test_rclone_syncs_checks_and_purges_a_tree(rclone: Run, tree: Path, tmp_path: Path) -> None:
    rclone("mkdir", "box:rclone")
    rclone("sync", tree, "box:rclone/there")
    rclone("check", "--download", tree, "box:rclone/there")
    rclone("copy", "box:rclone/there", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tree)

    (tree / "plain.txt").write_text("changed")
    (tree / "empty").unlink()
    rclone("sync", tree, "box:rclone/there")
    listed = {
        entry["Path"] for entry in json.loads(rclone("lsjson", "-R", "--files-only", "box:rclone").stdout)
    }
    assert listed == {f"there/{name}" for name in contents(tree)}
    rclone("copyto", "box:rclone/there/large.bin", "box:rclone/copied.bin")
    assert rclone("cat", "box:rclone/there/plain.txt").stdout == "changed"
    assert rclone("cat", "--offset=2", "--count=3", "box:rclone/there/plain.txt").stdout == "ang"
    rclone("purge", "box:rclone")
    assert "rclone" not in rclone("lsd", "box:").stdout


def test_rclone_is_told_when_a_bucket_is_another_account_s(rclone: Run, box: S3Box, tree: Path) -> None:
    box.client(BOB).create_bucket(Bucket="of-bob")
    box.client(BOB).put_object(Bucket="of-bob", Key="k", Body=b"secret")
    for words in (("cat", "box:of-bob/k"), ("ls", "box:of-bob"), ("copy", tree / "empty", "box:of-bob")):
        failed = rclone(*words, code=1)
        assert "AccessDenied" in failed.stderr or "Forbidden" in failed.stderr


PROGRAM = """
import json, sys, s3fs
fs = s3fs.S3FileSystem(key=sys.argv[2], secret=sys.argv[3], client_kwargs={"endpoint_url": sys.argv[1]})
fs.mkdir("of-s3fs")
with fs.open("of-s3fs/a/b c.txt", "wb") as f:
    f.write(b"x" * (12 << 20))
    f.write(b"end")
with fs.open("of-s3fs/a/b c.txt", "rb") as f:
    f.seek(-3, 2)
    tail = f.read().decode()
fs.pipe({"of-s3fs/one": b"1", "of-s3fs/two": b"2"})
fs.copy("of-s3fs/one", "of-s3fs/three")
found = dict(tail=tail, listed=sorted(fs.find("of-s3fs")), three=fs.cat("of-s3fs/three").decode(),
             size=fs.info("of-s3fs/a/b c.txt")["size"], absent=fs.exists("of-s3fs/absent"))
fs.rm("of-s3fs", recursive=True)
print(json.dumps(found))
"""


@pytest.mark.skipif(not S3FS, reason="EUCA_BOX_S3FS_PYTHON names no interpreter with s3fs")
def test_s3fs_reads_and_writes_as_a_file_system(box: S3Box) -> None:
    python = runner(S3FS, "-c", PROGRAM)
    found = json.loads(python(box.url, ALICE.access_key_id, ALICE.secret_access_key).stdout)
    assert found == {
        "tail": "end",
        "listed": ["of-s3fs/a/b c.txt", "of-s3fs/one", "of-s3fs/three", "of-s3fs/two"],
        "three": "1",
        "size": (12 << 20) + 3,
        "absent": False,
    }
