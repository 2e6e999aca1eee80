"""`euca-box why ID`: the story of a thing through all roles, what it waits for, and what to do next."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common
from euca_box.datadir import DataDir

SECONDS = 30.0


@click.command("why")
@click.argument("thing", metavar="ID")
@common.output_option
@common.data_dir_option
def why_command(thing: str, output: str, data_dir: Path | None) -> None:
    """Tell the story of an instance, volume, snapshot, image, address, node or request.

    Times are UTC. Exit code 1: nobody knows it; 4: it waits for something.
    """
    data = common.data_dir_of(data_dir)
    story = _told(data, thing)
    if output == "json":
        click.echo(json.dumps({"thing": thing} | story, indent=2))
    else:
        _show(thing, story)
    if not story["happenings"] and not any(s["state"] for s in story["standings"]):
        sys.exit(common.FAILED)
    if any(s["waits_for"] for s in story["standings"]):
        sys.exit(common.DEGRADED)


def _told(data: DataDir, thing: str) -> dict[str, list[dict[str, Any]]]:
    """By all roles. One that does not answer is a part of the story."""
    places = common.addresses(data)
    with ThreadPoolExecutor(max(1, len(places))) as threads:
        answers = list(threads.map(lambda place: _of(data, place, thing), places))
    happenings = sorted((h for a in answers for h in a["happenings"]), key=lambda h: h["at"])
    return {"happenings": happenings, "standings": [s for a in answers for s in a["standings"]]}


def _of(data: DataDir, place: str, thing: str) -> dict[str, Any]:
    try:
        return common.ask_or_raise(data, "TellStory", SECONDS, at=place, thing=thing)
    except common.Refused as refused:
        silent = {
            "where": place,
            "state": "",
            "waits_for": f"{place}, which does not answer: {refused}",
            "deadline": 0,
            "advice": "",
            "see": [],
        }
        return {"happenings": [], "standings": [silent]}


def _show(thing: str, story: dict[str, list[dict[str, Any]]]) -> None:
    if not story["happenings"] and not any(s["state"] for s in story["standings"]):
        click.echo(f"No role knows {thing}. What is long gone may have left the logs and events, too.")
    for one in story["happenings"]:
        click.echo(f"{_time(one['at'])}  {one['where']:<7} {common.printable(one['what'], one_line=True)}")
    if story["standings"]:
        click.echo("\nNow" if story["happenings"] else "Now")
    for one in story["standings"]:
        if one["state"]:
            click.echo(f"  {one['where']:<16} {common.printable(one['state'], one_line=True)}")
        if one["waits_for"]:
            click.echo(f"  {'':<16} waits for {common.printable(one['waits_for'], one_line=True)}")
        if one["deadline"] and one["waits_for"]:
            click.echo(
                f"  {'':<16} until {_time(one['deadline'])}, {_left(one['deadline'])}; then it is given up"
            )
    advice = dict.fromkeys(s["advice"] for s in story["standings"] if s["advice"])
    see = dict.fromkeys(f"euca-box why {t}" for s in story["standings"] for t in s["see"] if t != thing)
    if advice or see:
        click.echo("\nNext")
    for line in (*advice, *see):
        click.echo(f"  {common.printable(line, one_line=True)}")


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def _left(deadline: float) -> str:
    seconds = deadline - time.time()
    return f"{seconds:.0f} s from now" if seconds >= 0 else f"{-seconds:.0f} s ago"
