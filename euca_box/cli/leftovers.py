"""`euca-box leftovers`: what belonged to no instance, and what was done with it."""

from datetime import UTC, datetime
from pathlib import Path

import click

from euca_box.cli import common

COLUMNS = {"time": "Time (UTC)", "node": "Node", "kind": "What", "name": "Of", "deed": "Done"}


@click.command("leftovers")
@common.output_option
@common.data_dir_option
def leftovers_command(output: str, data_dir: Path | None) -> None:
    """Show what the nodes found that belonged to no instance.

    Disks of instances that a node never heard of are kept: its database may be older than they are.
    """
    rows = common.ask(common.data_dir_of(data_dir), "ListLeftovers")["found"]
    if not rows and output == "table":
        click.echo("Nothing: all that was found belonged to an instance.")
        return
    shown = [row | {"time": f"{datetime.fromtimestamp(row['at'], UTC):%Y-%m-%d %H:%M:%S}"} for row in rows]
    common.show(shown, output, COLUMNS)
