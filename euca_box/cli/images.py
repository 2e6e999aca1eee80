"""`euca-box image ...`: import, build, the catalogue; what concerns bundles is in bundles.py."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from euca_box.cli import bundles, catalog, common, image_cache
from euca_box.client import ClientError

GIB = 1 << 30


@click.group("image")
def image_command() -> None:
    """Images: import files, make and register bundles, build those of the catalogue."""


for command in (*bundles.COMMANDS, catalog.catalog_command, image_cache.cache_command):
    image_command.add_command(command)


@image_command.command("import")
@click.argument("sources", nargs=-1, required=True)
@click.option("--kernel", help="Kernel (EKI): FILE, https:// or s3://.")
@click.option("--ramdisk", help="Ramdisk (ERI): FILE, https:// or s3://.")
@click.option("--name", help="Name of the image. Without it: the file's.")
@click.option("--sha256", help="What the source must have, compressed as it is.")
@click.option("--raw", is_flag=True, help="Make a raw disk of a qcow2 file first. Needs root.")
@click.option("--max-gib", type=click.IntRange(1), default=64, help="Give up beyond this size.")
@click.option("--user", default="admin", help="Whose image it will be.")
@click.option("--public", is_flag=True, help="Let every account run it. Without it: only the owner.")
@common.output_option
@common.data_dir_option
def import_images(
    sources: tuple[str, ...],
    kernel: str | None,
    ramdisk: str | None,
    name: str | None,
    sha256: str | None,
    raw: bool,
    max_gib: int,
    user: str,
    public: bool,
    output: str,
    data_dir: Path | None,
) -> None:
    """Upload images to Walrus and register them: FILE, https://... or s3://BUCKET/KEY.

    Raw or qcow2 disks, root file systems, kernels; compressed by gzip, xz or zstd or not. What each is, is
    read from its bytes. A file that was uploaded in part goes on where it stopped.
    """
    if len(sources) > 1 and (name or kernel or ramdisk or sha256):
        raise click.UsageError("--name, --kernel, --ramdisk and --sha256 go with one source.")
    for wanted in filter(None, (*sources, kernel, ramdisk)):
        if not wanted.startswith(("https://", "http://", "s3://")) and not Path(wanted).is_file():
            raise click.UsageError(f"File '{wanted}' does not exist.")
    from euca_box.cli.importing import Import, bucket_of, label_of

    data = common.data_dir_of(data_dir)
    client, bucket = common.client_of(data, user), bucket_of(data, user)
    rows = []
    for source in sources:
        label = name or label_of(source)
        job = Import(client, bucket, label, max_gib * GIB, raw=raw)
        with _explained(source, bucket):
            client.make_bucket(bucket)
            for kind, text in (("kernel", kernel), ("ramdisk", ramdisk)):
                if text is not None:
                    job.add(kind, text)
            image_id = job.add(_kind(source), source, sha256)
            if public:
                job.publish()
        rows.append({"image_id": image_id, "name": label})
    _show(rows, output)


@contextlib.contextmanager
def _explained(source: str, bucket: str) -> Iterator[None]:
    from euca_box.cli.sources import SourceError
    from euca_box.images.convert import ConvertError
    from euca_box.images.inspect import ImageRefused
    from euca_box.images.packed import PackedError

    try:
        yield
    except (SourceError, PackedError, ImageRefused, ConvertError) as error:
        common.fail(f"{source}: {error}")
    except (ClientError, OSError) as error:
        common.fail(
            f"{source}: {error}\nWhat was uploaded is still in the bucket {bucket}: the same command goes on "
            "there. Delete it if it is not wanted."
        )


@image_command.command("build")
@click.argument("name")
@click.option("--user", default="admin", help="Whose image it will be.")
@common.output_option
@common.data_dir_option
def build(name: str, user: str, output: str, data_dir: Path | None) -> None:
    """Build an image of the catalogue and register it: `euca-box image build demo`."""
    image_id = catalog.build_entry(common.data_dir_of(data_dir), name, user)
    _show([{"image_id": image_id, "name": name}], output)


def _kind(source: str) -> str:
    """Kernels and ramdisks given alone keep their kind by name; Walrus looks at the bytes anyway."""
    for start, kind in (("vmlinuz", "kernel"), ("initrd", "ramdisk")):
        if source.rpartition("/")[2].startswith(start):
            return kind
    return "machine"


def _show(rows: list[dict[str, str]], output: str) -> None:
    if output == "json" and len(rows) == 1:
        common.show_one(dict(rows[0]), output, str)
    else:
        common.show([dict(row) for row in rows], output, {"image_id": "Image", "name": "Name"})
