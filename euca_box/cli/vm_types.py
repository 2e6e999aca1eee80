"""`euca-box vm-type ...`: the sizes that instances can have, changed while the cloud runs."""

from pathlib import Path
from typing import Any

import click

from euca_box.cli import common

COLUMNS = {
    "name": "VM type",
    "cpu": "Cores",
    "memory_mib": "Memory MiB",
    "disk_gib": "Disk GiB",
    "ephemeral_gib": "Ephemeral GiB",
    "swap_mib": "Swap MiB",
    "origin": "From",
    "instances": "Instances",
}


@click.group("vm-type")
def vm_type_command() -> None:
    """VM types of the cloud: list, set, remove, reset."""


@vm_type_command.command("list")
@common.output_option
@common.data_dir_option
def list_vm_types(output: str, data_dir: Path | None) -> None:
    """Show all VM types."""
    common.show(common.ask(common.data_dir_of(data_dir), "ListVmTypes")["vm_types"], output, COLUMNS)


@vm_type_command.command("set")
@click.argument("name")
@click.option("--cpu", type=int, help="Cores.")
@click.option("--memory", "memory_mib", type=int, help="Memory in MiB.")
@click.option("--disk", "disk_gib", type=int, help="Root disk in GiB.")
@click.option("--ephemeral", "ephemeral_gib", type=int, help="Second disk in GiB, 0: none.")
@click.option("--swap", "swap_mib", type=int, help="Swap in MiB, 0: none.")
@common.data_dir_option
def set_vm_type(name: str, data_dir: Path | None, **sizes: int | None) -> None:
    """Change a VM type, or make a new one.

    Instances that run keep theirs until they start again, and their disks for ever.
    """
    fields: dict[str, Any] = dict(sizes)
    common.ask(common.data_dir_of(data_dir), "SetVmType", name=name, **fields)
    click.echo(f"{name} is set")


@vm_type_command.command("remove")
@click.argument("name")
@common.data_dir_option
def remove(name: str, data_dir: Path | None) -> None:
    """Offer a VM type no more."""
    common.ask(common.data_dir_of(data_dir), "RemoveVmType", name=name)
    click.echo(f"{name} is not offered any more")


@vm_type_command.command("reset")
@click.argument("name")
@common.data_dir_option
def reset(name: str, data_dir: Path | None) -> None:
    """Make a VM type what the configuration says."""
    common.ask(common.data_dir_of(data_dir), "ResetVmType", name=name)
    click.echo(f"{name} is as configured")
