"""`euca-box credentials`: each file of the zip by the client that it is for, over plain HTTP and over TLS."""

import configparser
import json
import os
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner

from euca_box.cli import main
from tests.api.cloud_box import CloudBox, running_cloud

AWS = shutil.which("aws") or str(Path(shutil.which("pytest") or "").parent / "aws")


@pytest.fixture(scope="module", params=["off", "on"])
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("credentials"), api={"tls": request.param}) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def folder(box: CloudBox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked zip of alice."""
    out = tmp_path_factory.mktemp("zip") / "alice.zip"
    said = command(box, "alice", "--format", "zip", "--out", str(out))
    assert "README.txt" in said
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    subprocess.run(["unzip", "-q", str(out), "-d", str(out.parent)], check=True)
    return out.parent / "euca-box-alice"


def command(box: CloudBox, *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, ["credentials", *words, "--data-dir", str(box.data_dir)])
    assert done.exit_code == code, done.output
    return done.output


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "EC2_"))}


def run(*words: str, **environment: str) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=120, check=False, env=clean() | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_zip_has_every_file_for_its_owner_only(box: CloudBox, folder: Path) -> None:
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {
        *("README.txt", "eucarc", "env.sh", "aws/config", "aws/credentials", "euca2ools.ini", "s3cfg"),
        *("provider_override.tf", "rclone.conf", "mc.json", "ca.pem", "cloud-cert.pem"),
        *("euca-box-alice-cert.pem", "euca-box-alice-pk.pem"),
    }
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o600}


def test_the_aws_cli_works_with_the_variables(box: CloudBox, folder: Path, tmp_path: Path) -> None:
    script = f". {folder}/env.sh && cd / && {AWS} sts get-caller-identity"
    assert json.loads(run("bash", "-c", script, HOME=str(tmp_path)))["Account"] == box.account()


def test_eucarc_has_what_1_6_2_had_and_leads_todays_clients(
    box: CloudBox, folder: Path, tmp_path: Path
) -> None:
    script = (
        f". {folder}/eucarc && cd / && {AWS} sts get-caller-identity >&2 && test -f $EC2_CERT && "
        'test -f $EC2_PRIVATE_KEY && test -f $EUCALYPTUS_CERT && echo "$EC2_USER_ID $EC2_URL $S3_URL"'
    )
    user, ec2, s3 = run("bash", "-c", script, HOME=str(tmp_path)).split()
    assert user == box.account()
    assert ec2.endswith("/services/Eucalyptus") and s3.endswith("/services/Walrus")


def test_installing_adds_a_profile_and_leaves_the_others(
    box: CloudBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    aws = tmp_path / ".aws"
    aws.mkdir()
    config = (
        "[default]\nregion = eu-central-1\n# mine\n[profile euca-box]\nregion = old\n[profile z]\nx = 1\n"
    )
    (aws / "config").write_text(config)
    (aws / "credentials").write_text("[default]\naws_access_key_id = MINE\naws_secret_access_key = mine")
    for _ in range(2):
        command(box, "alice", "--install")
    kept = (aws / "config").read_text()
    assert kept.startswith("[default]\nregion = eu-central-1\n# mine\n[profile z]\nx = 1\n")
    assert kept.count("[profile euca-box]") == 1 and "old" not in kept
    assert "aws_access_key_id = MINE" in (aws / "credentials").read_text()
    assert stat.S_IMODE((aws / "credentials").stat().st_mode) == 0o600
    assert (aws / "credentials.before-euca-box").exists()
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(aws / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(aws / "credentials"))
    session = boto3.Session(profile_name="euca-box")
    assert session.client("sts").get_caller_identity()["Account"] == box.account()
    session.client("s3").create_bucket(Bucket="by-profile")
    found = json.loads(run(AWS, "--profile", "euca-box", "s3api", "list-buckets", HOME=str(tmp_path)))
    assert "by-profile" in [b["Name"] for b in found["Buckets"]]


def test_s3cmd_reads_its_file(box: CloudBox, folder: Path) -> None:
    done = subprocess.run(
        ["s3cmd", "-c", "s3cfg", "mb", "s3://by-s3cmd"],
        cwd=folder, env=clean(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (
        "by-s3cmd"
        in subprocess.run(
            ["s3cmd", "-c", "s3cfg", "ls"],
            cwd=folder,
            env=clean(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )


def test_rclone_reads_its_file(box: CloudBox, folder: Path) -> None:
    always = ("rclone", "--config", f"{folder}/rclone.conf", "--ca-cert", f"{folder}/ca.pem")
    run(*always, "mkdir", "euca-box:by-rclone")
    assert "by-rclone" in run(*always, "lsd", "euca-box:")


def test_files_of_clients_that_are_not_here_are_well_formed(box: CloudBox, folder: Path) -> None:
    """euca2ools needs Python 2, MinIO's client and Terraform are not in Debian."""
    ini = configparser.ConfigParser()
    ini.read(folder / "euca2ools.ini")
    user = f"user {box.account()}:alice"
    assert ini[user]["key-id"] == box.credentials()[0]
    assert ini["region euca-box"]["ec2-url"].endswith("/services/Eucalyptus")
    alias = json.loads((folder / "mc.json").read_text())["aliases"]["euca-box"]
    assert (alias["accessKey"], alias["secretKey"]) == box.credentials()
    terraform = (folder / "provider_override.tf").read_text()
    assert terraform.count("{") == terraform.count("}") and box.credentials()[1] in terraform


def test_each_zip_has_a_certificate_of_its_own_unless_none_is_wanted(box: CloudBox, tmp_path: Path) -> None:
    count = "SELECT * FROM signing_certificate WHERE user = 'mallory'"
    for name, more in (("a.zip", ()), ("b.zip", ("--no-certificate",))):
        command(box, "mallory", "--format", "zip", "--out", str(tmp_path / name), *more)
    assert len(box.rows("clc", count)) == 1
    assert not [n for n in zipfile.ZipFile(tmp_path / "b.zip").namelist() if "mallory-pk" in n]
    command(box, "mallory", "--format", "zip", "--out", str(tmp_path / "a.zip"), code=1)


def test_another_endpoint_is_taken_and_what_is_none_refused(box: CloudBox) -> None:
    said = command(box, "alice", "--format", "aws", "--endpoint", "https://cloud.example:8773")
    assert "endpoint_url = https://cloud.example:8773\n" in said
    command(box, "alice", "--endpoint", "https://x/\n[default]", code=1)
