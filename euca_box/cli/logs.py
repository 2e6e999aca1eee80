"""`euca-box logs`: what the roles say, from all hosts, in the order of time."""

import json
import queue
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common
from euca_box.datadir import DataDir

WAIT_SECONDS = 20.0
RETRY_SECONDS = 2.0
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Since(click.ParamType[float]):
    """`15m`, `2h`, or an ISO 8601 time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        if match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value):
            return time.time() - float(match[1]) * _UNITS[match[2]]
        try:
            return datetime.fromisoformat(value).astimezone().timestamp()
        except ValueError:
            self.fail(
                f"{value!r} is neither a span like 15m, 2h, 3d nor a time like 2026-01-31T12:00", param, ctx
            )


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("--role", default="", help="Only of this role: clc, walrus, cc, sc, nc, or cc@ZONE, nc@HOST.")
@click.option("--request", default="", metavar="ID", help="Only of this request, in all roles.")
@click.option("--about", default="", metavar="TEXT", help="Only lines with this text, as an instance's id.")
@click.option("--host", default="", help="Only of this host.")
@click.option("--since", type=Since(), default=0.0, help="Only since: 15m, 2h, 3d, or a time.")
@click.option(
    "--level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default=None, help="At least."
)
@click.option("-n", "--lines", type=click.IntRange(1, 5000), default=200, help="How many of each role.")
@common.output_option
@common.data_dir_option
def logs_command(
    data_dir: Path | None, output: str, follow: bool, role: str, host: str, **asked: Any
) -> None:
    """Show what the roles logged, from every host that this one knows."""
    data = common.data_dir_of(data_dir)
    wanted = {
        "request": asked["request"],
        "about": asked["about"],
        "since": asked["since"],
        "level": asked["level"] or "",
        "most": asked["lines"],
    }
    places = common.addresses(data, role)
    if not places:
        common.fail(f"no role {role} is known here. Known: {', '.join(common.addresses(data))}.")
    found = _first(data, places, wanted, host)
    for line in sorted({line: None for a in found.values() for line in a["lines"]}, key=_time):
        _show(line, output)
    if follow:
        _follow(data, found, wanted, output)


def _first(data: DataDir, places: list[str], wanted: dict[str, Any], host: str) -> dict[str, dict[str, Any]]:
    """What each place answers, those of another host left out."""
    with ThreadPoolExecutor(len(places)) as threads:
        answers = dict(zip(places, threads.map(lambda place: _ask(data, place, wanted), places), strict=True))
    return {place: a for place, a in answers.items() if a["cursor"] and (not host or a["host"] == host)}


def _follow(data: DataDir, found: dict[str, dict[str, Any]], wanted: dict[str, Any], output: str) -> None:
    """Each place by a thread; what belongs to a process is told by one of its roles."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    tellers = {answer["host"]: place for place, answer in reversed(found.items())}
    for place, answer in found.items():
        more = {"process": place in tellers.values(), "wait_seconds": WAIT_SECONDS}
        follow = partial(_keep_asking, data, place, wanted | more, answer["cursor"], lines)
        threading.Thread(target=follow, daemon=True).start()
    while found:
        _show(lines.get(), output)


def _keep_asking(
    data: DataDir, place: str, wanted: dict[str, Any], cursor: str, lines: "queue.SimpleQueue[str]"
) -> None:
    while True:
        answer = _ask(data, place, wanted | {"after": cursor})
        cursor = answer["cursor"] or cursor
        for line in answer["lines"]:
            lines.put(line)
        if not answer["cursor"]:
            time.sleep(RETRY_SECONDS)


def _ask(data: DataDir, place: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """No cursor where it does not answer."""
    try:
        return common.ask_or_raise(data, "GetLogs", at=place, **wanted)
    except common.Refused as refused:
        click.echo(f"{place}: {refused}", err=True)
        return {"host": "", "lines": [], "cursor": ""}


def _time(line: str) -> str:
    return str(_fields(line).get("time", ""))


def _show(line: str, output: str) -> None:
    if output == "json":
        click.echo(line)
        return
    fields = _fields(line)
    moment = str(fields.get("time", ""))[:23].replace("T", " ")
    level = str(fields.get("level", ""))
    mark = "" if level in ("INFO", "DEBUG") else f"{level.lower()}: "
    request = str(fields.get("request", "-"))
    tail = "" if request == "-" else f" [{request}]"
    words = common.printable(f"{mark}{fields.get('message', line)}{tail}", one_line=True)
    click.echo(f"{moment} {fields.get('host', '')} {fields.get('role', '')!s:<6} {words}")
    for row in str(fields.get("traceback", "")).splitlines():
        click.echo(f"    {common.printable(row, one_line=True)}")


def _fields(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
