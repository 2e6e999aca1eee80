"""The command line. Commands are thin and import nothing heavy before they run.

Exit codes: 0 ok, 1 failed, 2 usage, 3 not running, 4 degraded.
"""

import importlib
from typing import Any

import click

from euca_box import __version__
from euca_box.cli.summaries import SUMMARIES

COMMANDS = {
    "up": "service",
    "down": "service",
    "init": "run",
    "run": "run",
    "status": "status",
    "token": "joining",
    "join": "joining",
    "component": "components",
    "credentials": "credentials",
    "user": "users",
    "image": "images",
    "vm-type": "vm_types",
    "launch": "instances",
    "ssh": "instances",
    "console": "instances",
    "usage": "usage",
    "leftovers": "leftovers",
    "backup": "backup",
    "logs": "logs",
    "why": "why",
    "doctor": "doctor",
    "support": "support",
    "walrus": "walrus",
    "sc": "storage",
    "aws": "aws",
    "config": "configuration",
    "version": "configuration",
    "completion": "completion",
}


class LazyGroup(click.Group):
    """Finds a command in its module only when it is asked for: `euca_box.cli.MODULE.NAME`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found: Any = getattr(
            importlib.import_module(f"euca_box.cli.{module}"), cmd_name.replace("-", "_") + "_command"
        )
        command: click.Command = found
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in COMMANDS])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from None


@click.group(
    cls=LazyGroup, context_settings={"auto_envvar_prefix": "EUCA_BOX", "help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="euca-box")
def main() -> None:
    """A live EC2 and S3 compatible cloud with real virtual machines, in one program.

    Start with: euca-box run
    """
