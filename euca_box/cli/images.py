"""`euca-box image ...`: import, build, the catalogue; what concerns bundles is in bundles.py."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from euca_box.cli import bundles, common
from euca_box.client import ClientError
from euca_box.datadir import DataDir

BUCKET = "euca-box-images"
GIB = 1 << 30


@click.group("image")
def image_command() -> None:
    """Images: import files, make and register bundles, build the demo image."""


for command in bundles.COMMANDS:
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
    from euca_box.cli.importing import Import, label_of

    data = common.data_dir_of(data_dir)
    client, bucket = common.client_of(data, user), _bucket_of(data, user)
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


def _bucket_of(data: DataDir, user: str) -> str:
    """A name is taken once in the cloud: other accounts have one with their number."""
    account = common.ask(data, "GetUserKeys", name=user)["account_id"]
    admin = common.ask(data, "GetUserKeys")["account_id"]
    return BUCKET if account == admin else f"{BUCKET}-{account}"


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


@image_command.group("build")
def build() -> None:
    """Build images on this host."""


@build.command("demo")
@click.option("--user", default="admin", help="Whose image it will be.")
@common.output_option
@common.data_dir_option
def build_demo_image(user: str, output: str, data_dir: Path | None) -> None:
    """Build a small image from Debian packages and register it: a kernel, SSH, cloud metadata."""
    from euca_box.images.demo import DemoError
    from euca_box.welcome import DEMO_NAME, build_and_register

    data = common.data_dir_of(data_dir)
    client = common.client_of(data, user)
    found = client.ec2(
        "DescribeImages", Filter__1__Name="name", Filter__1__Value__1=DEMO_NAME, Owner__1="self"
    ).findtext("imagesSet/item/imageId")
    try:
        image_id = found or build_and_register(
            client, data.path / "demo", lambda words: click.echo(f"demo image: {words}", err=True)
        )
    except (ClientError, OSError, DemoError) as error:
        common.fail(f"the demo image was not made: {error}")
    _show([{"image_id": image_id, "name": DEMO_NAME}], output)


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
