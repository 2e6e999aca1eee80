"""`euca-box component ...`: the roles of all hosts of the cloud, and what shall become of them."""

import time
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common

COLUMNS = {
    "address": "Component",
    "state": "State",
    "zone": "Zone",
    "host": "Host",
    "at": "At",
    "version": "Version",
    "skew": "Clock",
    "seen": "Seen",
    "detail": "",
}


@click.group("component")
def component_command() -> None:
    """Components of the cloud: its roles, on all hosts."""


@component_command.command("list")
@common.output_option
@common.data_dir_option
def list_components(output: str, data_dir: Path | None) -> None:
    """Show every component with its host, state, version and clock."""
    found = common.ask(common.data_dir_of(data_dir), "DescribeComponents")["components"]
    common.show([_shown(row) for row in found] if output == "table" else found, output, COLUMNS)


@component_command.command("enable")
@click.argument("component")
@common.data_dir_option
def enable(component: str, data_dir: Path | None) -> None:
    """Let new things begin there again."""
    _set(component, "ENABLED", data_dir)


@component_command.command("disable")
@click.argument("component")
@common.data_dir_option
def disable(component: str, data_dir: Path | None) -> None:
    """Let nothing new begin there; what runs goes on."""
    _set(component, "DISABLED", data_dir)


@component_command.command("maintenance")
@click.argument("component")
@common.data_dir_option
def maintenance(component: str, data_dir: Path | None) -> None:
    """As disable, because somebody is about to work on the host."""
    _set(component, "MAINTENANCE", data_dir)


@component_command.command("deregister")
@click.argument("component")
@common.data_dir_option
def deregister(component: str, data_dir: Path | None) -> None:
    """Take a component out of the cloud. It must have nothing that is in use."""
    common.ask(common.data_dir_of(data_dir), "DeregisterComponent", component=component)
    click.echo(f"{component} is no longer of the cloud")


@component_command.command("revoke")
@click.argument("host")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common.data_dir_option
def revoke(host: str, yes: bool, data_dir: Path | None) -> None:
    """Shut a HOST out for ever, whatever runs on it: its key was stolen, or it is lost."""
    if not yes:
        click.confirm(
            f"No host will listen to {host} any more, and its key can never join again. Go on?", abort=True
        )
    common.ask(common.data_dir_of(data_dir), "RevokeHost", host=host)
    click.echo(f"{host} is out")


def _set(component: str, state: str, data_dir: Path | None) -> None:
    common.ask(common.data_dir_of(data_dir), "SetComponentState", component=component, state=state)
    click.echo(f"{component} is {state}")


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    skew, seen = row["skew_seconds"], row["seen_at"]
    words = {
        "skew": "" if skew is None else f"{skew:+.1f} s",
        "seen": "never" if seen is None else f"{max(0.0, time.time() - seen):.0f} s ago",
    }
    return row | words
