"""`euca-box user ...`, and the variables that clients read."""

from pathlib import Path
from typing import Any

import click

from euca_box.cli import common
from euca_box.cli.certificates import certificate_command

SHOWN = ("account_id", "canonical_id", "display_name", "access_key_id", "secret_access_key")


@click.group("user")
def user_command() -> None:
    """Users of the cloud: add, list, disable, enable; their certificates."""


user_command.add_command(certificate_command)


@user_command.command("add")
@click.argument("name")
@click.option("--account", help="Account id or name. Without it the user gets an account of its own.")
@click.option("--email", default="", help="Address of the user.")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="NAME",
    help="With --account: what the user may, such as AdministratorAccess or ReadOnlyAccess.",
)
@common.output_option
@common.data_dir_option
def add(
    name: str,
    account: str | None,
    email: str,
    policies: tuple[str, ...],
    output: str,
    data_dir: Path | None,
) -> None:
    """Make a user with an access key. In an account of its own it may everything."""
    data = common.data_dir_of(data_dir)
    made = common.ask(data, "AddUser", name=name, account=account, email=email, policies=policies)
    row = {field: made[field] for field in SHOWN}
    common.show_one(
        row,
        output,
        lambda r: (
            f"{name}: account {r['account_id']}, access key {r['access_key_id']}\n"
            f"Next: euca-box credentials {name} --format env{data.flag}"
        ),
    )


@user_command.command("list")
@common.output_option
@common.data_dir_option
def list_users(output: str, data_dir: Path | None) -> None:
    """Show all users."""
    users = common.ask(common.data_dir_of(data_dir), "ListUsers")["users"]
    columns = {"user_name": "User", "account_id": "Account", "account_name": "Account name", "state": "State"}
    common.show(users, output, columns)


@user_command.command("password")
@click.argument("name", default="admin")
@click.option("--ask", "asked", is_flag=True, help="Type it, instead of having one made.")
@common.data_dir_option
def password(name: str, asked: bool, data_dir: Path | None) -> None:
    """Give the user a password for the web console. What is made is shown once, and kept hashed."""
    data = common.data_dir_of(data_dir)
    if asked:
        given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        from euca_box.auth.secrets import new_password

        given = new_password()
    common.ask(data, "SetPassword", name=name, password=given)
    click.echo(f"{name} has another password" if asked else f"{name}: {given}")


@user_command.command("disable")
@click.argument("name")
@common.data_dir_option
def disable(name: str, data_dir: Path | None) -> None:
    """Refuse the user's keys from now on."""
    common.ask(common.data_dir_of(data_dir), "SetUserState", name=name, state="disabled")
    click.echo(f"{name} is disabled")


@user_command.command("enable")
@click.argument("name")
@common.data_dir_option
def enable(name: str, data_dir: Path | None) -> None:
    """Accept the user's keys again."""
    common.ask(common.data_dir_of(data_dir), "SetUserState", name=name, state="active")
    click.echo(f"{name} is enabled")


def environment(data: Any, user: str = "admin") -> dict[str, str]:
    """The variables that the AWS CLI and SDKs read."""
    status = common.ask(data, "status")
    keys = common.ask(data, "GetUserKeys", name=user)
    region = common.ask(data, "DescribeCloud")["region"]
    found = {
        "AWS_ENDPOINT_URL": status["api"],
        "AWS_ACCESS_KEY_ID": keys["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": keys["secret_access_key"],
        "AWS_DEFAULT_REGION": region,
    }
    if status["s3"] not in ("", status["api"]):
        found["AWS_ENDPOINT_URL_S3"] = status["s3"]
    if "https" in (status["api"] + status["s3"]):
        found["AWS_CA_BUNDLE"] = str(data.path / "ca.pem")
    return found
