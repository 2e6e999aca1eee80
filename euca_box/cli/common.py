"""What commands share: the data directory, the admin socket, output, and errors as one sentence."""

import http.client
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

import click

from euca_box.datadir import DataDir, default_data_dir
from euca_box.model import config_files

if TYPE_CHECKING:
    from euca_box.client import Client
    from euca_box.config import Config

FAILED, NOT_RUNNING, DEGRADED = 1, 3, 4

data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where the cloud's data is kept."
)
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print the answer."
)


def data_dir_of(path: Path | None, config: "Config | None" = None) -> DataDir:
    """The flag, else the setting, else the default place."""
    if path is None and config is None and config_files.are_there():
        config = load_config(None)
    if path is None and config is not None and config.data_dir:
        path = Path(config.data_dir)
    return DataDir((path or default_data_dir()).absolute())


def load_config(file: Path | None, flags: dict[str, Any] | None = None) -> "Config":
    """The settings, or every mistake in them and exit code 2."""
    from euca_box import settings

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


class Refused(Exception):
    """The running cloud answered with an error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


def ask(data: DataDir, operation: str, seconds: float = 60.0, at: str = "", **fields: Any) -> dict[str, Any]:
    """An admin operation of the running process. Exits with 3 when none runs, with 1 when it refuses."""
    try:
        return ask_or_raise(data, operation, seconds, at, **fields)
    except Refused as refused:
        fail(str(refused))


def ask_or_raise(
    data: DataDir, operation: str, seconds: float = 60.0, at: str = "", **fields: Any
) -> dict[str, Any]:
    """As `ask`, of the role at this address of the bus. Raises Refused."""
    connection = _UnixConnection(data.admin_socket, seconds)
    try:
        if operation == "status":
            connection.request("GET", "/status")
        else:
            target = f"/{operation}?at={quote(at, safe='@')}" if at else f"/{operation}"
            connection.request("POST", target, json.dumps(fields))
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
        raise Refused(str(reply.get("error", answer.status)), str(reply.get("message", "")))
    return reply


def answers(data: DataDir) -> bool:
    """A socket that a killed process left refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(data.admin_socket)) == 0


def addresses(data: DataDir, role: str = "") -> list[str]:
    """Where the roles of the cloud are, as far as this host knows: `clc`, `cc@us-east-1a`, `nc@laptop`."""
    status = ask(data, "status")
    found: list[str] = list(status["addresses"])
    if "clc" in status["roles"] and "clc" not in status["waiting"]:
        found += [node["name"] for node in ask(data, "DescribeCloud")["nodes"]]
    return [a for a in dict.fromkeys(found) if not role or role in (a, a.partition("@")[0])]


def client_of(data: DataDir, user: str = "admin") -> "Client":
    """A client of the running process's API, as one of its users."""
    from euca_box.client import Client

    status = ask(data, "status")
    keys = ask(data, "GetUserKeys", name=user)
    return Client(
        status["api"],
        keys["access_key_id"],
        keys["secret_access_key"],
        ca_file=str(data.path / "ca.pem"),
        s3_endpoint=status["s3"],
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
        table.add_row(*(Text(printable(str(row.get(field, "")))) for field in columns))
    Console().print(table)


def printable(text: str, *, one_line: bool = False) -> str:
    """Names that users chose have no codes for the operator's terminal."""
    kept = "" if one_line else "\n"
    return "".join(c if c.isprintable() or c == kept else "\N{REPLACEMENT CHARACTER}" for c in text)


def show_one(row: dict[str, Any], output: str, line: Callable[[dict[str, Any]], str]) -> None:
    click.echo(json.dumps(row, indent=2) if output == "json" else line(row))
