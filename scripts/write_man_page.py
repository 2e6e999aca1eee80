"""The manual page, written from the commands themselves: dist/euca-box.1.

python scripts/write_man_page.py
"""

from collections.abc import Iterator
from pathlib import Path

import click

from euca_box import __version__
from euca_box.cli import main as program

DIST = Path(__file__).parent.parent / "dist"


def main() -> None:
    DIST.mkdir(exist_ok=True)
    (DIST / "euca-box.1").write_text("\n".join(lines()) + "\n")


def lines() -> Iterator[str]:
    yield f'.TH EUCA-BOX 1 "" "euca-box {__version__}" "User Commands"'
    yield ".SH NAME"
    yield r"euca\-box \- an EC2 and S3 compatible cloud with real virtual machines, in one program"
    yield ".SH SYNOPSIS"
    yield r".B euca\-box"
    yield r".I COMMAND"
    yield r"[\fIOPTIONS\fR]"
    yield ".SH DESCRIPTION"
    yield _text(program.help or "")
    yield ".SH COMMANDS"
    context = click.Context(program, info_name="euca-box")
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        assert command is not None
        yield from _of(command, f"euca-box {name}", context)
    yield ".SH EXIT STATUS"
    yield "0 done, 1 failed, 2 wrong usage, 3 no cloud runs, 4 something of it does not."
    yield ".SH FILES"
    yield r"\fI/etc/euca-box/config.toml\fR, \fI/etc/euca-box/conf.d/*.toml\fR, \fI/var/lib/euca-box\fR"


def _of(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name.split()[-1], parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    yield ".TP"
    yield rf"\fB{_text(name)}\fR {_text(usage)}"
    yield _text((command.help or "").split("\f")[0].strip())
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in record[0]:
            yield ".br"
            yield rf"\fI{_text(record[0])}\fR  {_text(record[1])}"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _of(found, f"{name} {inner}", context)


def _text(text: str) -> str:
    """Roff takes backslashes, and a dot or quote at the beginning of a line, for its own (groff(7))."""
    rows = (row.strip() for row in text.replace("\\", r"\e").replace("-", r"\-").splitlines())
    return "\n".join(rf"\&{row}" if row[:1] in ".'" else row for row in rows if row)


if __name__ == "__main__":
    main()
