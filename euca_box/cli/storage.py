"""`euca-box sc`: the storage controller, for its operator."""

import json
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common
from euca_box.cli.walrus import mib_text, time_text

COLUMNS = {"volume_id": "Volume", "offset_bytes": "At byte", "length_bytes": "Bytes"}


@click.group("sc")
def sc_command() -> None:
    """The storage controller."""


@sc_command.command("scrub")
@click.option("--now", is_flag=True, help="Begin to read all volumes now.")
@common.output_option
@common.data_dir_option
def scrub_command(now: bool, output: str, data_dir: Path | None) -> None:
    """Show how far volumes were read, and what of them the disk cannot read.

    Such a place is an error for the guest that reads it; it is lifted when it can be read again. Exit code 4
    while there is one.
    """
    data = common.data_dir_of(data_dir)
    places = [at for at in common.ask(data, "status")["addresses"] if at.startswith("sc@")]
    if not places:
        common.fail("no storage controller runs here or is known here.")
    if now:
        for at in places:
            common.ask(data, "ScBeginScrub", at=at)
    reports = {at: common.ask(data, "ScGetScrub", at=at) for at in places}
    if output == "json":
        click.echo(json.dumps(reports, indent=2))
    else:
        for at, report in reports.items():
            _show(at, report)
    if any(report["unreadable"] for report in reports.values()):
        raise SystemExit(common.DEGRADED)


def _show(at: str, report: dict[str, Any]) -> None:
    click.echo(f"{at}:")
    if not report["started_at"]:
        click.echo("Nothing was checked yet.")
    else:
        end = "done" if report["is_done"] else "goes on"
        click.echo(
            f"The round of {time_text(report['started_at'])} UTC over {report['volumes']} volumes {end}: "
            f"{mib_text(report['checked_bytes'])} MiB read."
        )
    if not report["unreadable"]:
        click.echo("All that was read could be read.")
        return
    common.show(report["unreadable"], "table", COLUMNS)
