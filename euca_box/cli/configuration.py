"""`euca-box config ...` and `euca-box version`."""

import difflib
import json
import platform
import sys
from pathlib import Path
from typing import Any

import click

from euca_box import __version__
from euca_box.cli import common
from euca_box.datadir import DataDir
from euca_box.model import config_files

config_option = click.option(
    "--config", "file", type=click.Path(path_type=Path), help="The configuration file."
)


@click.group("config")
def config_command() -> None:
    """The configuration: check it, show it, change it while the cloud runs."""


@config_command.command("check")
@config_option
@common.data_dir_option
def check(file: Path | None, data_dir: Path | None) -> None:
    """Report every mistake, with file and line. Exit code 2 when there is one."""
    common.load_config(file)
    click.echo("The configuration is fine.")


@config_command.command("show")
@config_option
@common.output_option
@common.data_dir_option
def show(file: Path | None, output: str, data_dir: Path | None) -> None:
    """Show every setting in force, and where it comes from."""
    import attrs

    from euca_box import settings

    try:
        config, origins = settings.load(file)
    except settings.ConfigError as error:
        for mistake in error.mistakes:
            click.echo(mistake, err=True)
        sys.exit(2)
    rows = [
        {"setting": path, "value": value, "origin": origins.get(path, "default")}
        for path, value in _flat(attrs.asdict(config))
    ]
    common.show(rows, output, {"setting": "Setting", "value": "Value", "origin": "From"})


@config_command.command("example")
@common.data_dir_option
def example(data_dir: Path | None) -> None:
    """Print every setting with its default and meaning."""
    from euca_box import example as written

    click.echo(written.example(), nl=False)


LIVE = {"name": "Setting", "value": "Value", "at": "Kept by", "state": "", "meaning": "Meaning"}
at_option = click.option("--at", default="", help="Only of the role at this address: cc@ZONE, nc@HOST.")


@config_command.command("list")
@click.option("--changed", is_flag=True, help="Only what was changed.")
@at_option
@common.output_option
@common.data_dir_option
def list_kept(changed: bool, at: str, output: str, data_dir: Path | None) -> None:
    """List the settings that the running roles keep, and can change."""
    data = common.data_dir_of(data_dir)
    rows = [
        row
        for place in common.addresses(data, at)
        for row in _rows(place, common.ask(data, "GetSettings", at=place))
    ]
    common.show([r for r in rows if r["changed_at"] or r["waits"] or not changed], output, LIVE)


@config_command.command("get")
@click.argument("name")
@at_option
@common.output_option
@common.data_dir_option
def get(name: str, at: str, output: str, data_dir: Path | None) -> None:
    """Show a setting of the running cloud; one that no role keeps as the files have it."""
    data = common.data_dir_of(data_dir)
    rows = _each(data, name, at, "GetSettings", names=[name])
    if len(rows) == 1 and output == "table":
        click.echo(rows[0]["value"])
    else:
        common.show(rows, output, LIVE)


@config_command.command("set")
@click.argument("name")
@click.argument("value")
@at_option
@common.output_option
@common.data_dir_option
def set_value(name: str, value: str, at: str, output: str, data_dir: Path | None) -> None:
    """Change a setting while the cloud runs, for good. Lists have commas."""
    data = common.data_dir_of(data_dir)
    _told(_each(data, name, at, "ChangeSettings", values=[[name, value]]), output)


@config_command.command("reset")
@click.argument("name")
@at_option
@common.output_option
@common.data_dir_option
def reset(name: str, at: str, output: str, data_dir: Path | None) -> None:
    """Let a setting be as the configuration files say again."""
    data = common.data_dir_of(data_dir)
    _told(_each(data, name, at, "ResetSettings", names=[name]), output)


def _each(data: DataDir, name: str, at: str, operation: str, **fields: Any) -> list[dict[str, Any]]:
    """Ask every role that keeps the setting. Those of other hosts keep their own."""
    from euca_box import settings
    from euca_box.services.live import KEPT

    owner = next((role for role, kept in KEPT.items() if name in kept), "")
    if not owner and settings.is_setting(name):
        common.fail(
            f"{name} is in no role's keeping: set it in {config_files.SYSTEM_FILE} and start again "
            "(euca-box config show)."
        )
    if not owner:
        near = difflib.get_close_matches(name, [n for kept in KEPT.values() for n in kept], 1, 0.5)
        common.fail(f"there is no setting {name}." + (f" Did you mean {near[0]}?" if near else ""))
    places = [place for place in common.addresses(data, at or owner) if place.partition("@")[0] == owner]
    if not places:
        common.fail(f"no {owner} is known here{f' at {at}' if at else ''}.")
    return [row for place in places for row in _rows(place, common.ask(data, operation, at=place, **fields))]


def _rows(place: str, answer: dict[str, Any]) -> list[dict[str, Any]]:
    from euca_box.settings import as_typed

    return [
        row
        | {
            "at": place,
            "value": as_typed(row["value"]),
            "state": "waits for a restart" if row["waits"] else "",
        }
        for row in answer["settings"]
    ]


def _told(rows: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        when = "from the next start on" if row["waits"] else "now"
        click.echo(f"{row['name']} is {row['value'] or 'empty'} at {row['at']} {when}.")


@click.command("version")
@common.output_option
@common.data_dir_option
def version_command(output: str, data_dir: Path | None) -> None:
    """Show the version."""
    row = {"version": __version__, "python": platform.python_version()}
    common.show_one(row, output, lambda r: f"euca-box {r['version']} (Python {r['python']})")


def _flat(values: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value))
    return rows
