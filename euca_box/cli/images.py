"""`euca-box image import` and `euca-box image build demo`."""

from pathlib import Path
from typing import Any

import click

from euca_box.cli import bundles, common
from euca_box.cli.progress import progress
from euca_box.client import ClientError, import_image

BUCKET = "euca-box-images"
CACHE_WAIT_SECONDS = 20.0
CACHE_COLUMNS = {"node": "Node", "image_id": "Image", "size_bytes": "Bytes", "state": "State"}


@click.group("image")
def image_command() -> None:
    """Images: import files, make and register bundles, build the demo image."""


for command in bundles.COMMANDS:
    image_command.add_command(command)


@image_command.command("import")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option("--kernel", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Kernel (EKI).")
@click.option(
    "--ramdisk", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Ramdisk (ERI)."
)
@click.option("--name", help="Name of the image. Without it: the file's.")
@click.option("--user", default="admin", help="Whose image it will be.")
@click.option("--public", is_flag=True, help="Let every account run it. Without it: only the owner.")
@common.output_option
@common.data_dir_option
def import_files(
    files: tuple[Path, ...],
    kernel: Path | None,
    ramdisk: Path | None,
    name: str | None,
    user: str,
    public: bool,
    output: str,
    data_dir: Path | None,
) -> None:
    """Upload image files to Walrus and register them: raw or qcow2 disks, root file systems, kernels.

    What each file is, is read from its bytes.
    """
    if len(files) > 1 and (name or kernel or ramdisk):
        raise click.UsageError("--name, --kernel and --ramdisk go with one file.")
    client = common.client_of(common.data_dir_of(data_dir), user)
    parts = [(kind, path) for kind, path in (("kernel", kernel), ("ramdisk", ramdisk)) if path]
    rows = []
    for path in files:
        label = name or path.name
        wanted = [*parts, (_kind(path), path)]
        try:
            with progress(f"uploading {label}", sum(p.stat().st_size for _, p in wanted)) as step:
                image_id = import_image(client, wanted, label, BUCKET, step)
            if public:
                everybody = {"LaunchPermission__Add__1__Group": "all"}
                client.ec2("ModifyImageAttribute", ImageId=image_id, **everybody)
        except ClientError as error:
            common.fail(
                f"{path}: {error}\nThe upload is still in the bucket {BUCKET}; delete it if it is not wanted."
            )
        rows.append({"image_id": image_id, "name": label})
    _show(rows, output)


@image_command.command("cache")
@click.argument("image_ids", nargs=-1)
@common.output_option
@common.data_dir_option
def cache(image_ids: tuple[str, ...], output: str, data_dir: Path | None) -> None:
    """Have every node fetch these images now, so that their first launch waits for nothing.

    Without IMAGE_IDS: show what the nodes have.
    """
    data = common.data_dir_of(data_dir)

    def ask() -> list[dict[str, Any]]:
        wait_seconds = CACHE_WAIT_SECONDS if image_ids else 0.0
        reply = common.ask(data, "CacheImages", image_ids=image_ids, wait_seconds=wait_seconds)
        return list(reply["images"])

    rows = ask()
    while any(row["state"] == "fetching" for row in rows):
        rows = ask()
    common.show(rows, output, CACHE_COLUMNS)
    if failed := [row for row in rows if row["state"].startswith("failed")]:
        common.fail(f"{failed[0]['image_id']} was not fetched by {failed[0]['node']}")


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


def _kind(path: Path) -> str:
    """Kernels and ramdisks given alone keep their kind by name; Walrus looks at the bytes anyway."""
    for start, kind in (("vmlinuz", "kernel"), ("initrd", "ramdisk")):
        if path.name.startswith(start):
            return kind
    return "machine"


def _show(rows: list[dict[str, str]], output: str) -> None:
    if output == "json" and len(rows) == 1:
        common.show_one(dict(rows[0]), output, str)
    else:
        common.show([dict(row) for row in rows], output, {"image_id": "Image", "name": "Name"})
