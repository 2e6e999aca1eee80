"""`euca-box user certificate ...`: what signs bundled images, and what they are encrypted to."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from euca_box.cli import common


@click.group("certificate")
def certificate_command() -> None:
    """Signing certificates of users: create, upload, list, revoke."""


@certificate_command.command("create")
@click.argument("user", default="admin")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder for the files."
)
@common.data_dir_option
def create(user: str, out: Path, data_dir: Path | None) -> None:
    """Make a certificate and its private key: cert.pem, pk.pem and cloud-cert.pem, which only you can read.

    The private key is nowhere else: who loses it makes another certificate.
    """
    data = common.data_dir_of(data_dir)
    names = ("cert.pem", "pk.pem", "cloud-cert.pem")
    if taken := [name for name in names if (out / name).exists()]:
        common.fail(f"{out / taken[0]} is there already. Choose another folder with --out.")
    made = common.ask(data, "AddCertificate", name=user)
    out.mkdir(parents=True, exist_ok=True)
    texts = (made["certificate"]["pem"], made["private_key"], made["cloud_certificate"])
    for name, text in zip(names, texts, strict=True):
        _write_private(out / name, text)
    folder = out.absolute()
    click.echo(f"export EC2_CERT={folder}/cert.pem EC2_PRIVATE_KEY={folder}/pk.pem")
    click.echo(f"export EUCALYPTUS_CERT={folder}/cloud-cert.pem EC2_USER_ID={made['account_id']}")


@certificate_command.command("upload")
@click.argument("user")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@common.output_option
@common.data_dir_option
def upload(user: str, file: Path, output: str, data_dir: Path | None) -> None:
    """Believe what another certificate of the user signs (PEM, of an RSA key)."""
    pem = file.read_text(errors="replace")
    made = common.ask(common.data_dir_of(data_dir), "AddCertificate", name=user, pem=pem)
    common.show_one(made["certificate"], output, lambda row: f"{row['certificate_id']} is active")


@certificate_command.command("list")
@click.argument("user", default="admin")
@common.output_option
@common.data_dir_option
def list_certificates(user: str, output: str, data_dir: Path | None) -> None:
    """Show the certificates of a user."""
    rows = common.ask(common.data_dir_of(data_dir), "ListCertificates", name=user)["certificates"]
    for row in rows:
        row["created"] = datetime.fromtimestamp(row["created_at"], UTC).strftime("%Y-%m-%d %H:%M")
    common.show(rows, output, {"certificate_id": "Certificate", "state": "State", "created": "Created"})


@certificate_command.command("revoke")
@click.argument("user")
@click.argument("certificate_id")
@common.data_dir_option
def revoke(user: str, certificate_id: str, data_dir: Path | None) -> None:
    """Believe nothing that this certificate signs, from now on."""
    common.ask(common.data_dir_of(data_dir), "RevokeCertificate", name=user, certificate_id=certificate_id)
    click.echo(f"{certificate_id} is revoked")


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
