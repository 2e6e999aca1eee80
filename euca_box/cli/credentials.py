"""`euca-box credentials`: a user's keys for every client, printed, as a zip, or into ~/.aws."""

import json
import os
import re
import shlex
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common
from euca_box.cli.users import SHOWN, environment
from euca_box.datadir import DataDir
from euca_box.model import credential_files
from euca_box.model.credential_files import PROFILE, Credentials


@click.command("credentials")
@click.argument("user", default="admin")
@click.option("--format", "form", type=click.Choice(["env", "aws", "json", "zip"]), default="env")
@click.option("--out", type=click.Path(path_type=Path), help="The zip; without it euca-box-USER.zip.")
@click.option(
    "--install", is_flag=True, help=f"Write the profile {PROFILE} into ~/.aws; others stay as they are."
)
@click.option("--endpoint", help="URL of the API as the user reaches it, such as https://HOST:8773.")
@click.option("--no-certificate", is_flag=True, help="Make no new signing certificate for the zip.")
@common.data_dir_option
def credentials_command(
    user: str,
    form: str,
    out: Path | None,
    install: bool,
    endpoint: str | None,
    no_certificate: bool,
    data_dir: Path | None,
) -> None:
    """Print a user's access key: for a shell (env), for ~/.aws (aws), as JSON; or pack everything (zip)."""
    data = common.data_dir_of(data_dir)
    if endpoint is not None and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", endpoint):
        common.fail(f"{endpoint} is no URL such as https://HOST:8773")
    if install:
        _install(credentials_of(data, user, endpoint))
    elif form == "zip":
        _zip(data, user, endpoint, out, with_certificate=not no_certificate)
    elif form == "json":
        found = credentials_of(data, user, endpoint)
        keys = common.ask(data, "GetUserKeys", name=user)
        row = {field: keys[field] for field in SHOWN}
        click.echo(json.dumps(row | {"endpoint_url": found.endpoint}, indent=2))
    elif form == "env":
        settings = environment(data, user)
        for name, value in (settings | ({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})).items():
            click.echo(f"export {name}={shlex.quote(value)}")
    else:
        found = credentials_of(data, user, endpoint)
        click.echo("# ~/.aws/config\n" + credential_files.aws_config(found, str(data.path / "ca.pem")))
        click.echo("# ~/.aws/credentials\n" + credential_files.aws_credentials(found), nl=False)


def credentials_of(data: DataDir, user: str, endpoint: str | None) -> Credentials:
    """Without a certificate."""
    status = common.ask(data, "status")
    keys = common.ask(data, "GetUserKeys", name=user)
    ca = data.path / "ca.pem"
    return Credentials(
        user=keys["user_name"],
        account=keys["account_id"],
        account_name=keys["account_name"],
        access_key_id=keys["access_key_id"],
        secret_access_key=keys["secret_access_key"],
        endpoint=(endpoint or status["api"]).rstrip("/"),
        region=common.ask(data, "DescribeCloud")["region"],
        ca_pem=ca.read_text() if ca.exists() else "",
        s3_endpoint=status["s3"] if status["s3"] != status["api"] else "",
    )


def _zip(data: DataDir, user: str, endpoint: str | None, out: Path | None, *, with_certificate: bool) -> None:
    found = credentials_of(data, user, endpoint)
    target = out or Path(f"euca-box-{found.user}.zip")
    if target.exists():
        common.fail(f"{target} is there already. Choose another name with --out.")
    if with_certificate:
        made: dict[str, Any] = common.ask(data, "AddCertificate", name=user)
        found = replace(
            found,
            certificate=made["certificate"]["pem"],
            private_key=made["private_key"],
            cloud_certificate=made["cloud_certificate"],
        )
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(credential_files.as_zip(found))
    click.echo(f"{target}: unpack it and read README.txt")


def _install(found: Credentials) -> None:
    """Into ~/.aws, each file whole or not at all; what was there is kept beside it once."""
    home = Path.home()
    aws, ours = home / ".aws", home / ".config" / "euca-box"
    for folder in (aws, ours):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca = ours / "ca.pem"
    if found.ca_pem:
        _replace(ca, found.ca_pem)
    _merge(aws / "config", f"profile {PROFILE}", credential_files.aws_config(found, str(ca)))
    _merge(aws / "credentials", PROFILE, credential_files.aws_credentials(found))
    click.echo(f"The profile {PROFILE} is in {aws}: aws --profile {PROFILE} ec2 describe-instances")


def _merge(file: Path, section: str, text: str) -> None:
    """The section alone is replaced; every other line stays as it is."""
    old = file.read_text() if file.exists() else ""
    if old:
        shutil.copy2(file, file.with_name(file.name + ".before-euca-box"))
    kept, inside = [], False
    for line in old.splitlines(keepends=True):
        if line.startswith("["):
            inside = line.strip() == f"[{section}]"
        if not inside:
            kept.append(line)
    before = "".join(kept)
    if before and not before.endswith("\n"):
        before += "\n"
    if before and not before.endswith("\n\n"):
        before += "\n"
    _replace(file, before + text)


def _replace(file: Path, text: str) -> None:
    target = file.resolve()  # a link stays one
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".euca-box-")
    try:
        with os.fdopen(descriptor, "w") as new:
            new.write(text)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
