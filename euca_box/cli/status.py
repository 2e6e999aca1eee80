"""`euca-box status`: what runs, and whether all of it does."""

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common
from euca_box.datadir import DataDir


@click.command("status")
@click.option(
    "--wait", "wait_seconds", type=float, default=0.0, help="Wait so long for everything to be ready."
)
@common.output_option
@common.data_dir_option
def status_command(wait_seconds: float, output: str, data_dir: Path | None) -> None:
    """Show the roles and nodes. Exit code 0: all run, 3: nothing runs, 4: some do."""
    data = common.data_dir_of(data_dir)
    deadline = time.monotonic() + wait_seconds
    while not _answers(data) and time.monotonic() < deadline:
        _say_once(f"waiting for a euca-box on {data.path} ...")
        time.sleep(0.2)
    found = _look(data)
    while _problems(found) and time.monotonic() < deadline:
        _say_once(f"waiting: {'; '.join(_problems(found))} ...")
        time.sleep(0.5)
        found = _look(data)
    if output == "json":
        click.echo(json.dumps(found | {"problems": _problems(found)}, indent=2))
    else:
        _print(found)
    if _problems(found):
        sys.exit(common.DEGRADED)


_said: set[str] = set()


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        click.echo(text, err=True)


def _answers(data: DataDir) -> bool:
    """A socket that a killed process left refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(data.admin_socket)) == 0


def _look(data: DataDir) -> dict[str, Any]:
    status = common.ask(data, "status")
    if "clc" in status["roles"] and "clc" not in status["waiting"]:
        status["cloud"] = common.ask(data, "DescribeCloud")
        status["components"] = common.ask(data, "DescribeComponents")["components"]
    return status


def _problems(found: dict[str, Any]) -> list[str]:
    problems = [f"{role} {why}" for role, why in found["waiting"].items()]
    cloud = found.get("cloud", {})
    problems += cloud.get("problems", [])
    problems += [f"{n['name']} is {n['state']}" for n in cloud.get("nodes", []) if n["state"] == "DOWN"]
    return problems


def _print(found: dict[str, Any]) -> None:
    click.echo(f"euca-box {found['version']}   {found['data_dir']}   API {found['api']}")
    for role, state in found["roles"].items():
        click.echo(f"  {role:<8} {state}")
    for node in found.get("cloud", {}).get("nodes", []):
        click.echo(
            f"  {node['name']}: {node['state']}, {node['memory_free_mib']} of {node['memory_mib']} MiB and "
            f"{node['disk_free_gib']} of {node['disk_gib']} GiB free, {node['accelerator'] or '?'}"
        )
    for line in _hosts(found):
        click.echo(line)
    for problem in _problems(found):
        click.echo(f"  ! {problem}")


def _hosts(found: dict[str, Any]) -> list[str]:
    """A line for each other host: its components with their states, its version, its clock."""
    hosts: dict[str, list[dict[str, Any]]] = {}
    for row in found.get("components", []):
        if row["host_id"] != found.get("host_id"):
            hosts.setdefault(row["host"], []).append(row)
    lines = []
    for name, rows in hosts.items():
        skew = rows[0]["skew_seconds"]
        clock = "" if skew is None else f", clock {skew:+.1f} s"
        states = ", ".join(f"{row['address']} {row['state']}" for row in rows)
        lines.append(
            f"  host {name} at {rows[0]['at']}: {states}; version {rows[0]['version'] or '?'}{clock}"
        )
    return lines
