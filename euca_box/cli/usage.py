"""`euca-box usage`: what instances use of their nodes, now or over time."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common

COLUMNS = {
    "at": "Time (UTC)",
    "cpu_percent": "CPU %",
    "memory_mib": "Memory MiB",
    "disk_read": "Disk read B/s",
    "disk_written": "written B/s",
    "net_in": "Net in B/s",
    "net_out": "out B/s",
}


@click.command("usage")
@click.argument("instance_id", required=False)
@click.option("--minutes", type=click.IntRange(1, 1440), default=60, show_default=True, help="How far back.")
@common.output_option
@common.data_dir_option
def usage_command(instance_id: str | None, minutes: int, output: str, data_dir: Path | None) -> None:
    """Show CPU, memory, disk and network of an instance, a line for each measure, or of all instances now.

    Measured each five minutes, with detailed monitoring (aws ec2 monitor-instances) each minute.
    """
    data = common.data_dir_of(data_dir)
    if instance_id is None:
        _show_all(common.ask(data, "ListUsage")["instances"], output)
        return
    found = common.ask(data, "GetUsage", instance_id=instance_id, minutes=minutes)
    rows = [_rates(a, b) for a, b in pairwise(found["samples"]) if _goes_on(a, b)]
    if not rows and output == "table":
        click.echo("Nothing yet: rates need two measures. Detailed monitoring makes one each minute.")
        return
    common.show(rows, output, COLUMNS)


def _show_all(instances: list[dict[str, Any]], output: str) -> None:
    rows = []
    for instance in sorted(instances, key=lambda i: str(i["instance_id"])):
        pairs = [(a, b) for a, b in pairwise(instance["samples"]) if _goes_on(a, b)]
        rows += [{"instance_id": instance["instance_id"]} | _rates(a, b) for a, b in pairs[-1:]]
    if not rows and output == "table":
        click.echo("Nothing yet: rates need two measures, a minute apart.")
        return
    common.show(rows, output, {"instance_id": "Instance"} | COLUMNS)


def _goes_on(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Counters begin anew when the guest is started again."""
    return bool(before["counters"]["cpu_seconds"] <= after["counters"]["cpu_seconds"])


def _rates(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    seconds = after["at"] - before["at"]
    old, new = before["counters"], after["counters"]

    def rate(name: str) -> int:
        grown: float = (new[name] - old[name]) / seconds
        return round(grown)

    return {
        "at": f"{datetime.fromtimestamp(after['at'], UTC):%Y-%m-%d %H:%M:%S}",
        "cpu_percent": round(100 * (new["cpu_seconds"] - old["cpu_seconds"]) / seconds, 1),
        "memory_mib": new["memory_mib"],
        "disk_read": rate("disk_read_bytes"),
        "disk_written": rate("disk_written_bytes"),
        "net_in": rate("net_in_bytes"),
        "net_out": rate("net_out_bytes"),
    }
