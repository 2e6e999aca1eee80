"""`euca-box backup`: a copy of this host's part of the cloud while it runs, and its way back."""

import contextlib
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from euca_box.cli import common
from euca_box.datadir import DataDir, DataDirError, host_name

if TYPE_CHECKING:
    from euca_box.backup.contents import Contents
    from euca_box.backup.places import Bucket, Folder

HOLD_SECONDS, RENEW_SECONDS = 300.0, 60.0
COLUMNS = {"name": "Name", "moment": "Moment (UTC)", "with": "With", "mib": "MiB", "version": "Version"}
place_option = click.option(
    "--to", "--from", "place", default="", metavar="PLACE",
    help="A folder or s3://BUCKET/PREFIX; the data directory's backups/ else.",
)  # fmt: skip
endpoint_option = click.option("--endpoint", default="", help="URL of that S3; else AWS_ENDPOINT_URL_S3.")


@click.group("backup")
def backup_command() -> None:
    """Back up this host's databases, keys and settings, and what else is asked for. Keep backups secret."""


@backup_command.command("create")
@place_option
@endpoint_option
@click.option("--objects", is_flag=True, help="Also the objects of Walrus, images and snapshots among them.")
@click.option("--volumes", is_flag=True, help="Also volumes that are attached to no instance.")
@common.output_option
@common.data_dir_option
def create_command(
    place: str, endpoint: str, objects: bool, volumes: bool, output: str, data_dir: Path | None
) -> None:
    """Make a backup of one moment, also while the cloud runs, and verify it."""
    from euca_box.backup.creating import Order, create

    data = common.data_dir_of(data_dir)
    order = Order(data, _host(data), objects, volumes, say=lambda text: click.echo(f"{text} ...", err=True))
    with _told(), _removals_held(data) if objects else contextlib.nullcontext():
        contents = create(order, _place(place, endpoint, data))
    for line in contents.left_out:
        click.echo(f"left out: {line}", err=True)
    common.show_one(_row(contents), output, lambda r: f"{r['name']}  {r['mib']} MiB, verified")


@backup_command.command("list")
@place_option
@endpoint_option
@common.output_option
@common.data_dir_option
def list_command(place: str, endpoint: str, output: str, data_dir: Path | None) -> None:
    """List the backups that are there, the oldest first."""
    with _told():
        found = _place(place, endpoint, common.data_dir_of(data_dir))
        rows = [_row(found.contents(name)) for name in found.names()]
    common.show(rows, output, COLUMNS)


@backup_command.command("verify")
@click.argument("name")
@place_option
@endpoint_option
@common.data_dir_option
def verify_command(name: str, place: str, endpoint: str, data_dir: Path | None) -> None:
    """Read every byte of a backup and compare it with its checksum."""
    from euca_box.backup.creating import verify

    with _told():
        found = _place(place, endpoint, common.data_dir_of(data_dir))
        contents = found.contents(name)
        verify(found, contents)
    click.echo(f"{name}: {len(contents.entries)} files are as they were written.")


@backup_command.command("restore")
@click.argument("name")
@place_option
@endpoint_option
@click.option("--replace", is_flag=True, help="Move aside what is there.")
@common.data_dir_option
def restore_command(name: str, place: str, endpoint: str, replace: bool, data_dir: Path | None) -> None:
    """Put a backup back into the data directory. Refused while a cloud runs on it."""
    from euca_box.backup.restoring import restore

    data = common.data_dir_of(data_dir)
    try:
        data.make()
        descriptor = data.lock()
    except DataDirError as error:
        common.fail(str(error))
    try:
        with _told():
            found = _place(place, endpoint, data)
            contents = found.contents(name)
            aside = restore(
                data, found, contents, replace=replace, say=lambda t: click.echo(f"{t} ...", err=True)
            )
    finally:
        os.close(descriptor)
    click.echo(f"Restored: everything is as of {_row(contents)['moment']} UTC.")
    if aside is not None:
        click.echo(f"What was there is in {aside}; delete it when all is well.")
    click.echo(f"Next: euca-box run{data.flag}")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What can go wrong, as one sentence."""
    from euca_box.backup.point import BackupError
    from euca_box.client import ClientError

    try:
        yield
    except (BackupError, ClientError, OSError) as error:
        common.fail(str(error))


@contextlib.contextmanager
def _removals_held(data: DataDir) -> Iterator[None]:
    """Where the cloud runs, no bytes of objects go while this lasts."""
    if not common.answers(data):
        yield
        return
    done = threading.Event()
    common.ask(data, "HoldRemovals", hold_seconds=HOLD_SECONDS)

    def renew() -> None:
        while not done.wait(RENEW_SECONDS):
            with contextlib.suppress(common.Refused, SystemExit):
                common.ask_or_raise(data, "HoldRemovals", hold_seconds=HOLD_SECONDS)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        with contextlib.suppress(common.Refused, SystemExit):
            common.ask_or_raise(data, "HoldRemovals", hold_seconds=0.0)


def _place(text: str, endpoint: str, data: DataDir) -> "Folder | Bucket":
    from euca_box.backup.places import place_of

    return place_of(text or str(data.path / "backups"), endpoint)


def _host(data: DataDir) -> str:
    from euca_box import membership

    joined = membership.find(data)
    return joined.name if joined else host_name()


def _row(contents: "Contents") -> dict[str, Any]:
    return {
        "name": contents.name,
        "moment": f"{datetime.fromtimestamp(contents.point_at, UTC):%Y-%m-%d %H:%M:%S}",
        "with": ", ".join(contents.parts) or "databases and keys only",
        "mib": -(-contents.size_bytes // (1 << 20)),
        "version": contents.version,
        "left_out": list(contents.left_out),
    }
