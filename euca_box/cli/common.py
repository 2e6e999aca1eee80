"""What commands share: the data directory, the admin socket, output, and errors as one sentence."""

import http.client
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from euca_box import settings
from euca_box.client import Client
from euca_box.config import Config
from euca_box.datadir import DataDir, default_data_dir

FAILED, NOT_RUNNING, DEGRADED = 1, 3, 4

data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where the cloud's data is kept."
)
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print the answer."
)


def data_dir_of(path: Path | None, config: Config | None = None) -> DataDir:
    """The flag, else the setting, else the default place."""
    if path is None and config is None:
        config = load_config(None)
    if path is None and config is not None and config.data_dir:
        path = Path(config.data_dir)
    return DataDir((path or default_data_dir()).absolute())


def load_config(file: Path | None, flags: dict[str, Any] | None = None) -> Config:
    """The settings, or every mistake in them and exit code 2."""
    try:
        return settings.load(file, flags=flags)[0]
    except settings.ConfigError as error:
        for mistake in error.mistakes:
            click.echo(mistake, err=True)
        sys.exit(2)


def fail(text: str, code: int = FAILED) -> NoReturn:
    click.echo(f"euca-box: {text}", err=True)
    sys.exit(code)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(data: DataDir, operation: str, seconds: float = 60.0, **fields: Any) -> dict[str, Any]:
    """An admin operation of the running process. Exits with 3 when none runs, with 1 when it refuses."""
    connection = _UnixConnection(data.admin_socket, seconds)
    try:
        if operation == "status":
            connection.request("GET", "/status")
        else:
            connection.request("POST", f"/{operation}", json.dumps(fields))
        answer = connection.getresponse()
        reply: dict[str, Any] = json.loads(answer.read())
    except (FileNotFoundError, ConnectionRefusedError):
        fail(f"no euca-box runs on {data.path}. Start it: euca-box run --data-dir {data.path}", NOT_RUNNING)
    except PermissionError:
        fail(f"you may not open {data.admin_socket}. Use sudo.", FAILED)
    except (OSError, http.client.HTTPException) as error:
        fail(f"the running euca-box does not answer: {error}", FAILED)
    finally:
        connection.close()
    if answer.status != 200:
        fail(f"{reply.get('error', answer.status)}: {reply.get('message', '')}")
    return reply


def client_of(data: DataDir, user: str = "admin") -> Client:
    """A client of the running process's API, as one of its users."""
    status = ask(data, "status")
    keys = ask(data, "GetUserKeys", name=user)
    return Client(
        status["api"],
        keys["access_key_id"],
        keys["secret_access_key"],
        ca_file=str(data.path / "ca.pem") if status["api"].startswith("https") else None,
    )


def show(rows: list[dict[str, Any]], output: str, columns: dict[str, str]) -> None:
    """A list as a table (`columns`: field -> heading) or as JSON with all fields."""
    if output == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_printable(str(row.get(field, "")))) for field in columns))
    Console().print(table)


def _printable(text: str) -> str:
    """Names that users chose have no codes for the operator's terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def show_one(row: dict[str, Any], output: str, line: Callable[[dict[str, Any]], str]) -> None:
    click.echo(json.dumps(row, indent=2) if output == "json" else line(row))
