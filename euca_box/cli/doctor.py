"""`euca-box doctor`: where something stops, and what to look at next."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common
from euca_box.cli.run import config_option
from euca_box.config import Config
from euca_box.datadir import DataDir
from euca_box.model.findings import warn

COLUMNS = {"where": "Where", "mark": "", "what": "What", "detail": "Detail"}
MARKS = {"good": "ok", "bad": "STOPS HERE", "note": "note"}


SIGNS = {"ok": "ok", "warn": "warning", "fail": "FAILS"}
FINDINGS = {"host": "Host", "where": "Role", "check": "Check", "sign": "", "detail": "What was found"}


@click.group("doctor", invoke_without_command=True)
@click.option("--fix", is_flag=True, help="Put right what can be put right by itself.")
@click.option("--all", "show_all", is_flag=True, help="Show what is right, too.")
@config_option
@common.output_option
@common.data_dir_option
@click.pass_context
def doctor_command(
    ctx: click.Context,
    fix: bool,
    show_all: bool,
    config_file: Path | None,
    output: str,
    data_dir: Path | None,
) -> None:
    """Examine the hosts and roles of the cloud; without one that runs, this host.

    Changes nothing but with --fix. Exit code 4: something fails.
    """
    if ctx.invoked_subcommand is not None:
        return
    config = common.load_config(config_file)
    data = common.data_dir_of(data_dir, config)
    rows = of_the_cloud(data, fix=fix) if common.answers(data) else of_this_host(config, data, fix=fix)
    bad = [row for row in rows if row["state"] != "ok"]
    if output == "json":
        click.echo(json.dumps(rows, indent=2))
    else:
        shown = [row for row in rows if show_all or row["state"] != "ok" or row["fixed"]]
        if shown:
            common.show(
                [row | {"sign": "fixed" if row["fixed"] else SIGNS[row["state"]]} for row in shown],
                "table",
                FINDINGS,
            )
        for row in bad:
            click.echo(f"{row['check']}: {row['remedy']}")
        failing = sum(row["state"] == "fail" for row in bad)
        click.echo(f"{len(rows)} things were looked at: {failing} fail, {len(bad) - failing} warnings.")
    if any(row["state"] == "fail" for row in rows):
        sys.exit(common.DEGRADED)


def of_the_cloud(data: DataDir, *, fix: bool) -> list[dict[str, Any]]:
    """Every role answers for itself, one of each host for the host."""
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    for place in common.addresses(data):
        try:
            answer = common.ask_or_raise(data, "Examine", at=place, process=False, fix=fix)
            if answer["host"] not in seen:
                seen.add(answer["host"])
                answer = common.ask_or_raise(data, "Examine", at=place, process=True, fix=fix)
        except common.Refused as refused:
            rows.append(
                {
                    "host": "",
                    "where": place,
                    "check": "components",
                    "state": "fail",
                    "detail": f"{place} does not answer: {refused}",
                    "remedy": f"euca-box why {place}",
                    "fixed": False,
                }
            )
            continue
        rows += [row | {"host": answer["host"]} for row in answer["findings"]]
    return rows


def of_this_host(config: Config, data: DataDir, *, fix: bool) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from euca_box.datadir import host_name
    from euca_box.doctor.examination import Host, examine
    from euca_box.settings import roles_of

    found = examine(Host(config, data, roles_of(config.roles), running=False), fix=fix)
    stopped = asdict(warn("cloud", f"no euca-box runs on {data.path}", f"euca-box run{data.flag}"))
    return [row | {"host": host_name()} for row in (*(asdict(f) for f in found), stopped)]


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
