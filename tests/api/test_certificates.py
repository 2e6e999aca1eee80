"""Signing certificates by the operator's door and by the commands that use it."""

import stat
import subprocess

import pytest
from click.testing import CliRunner

from euca_box.cli import main
from tests.api.cloud_box import running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        yield box


@pytest.fixture
def command(box):
    def run(*argv):
        return CliRunner().invoke(main, [*argv, "--data-dir", str(box.data_dir)])

    return run


def listed(box, user="alice"):
    return box.admin("ListCertificates", name=user)["certificates"]


def test_create_writes_three_files_that_only_their_owner_reads(box, command, tmp_path):
    done = command("user", "certificate", "create", "alice", "--out", str(tmp_path / "keys"))
    assert done.exit_code == 0, done.output
    assert f"EC2_USER_ID={box.account()}" in done.output
    files = sorted((tmp_path / "keys").iterdir())
    assert [f.name for f in files] == ["cert.pem", "cloud-cert.pem", "pk.pem"]
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    argv = ["openssl", "verify", "-x509_strict", "-CAfile", str(box.data_dir / "ca.pem")]
    done = subprocess.run([*argv, *(str(tmp_path / "keys" / n) for n in ("cert.pem", "cloud-cert.pem"))])
    assert done.returncode == 0
    again = command("user", "certificate", "create", "alice", "--out", str(tmp_path / "keys"))
    assert again.exit_code == 1
    assert "is there already" in again.output


def test_the_private_key_is_kept_nowhere(box):
    made = box.admin("AddCertificate", name="alice")
    secret = made["private_key"].splitlines()[5]
    for path in box.data_dir.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    assert "private_key" not in str(listed(box))


def test_upload_list_and_revoke(box, command, tmp_path):
    cert = tmp_path / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-out", cert,
         "-subj", "/CN=own"], check=True, capture_output=True,
    )  # fmt: skip
    assert command("user", "certificate", "upload", "mallory", str(cert)).exit_code == 0
    [row] = listed(box, "mallory")
    assert row["pem"] == cert.read_text()
    assert row["certificate_id"] in command("user", "certificate", "list", "mallory").output
    other = command("user", "certificate", "revoke", "alice", row["certificate_id"])
    assert "NoSuchEntity" in other.output
    for _ in range(2):
        assert command("user", "certificate", "revoke", "mallory", row["certificate_id"]).exit_code == 0
    assert [r["state"] for r in listed(box, "mallory")] == ["revoked"]


@pytest.mark.parametrize("pem", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA", "x" * 20000])
def test_what_is_no_certificate_is_refused(box, pem):
    status, reply = box.admin_raw(
        "POST", "/AddCertificate", f'{{"name":"alice","pem":{pem!r}}}'.replace("'", '"').encode()
    )
    assert (status, reply["error"]) == (400, "InvalidParameterValue")


def test_a_user_has_a_limited_number(box):
    box.add_user("carol")
    for _ in range(10):
        box.admin("AddCertificate", name="carol")
    status, reply = box.admin_raw("POST", "/AddCertificate", b'{"name":"carol"}')
    assert (status, reply["error"]) == (409, "LimitExceeded")
