"""`euca-box token create` and `euca-box join`: another host becomes one of the cloud."""

import os
import sys
import time
from pathlib import Path

import click

from euca_box.cli import common
from euca_box.datadir import DataDir, DataDirError, host_name

config_option = click.option(
    "--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="The configuration file."
)


@click.group("token")
def token_command() -> None:
    """Tokens by which other hosts join this cloud."""


@token_command.command("create")
@click.option("--role", "roles", multiple=True, required=True, help="walrus, cc, sc or nc; may be repeated.")
@click.option("--zone", default="", help="Availability zone. Default: the first one.")
@common.output_option
@common.data_dir_option
def create(roles: tuple[str, ...], zone: str, output: str, data_dir: Path | None) -> None:
    """Make a token for one host, good once and for an hour."""
    asked = [role.strip() for given in roles for role in given.split(",")]
    made = common.ask(common.data_dir_of(data_dir), "CreateToken", roles=asked, zone=zone)

    def line(made: dict[str, object]) -> str:
        return (
            "On the new host, within an hour:\n\n"
            f"    euca-box join {made['url']} {made['text']} --roles {','.join(asked)}\n"
            "\nWho has this token can join as such a host."
        )

    common.show_one(made, output, line)


@click.command("join")
@click.argument("url")
@click.argument("token", envvar="EUCA_BOX_TOKEN")
@click.option("--roles", required=True, help="Some of walrus,cc,sc,nc with commas, as the token says.")
@click.option("--name", help="Name of this host in the cloud. Default: its host name.")
@click.option("--zone", default="", help="Availability zone; must be the token's.")
@click.option("--address", default="", help="Address at which other hosts reach this one.")
@config_option
@common.data_dir_option
def join_command(
    url: str, token: str, roles: str, name: str | None, zone: str, address: str,
    config_file: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Make this host one of the cloud at URL. `-` as TOKEN: read it from standard input.

    Both, URL and TOKEN, are printed by `euca-box token create` on the host with the cloud controller. Asking
    twice is harmless.
    """
    from euca_box import joining
    from euca_box.auth.join_tokens import BadToken, read_token

    config = common.load_config(config_file)
    data = common.data_dir_of(data_dir, config)
    text = sys.stdin.readline() if token == "-" else token  # noqa: S105
    try:
        wish = joining.Wish(
            url=url,
            token=read_token(text),
            name=name or host_name(),
            roles=tuple(role.strip() for role in roles.split(",")),
            zone=zone,
            address=address or config.bus.address,
            port=config.bus.port,
            api_port=config.api.port,
        )
    except BadToken as error:
        common.fail(f"{error}.")
    descriptor = _prepared(data, wish.token.public_key)
    try:
        welcome = joining.enter(data, wish, time.time())
    except joining.JoinError as error:
        common.fail(f"not joined: {error}")
    finally:
        os.close(descriptor)
    click.echo(f"{welcome.name} is in the cloud: {', '.join(welcome.roles)} in {welcome.zone}")
    click.echo(f"Next      euca-box run{data.flag}")


def _prepared(data: DataDir, controller: bytes) -> int:
    """Folders and the lock. Exits where the directory belongs to a cloud already."""
    from euca_box import membership
    from euca_box.initialise import MARKER

    try:
        data.make()
        descriptor = data.lock()
    except DataDirError as error:
        common.fail(str(error))
    if (data.path / MARKER).exists():
        common.fail(f"{data.path} has a cloud of its own. Join with another --data-dir.")
    known = membership.find(data)
    if known is not None and known.controller != controller:
        common.fail(f"{data.path} has joined another cloud. Join with another --data-dir.")
    return descriptor
