"""`euca-box config ...` and `euca-box version`."""

import platform
import sys
from pathlib import Path

import click

from euca_box import __version__
from euca_box.cli import common

config_option = click.option(
    "--config", "file", type=click.Path(path_type=Path), help="The configuration file."
)


@click.group("config")
def config_command() -> None:
    """The configuration: check it, show it, print the example."""


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
