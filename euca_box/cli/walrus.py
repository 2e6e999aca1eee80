"""`euca-box walrus`: the object store, for its operator."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common

COLUMNS = {
    "time": "Found (UTC)",
    "bucket": "Bucket",
    "key": "Key",
    "version_id": "Version",
    "file": "File",
    "offset_bytes": "At byte",
}


@click.group("walrus")
def walrus_command() -> None:
    """The object store."""


@walrus_command.command("scrub")
@click.option("--now", is_flag=True, help="Begin to read all stored bytes now.")
@common.output_option
@common.data_dir_option
def scrub_command(now: bool, output: str, data_dir: Path | None) -> None:
    """Show how far stored bytes are checked, and which versions are damaged.

    A damaged version is not given out. It is lifted when its file is back and was checked, or when it is
    deleted. Exit code 4 while there is one.
    """
    data = common.data_dir_of(data_dir)
    if now:
        common.ask(data, "BeginScrub")
    report = common.ask(data, "GetScrub")
    if output == "json":
        click.echo(json.dumps(report, indent=2))
    else:
        _show(report)
    if report["quarantine"]:
        raise SystemExit(common.DEGRADED)


def _show(report: dict[str, Any]) -> None:
    if not report["started_at"]:
        click.echo("Nothing was checked yet.")
    else:
        end = "done" if report["is_done"] else "goes on"
        click.echo(
            f"The round of {time_text(report['started_at'])} UTC {end}: "
            f"{mib_text(report['checked_bytes'])} of {mib_text(report['stored_bytes'])} MiB read, "
            f"{report['damaged']} damaged."
        )
    if not report["quarantine"]:
        click.echo("No version is damaged, as far as is known.")
        return
    rows = [row | {"time": time_text(row["found_at"])} for row in report["quarantine"]]
    common.show(rows, "table", COLUMNS)


def time_text(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def mib_text(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):.1f}"
