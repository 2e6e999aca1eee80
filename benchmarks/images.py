"""Bundles and imports of 1 GiB, beside what is as fast as it gets on this machine.

Unpacking: from RegisterImage to `available` (parts checked, decrypted, unpacked, written, looked at, hashed)
beside `cat | openssl | tar` into a file that is synced. Import: `euca-box image import` with its registration
beside boto3's upload_file of the same file to the same Walrus, and beside its upload and registration.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.real_cloud import PORTS, PROGRAM, RealCloud, data_folder, enter_own_network, real_cloud

GIB, MIB = 1 << 30, 1 << 20
TURNS = 3
AIM_UNPACK, AIM_IMPORT = 0.6, 0.8
# A boot record with one partition: Walrus takes it for a disk.
DISK = bytes(446) + b"\x80\0\0\0\x83\0\0\0" + b"\x01\0\0\0\x08\0\0\0" + bytes(48) + b"\x55\xaa"
WORDS = b"".join(
    f"/usr/lib/python3/dist-packages/module{n % 997}.py {n * n}\n".encode() for n in range(40_000)
)


def make_image(path: Path, size_bytes: int) -> None:
    """A third each of what does not compress, of text, and of zeros, as disks of a system are."""
    with path.open("wb") as file:
        file.write(DISK)
        while file.tell() < size_bytes - 3 * MIB:
            file.write(os.urandom(MIB) + (WORDS * 2)[:MIB] + bytes(MIB))
        file.write(bytes(size_bytes - file.tell()))


def client_of(cloud: RealCloud, service: str) -> Any:
    import boto3
    from botocore.config import Config

    keys = credentials(cloud)
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{PORTS['PORT']}",
        region_name="us-east-1",
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
        config=Config(s3={"addressing_style": "path"}, read_timeout=600),
    )


def credentials(cloud: RealCloud) -> dict[str, str]:
    argv = [str(PROGRAM), "credentials", "--format", "json", "--data-dir", str(cloud.data_dir)]
    return dict(json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout))


def timed(what: Callable[[], object]) -> float:
    begin = time.perf_counter()
    what()
    return time.perf_counter() - begin


def unpack_by_hand(folder: Path, manifest: Path, private: Path) -> None:
    """Its key in the clear first; then a pipe of cat, openssl and tar, and a sync."""
    from euca_box.auth.bundle_keys import private_key
    from euca_box.images.bundle_files import opened
    from euca_box.images.manifest import parse_manifest

    found = parse_manifest(manifest.read_bytes())
    key = opened(found, private_key(private.read_bytes()))
    parts = [str(manifest.parent / part.name) for part in found.parts]
    cat = subprocess.Popen(["cat", *parts], stdout=subprocess.PIPE)
    cipher = ["openssl", "enc", "-d", "-aes-128-cbc", "-K", key.key.hex(), "-iv", key.iv.hex()]
    openssl = subprocess.Popen(cipher, stdin=cat.stdout, stdout=subprocess.PIPE)
    subprocess.run(["tar", "xz", "-C", str(folder)], stdin=openssl.stdout, check=True)
    subprocess.run(["sync", str(folder / found.name)], check=True)
    (folder / found.name).unlink()
    cat.wait()
    openssl.wait()


def register(ec2: Any, location: str, name: str) -> str:
    """Until it is available."""
    image_id = str(ec2.register_image(ImageLocation=location, Name=name)["ImageId"])
    while (state := ec2.describe_images(ImageIds=[image_id])["Images"][0]["State"]) == "pending":
        time.sleep(0.02)
    assert state == "available", state
    return image_id


def bundles(cloud: RealCloud, folder: Path, image: Path) -> None:
    run = [str(PROGRAM), "user", "certificate", "create", "admin", "--out", str(folder / "keys")]
    subprocess.run([*run, "--data-dir", str(cloud.data_dir)], check=True, stdout=subprocess.DEVNULL)
    keys = folder / "keys"
    make = [str(PROGRAM), "image", "bundle", str(image), "-d", str(folder), "-u", "000000000001"]
    make += [
        "-c",
        str(keys / "cert.pem"),
        "-k",
        str(keys / "pk.pem"),
        "--ec2cert",
        str(keys / "cloud-cert.pem"),
    ]
    seconds = timed(
        lambda: subprocess.run(make, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    )
    manifest = folder / f"{image.name}.manifest.xml"
    say("euca-box image bundle", seconds, image)
    send = [
        str(PROGRAM),
        "image",
        "upload",
        str(manifest),
        "-b",
        "bundles",
        "--data-dir",
        str(cloud.data_dir),
    ]
    subprocess.run(send, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ec2, ours, theirs = client_of(cloud, "ec2"), [], []
    by_hand = folder / "by-hand"
    by_hand.mkdir()
    for turn in range(TURNS):
        theirs.append(timed(lambda: unpack_by_hand(by_hand, manifest, keys / "pk.pem")))
        begin = time.perf_counter()
        image_id = register(ec2, f"bundles/{manifest.name}", f"bundle {turn}")
        ours.append(time.perf_counter() - begin)
        ec2.deregister_image(ImageId=image_id)
    say("openssl | tar", min(theirs), image)
    say("RegisterImage -> available", min(ours), image, min(theirs) / min(ours), AIM_UNPACK)


def imports(cloud: RealCloud, image: Path) -> None:
    s3, ec2 = client_of(cloud, "s3"), client_of(cloud, "ec2")
    s3.create_bucket(Bucket="plain")
    ours, plain, registered = [], [], []
    for turn in range(TURNS):
        plain.append(timed(lambda: s3.upload_file(str(image), "plain", "disk")))
        seconds = timed(lambda turn=turn: register(ec2, "plain/disk", f"plain {turn}"))  # type: ignore[misc]
        registered.append(plain[-1] + seconds)
        begin = time.perf_counter()
        cloud.command("image", "import", str(image), "--name", f"import {turn}")
        ours.append(time.perf_counter() - begin)
        s3.delete_object(Bucket="euca-box-images", Key=f"import {turn}")
    say("boto3 upload_file", min(plain), image)
    say("boto3 upload_file + RegisterImage", min(registered), image)
    say("euca-box image import", min(ours), image, min(plain) / min(ours), AIM_IMPORT)


def say(what: str, seconds: float, image: Path, ratio: float = 0.0, aim: float = 0.0) -> None:
    rate = image.stat().st_size / MIB / seconds
    more = f"   ratio {ratio:.2f} (aim: {aim:g})" if aim else ""
    print(f"{what:36}{seconds:8.2f} s{rate:8.0f} MiB/s{more}", flush=True)


def main() -> None:
    if not enter_own_network("benchmarks.images"):
        return
    size_bytes = int(os.environ.get("EUCA_BENCH_IMAGE_MIB", "1024")) * MIB
    with (
        data_folder() as data_dir,
        tempfile.TemporaryDirectory(prefix="ebi", dir="/var/tmp") as text,
        real_cloud(data_dir) as cloud,
    ):
        image = Path(text) / "disk.img"
        make_image(image, size_bytes)
        print(f"{size_bytes // MIB} MiB: a third random, a third text, a third zeros; best of {TURNS}")
        bundles(cloud, Path(text), image)
        imports(cloud, image)


if __name__ == "__main__":
    main()
