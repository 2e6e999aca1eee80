"""`euca-box image bundle | upload | register | unbundle | delete-bundle`, as ec2-ami-tools have them."""

from pathlib import Path
from typing import Any

import click

from euca_box.cli import common
from euca_box.cli.progress import progress
from euca_box.client import ClientError

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)

private_key_option = click.option(
    "-k", "--private-key", type=FILE, required=True, envvar="EC2_PRIVATE_KEY", help="Your key, pk.pem."
)
user_option = click.option("--user", default="admin", help="Who asks.")


@click.command("bundle")
@click.argument("image", type=FILE)
@click.option(
    "-d", "--destination", type=FOLDER, default=Path(), help="Folder for the parts and the manifest."
)
@click.option("-p", "--prefix", help="Name of the bundle. Without it: the file's.")
@click.option("-r", "--arch", type=click.Choice(["x86_64", "i386"]), default="x86_64")
@click.option("-u", "--user-id", required=True, envvar="EC2_USER_ID", help="Number of your account.")
@click.option("-c", "--cert", type=FILE, required=True, envvar="EC2_CERT", help="Your certificate, cert.pem.")
@private_key_option
@click.option(
    "--ec2cert", type=FILE, required=True, envvar="EUCALYPTUS_CERT", help="The cloud's, cloud-cert.pem."
)
@click.option("--kernel", help='Id of its kernel (eki-...), or "true": this is a kernel.')
@click.option("--ramdisk", help='Id of its ramdisk (eri-...), or "true": this is a ramdisk.')
@click.option(
    "-B", "--block-device-mapping", "mapping", help="VIRTUAL=DEVICE, with commas: root=sda1,swap=sda3."
)
def bundle_command(
    image: Path,
    destination: Path,
    prefix: str | None,
    arch: str,
    user_id: str,
    cert: Path,
    private_key: Path,
    ec2cert: Path,
    kernel: str | None,
    ramdisk: str | None,
    mapping: str | None,
) -> None:
    """Tar, gzip, encrypt and cut an image, and sign the manifest: NAME.part.0, ... and NAME.manifest.xml."""
    from functools import partial

    from euca_box.auth import bundle_keys
    from euca_box.images.bundle import BundleError
    from euca_box.images.bundle_files import Labels, Recipients, bundle_file
    from euca_box.model.images import ImageType

    kind = (
        ImageType.KERNEL
        if kernel == "true"
        else ImageType.RAMDISK
        if ramdisk == "true"
        else ImageType.MACHINE
    )
    labels = Labels(
        name=prefix or image.name,
        user=user_id.replace("-", ""),
        type=kind,
        architecture=arch,
        kernel_id=kernel if kernel != "true" else None,
        ramdisk_id=ramdisk if ramdisk != "true" else None,
        block_devices=_devices(mapping),
    )
    try:
        keys = bundle_keys.public_key(ec2cert.read_bytes()), bundle_keys.public_key(cert.read_bytes())
        sign = partial(bundle_keys.sign, key=bundle_keys.private_key(private_key.read_bytes()))
        with progress(f"bundling {labels.name}", image.stat().st_size) as step:
            made = bundle_file(image, destination, labels, Recipients(*keys), sign, step)
    except (BundleError, ValueError, OSError) as error:
        common.fail(f"{image} was not bundled: {error}")
    click.echo(made)


@click.command("unbundle")
@click.argument("manifest", type=FILE)
@click.option("-d", "--destination", type=FOLDER, default=Path(), help="Folder for the image.")
@private_key_option
def unbundle_command(manifest: Path, destination: Path, private_key: Path) -> None:
    """Make the image again from a manifest and the parts beside it. Each part is compared with its digest."""
    from euca_box.auth import bundle_keys
    from euca_box.images.bundle import BundleError
    from euca_box.images.bundle_files import unbundle_file
    from euca_box.images.manifest import ManifestError, parse_manifest

    try:
        total = parse_manifest(manifest.read_bytes()).bundled_bytes
        key = bundle_keys.private_key(private_key.read_bytes())
        with progress(f"unbundling {manifest.name}", total) as step:
            made = unbundle_file(manifest, destination, key, step)
    except (ManifestError, BundleError, ValueError, OSError) as error:
        common.fail(f"{manifest} was not unbundled: {error}")
    click.echo(made)


@click.command("upload")
@click.argument("manifest", type=FILE)
@click.option(
    "-b", "--bucket", required=True, help="BUCKET or BUCKET/FOLDER. The bucket is made when missing."
)
@user_option
@common.data_dir_option
def upload_command(manifest: Path, bucket: str, user: str, data_dir: Path | None) -> None:
    """Upload a bundle: the parts, and the manifest last."""
    from euca_box.images.manifest import ManifestError, parse_manifest
    from euca_box.uploads import upload_file

    client = common.client_of(common.data_dir_of(data_dir), user)
    name, _, folder = bucket.partition("/")
    folder = folder.strip("/") + "/" if folder.strip("/") else ""
    try:
        found = parse_manifest(manifest.read_bytes())
        client.make_bucket(name)
        with progress(f"uploading {manifest.name}", found.bundled_bytes) as step:
            for part in found.parts:
                upload_file(client, name, folder + part.name, manifest.parent / part.name, step)
        upload_file(client, name, folder + manifest.name, manifest, lambda _: None)
    except (ManifestError, ClientError, OSError) as error:
        common.fail(f"{manifest} was not uploaded: {error}")
    click.echo(f"{name}/{folder}{manifest.name}")


@click.command("register")
@click.argument("location")
@click.option("--name", help="Name of the image. Without it: the location.")
@click.option("--kernel", help="Id of its kernel.")
@click.option("--ramdisk", help="Id of its ramdisk.")
@user_option
@common.output_option
@common.data_dir_option
def register_command(
    location: str,
    name: str | None,
    kernel: str | None,
    ramdisk: str | None,
    user: str,
    output: str,
    data_dir: Path | None,
) -> None:
    """Register what was uploaded: BUCKET/NAME.manifest.xml of a bundle, or BUCKET/KEY of an image."""
    client = common.client_of(common.data_dir_of(data_dir), user)
    given = {"Name": name, "KernelId": kernel, "RamdiskId": ramdisk}
    more = {key: value for key, value in given.items() if value}
    try:
        reply = client.ec2("RegisterImage", ImageLocation=location, **more)
    except ClientError as error:
        common.fail(f"{location} was not registered: {error}")
    row: dict[str, Any] = {"image_id": reply.findtext("imageId"), "name": name or location}
    common.show_one(row, output, lambda r: str(r["image_id"]))


@click.command("delete-bundle")
@click.argument("location")
@user_option
@common.data_dir_option
def delete_bundle_command(location: str, user: str, data_dir: Path | None) -> None:
    """Delete BUCKET/NAME.manifest.xml and its parts. Images registered from it cannot be unpacked again."""
    from euca_box.images.manifest import ManifestError, parse_manifest

    client = common.client_of(common.data_dir_of(data_dir), user)
    bucket, _, key = location.partition("/")
    folder = key[: key.rfind("/") + 1]
    try:
        found = parse_manifest(client.get(bucket, key))
        for part in found.parts:
            client.delete(bucket, folder + part.name)
        client.delete(bucket, key)  # last: until then the command may be repeated
    except (ManifestError, ClientError) as error:
        common.fail(f"{location} was not deleted: {error}")
    click.echo(f"{location} and {len(found.parts)} parts are deleted")


def _devices(mapping: str | None) -> tuple[tuple[str, str], ...]:
    pairs = [pair.partition("=") for pair in (mapping or "").split(",") if pair]
    if any(not (virtual and device) for virtual, _, device in pairs):
        raise click.UsageError("--block-device-mapping is VIRTUAL=DEVICE, with commas.")
    return tuple((virtual.strip(), device.strip()) for virtual, _, device in pairs)


COMMANDS = (bundle_command, upload_command, register_command, unbundle_command, delete_bundle_command)
