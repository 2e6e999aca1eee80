"""`euca-box doctor`: where something stops, and what to look at next."""

import sys
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common

COLUMNS = {"where": "Where", "mark": "", "what": "What", "detail": "Detail"}
MARKS = {"good": "ok", "bad": "STOPS HERE", "note": "note"}


@click.group("doctor")
def doctor_command() -> None:
    """Look for the place where something stops."""


@doctor_command.command("network")
@click.argument("instance_id", required=False)
@common.output_option
@common.data_dir_option
def network(instance_id: str | None, output: str, data_dir: Path | None) -> None:
    """Trace the way of a packet to an instance; without one, look at what all instances need.

    Changes nothing. Exit code 4 when packets stop somewhere.
    """
    data = common.data_dir_of(data_dir)
    steps: list[dict[str, Any]] = common.ask(data, "TraceNetwork", instance_id=instance_id)["steps"]
    bad = [step for step in steps if step["state"] == "bad"]
    common.show([step | {"mark": MARKS[step["state"]]} for step in steps], output, COLUMNS)
    if output == "table":
        for step in bad or [step for step in steps if step["state"] == "note"]:
            _advise(step)
    if bad:
        sys.exit(common.DEGRADED)


def _advise(step: dict[str, Any]) -> None:
    if step["command"]:
        kind = "stops here" if step["state"] == "bad" else "worth a look"
        click.echo(f"{step['where']}: {step['what']}: {kind}. Next: {step['command']}")
