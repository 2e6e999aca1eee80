"""`euca-box image catalog [build NAME]`: what can be made here, and making it."""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

from euca_box.cli import common
from euca_box.client import Client, ClientError
from euca_box.datadir import DataDir
from euca_box.images.catalog import SITE, CatalogError, Entry, read_catalog

COLUMNS = {"name": "Name", "image_id": "Image", "description": "Description", "how": "Made by"}
GIB = 1 << 30


@click.group("catalog", invoke_without_command=True)
@click.option("--user", default="admin", help="Whose images are looked for.")
@common.output_option
@common.data_dir_option
@click.pass_context
def catalog_command(context: click.Context, user: str, output: str, data_dir: Path | None) -> None:
    """Show the images that can be built here or fetched, and those that are there."""
    if context.invoked_subcommand is not None:
        return
    data = common.data_dir_of(data_dir)
    client = common.client_of(data, user)
    entries = catalog_of(data)
    here = _registered(client, list(entries))
    rows = [
        {"name": e.name, "image_id": here.get(e.name, ""), "description": e.description, "how": e.how}
        for e in entries.values()
    ]
    common.show([dict(row) for row in rows], output, COLUMNS)


@catalog_command.command("build")
@click.argument("name")
@click.option("--user", default="admin", help="Whose image it will be.")
@common.output_option
@common.data_dir_option
def build(name: str, user: str, output: str, data_dir: Path | None) -> None:
    """Build or fetch an image of the catalogue and register it, unless it is registered."""
    data = common.data_dir_of(data_dir)
    image_id = build_entry(data, name, user)
    common.show_one({"image_id": image_id, "name": name}, output, lambda row: str(row["image_id"]))


def build_entry(data: DataDir, name: str, user: str) -> str:
    """The image's id. Ends the command with the reason when it cannot be made."""
    entries = catalog_of(data)
    entry = entries.get(name)
    if entry is None:
        _fail(name, f"the catalogue has {', '.join(entries)}; your own go into {data.path / SITE}")
    client = common.client_of(data, user)
    found = _registered(client, [name]).get(name)
    return found or _made(data, client, entry, user)


def catalog_of(data: DataDir) -> dict[str, Entry]:
    try:
        return read_catalog(data.path)
    except CatalogError as error:
        common.fail(str(error))


def _made(data: DataDir, client: Client, entry: Entry, user: str) -> str:
    from euca_box.cli.sources import SourceError
    from euca_box.images.debian import DebianError
    from euca_box.images.demo_packages import DemoError
    from euca_box.images.inspect import ImageRefused
    from euca_box.images.packed import PackedError

    def progress(words: str) -> None:
        click.echo(f"{entry.name}: {words}", err=True)

    make: Callable[..., str] = {"demo": _demo, "debian": _debian, "": _fetched}[entry.recipe]
    try:
        return make(data, client, entry, user, progress)
    except (ClientError, OSError, DemoError, DebianError, SourceError, PackedError, ImageRefused) as error:
        _fail(entry.name, str(error))


def _demo(data: DataDir, client: Client, entry: Entry, user: str, progress: Callable[[str], None]) -> str:
    from euca_box.welcome import build_and_register

    return build_and_register(client, data.path / "demo", progress)


def _debian(data: DataDir, client: Client, entry: Entry, user: str, progress: Callable[[str], None]) -> str:
    from euca_box.images.debian import build_debian

    made = build_debian(data.path / "demo" / entry.name, progress, entry.suite or "bookworm", entry.size_mib)
    files = (("kernel", made.kernel), ("ramdisk", made.ramdisk), ("machine", made.root))
    return _imported(data, client, entry, user, [(kind, str(path), None) for kind, path in files])


def _fetched(data: DataDir, client: Client, entry: Entry, user: str, progress: Callable[[str], None]) -> str:
    wanted = (
        ("kernel", entry.kernel, entry.kernel_sha256),
        ("ramdisk", entry.ramdisk, entry.ramdisk_sha256),
        ("machine", entry.url, entry.sha256),
    )
    return _imported(data, client, entry, user, [part for part in wanted if part[1]])


def _imported(
    data: DataDir, client: Client, entry: Entry, user: str, parts: list[tuple[str, str, str | None]]
) -> str:
    from euca_box.cli.importing import Import, bucket_of

    bucket = bucket_of(data, user)
    client.make_bucket(bucket)
    job = Import(client, bucket, entry.name, 64 * GIB)
    for kind, text, sha256 in parts:
        job.add(kind, text, sha256)
    return job.ids["machine"]


def _registered(client: Client, names: list[str]) -> dict[str, str]:
    wanted = {f"Filter__1__Value__{n}": name for n, name in enumerate(names, 1)}
    found = client.ec2("DescribeImages", Owner__1="self", Filter__1__Name="name", **wanted)
    return {
        item.findtext("name") or "": item.findtext("imageId") or ""
        for item in found.iterfind("imagesSet/item")
    }


def _fail(name: str, why: str) -> NoReturn:
    common.fail(f"{name} was not made: {why}")
