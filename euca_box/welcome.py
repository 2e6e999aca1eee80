"""What a person sees when the cloud is up: the welcome card, then the demo image being made."""

import asyncio
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from euca_box.client import Client, ClientError
from euca_box.images.demo import DemoError, build_demo
from euca_box.messages import admin
from euca_box.messages.base import system_call
from euca_box.uploads import import_image

if TYPE_CHECKING:
    from euca_box.app import App

log = logging.getLogger(__name__)

DEMO_NAME = "demo"
DEMO_BUCKET = "euca-box-images"


async def greet(app: "App", password: str | None, *, demo: bool) -> None:
    """Print the card; where there is no image yet, make the demo image and say its id."""
    print("\n".join(_card(app, password)), flush=True)  # noqa: T201
    if not ({"clc", "walrus", "nc"} <= set(app.roles) and demo):
        return
    client = await client_of(app)
    try:
        image_id = await asyncio.to_thread(_demo_image, app, client)
    except (ClientError, OSError, DemoError) as error:
        log.warning("the demo image was not made: %s. Try again: euca-box image build demo", error)
        return
    print(f" ✓ image     {DEMO_NAME}  {image_id}\n   Next      {_next(app)}", flush=True)  # noqa: T201


def goodbye(app: "App") -> None:
    guests = "guests run on; " if "nc" in app.roles else ""
    print(f"euca-box has stopped ({guests}start again: euca-box run{app.data.flag})", flush=True)  # noqa: T201


async def client_of(app: "App") -> Client:
    """The API of this process, as the administrator."""
    keys = await app.ask("clc", admin.GetUserKeys(), system_call("welcome"))
    ca_file = str(app.data.path / "ca.pem") if app.endpoint.startswith("https") else None
    return Client(app.endpoint, keys.access_key_id, keys.secret_access_key, app.config.cloud.region, ca_file)


def build_and_register(client: Client, folder: Path, progress: Callable[[str], None]) -> str:
    """Build the demo image from Debian packages, upload it, register kernel, ramdisk and root.

    Every account may run it: it is what people try first. Blocks. Raises ClientError, and what building
    raises.
    """
    made = build_demo(folder, progress)
    files = [("kernel", made.kernel), ("ramdisk", made.ramdisk), ("machine", made.root)]
    progress("uploading and registering")
    image_id = import_image(client, files, DEMO_NAME, DEMO_BUCKET, lambda _: None)
    names = {
        f"Filter__1__Value__{n}": f"{DEMO_NAME}{kind}"
        for n, kind in enumerate(("", " kernel", " ramdisk"), 1)
    }
    found = client.ec2("DescribeImages", Owner__1="self", Filter__1__Name="name", **names)
    for known in found.iterfind("imagesSet/item/imageId"):
        client.ec2("ModifyImageAttribute", ImageId=known.text or "", LaunchPermission__Add__1__Group="all")
    return image_id


def _demo_image(app: "App", client: Client) -> str:
    found = client.ec2("DescribeImages", Filter__1__Name="name", Filter__1__Value__1=DEMO_NAME)
    known = found.findtext("imagesSet/item/imageId")
    if known:
        return known
    return build_and_register(client, app.data.path / "demo", lambda words: log.info("demo image: %s", words))


def _card(app: "App", password: str | None) -> list[str]:
    usage = shutil.disk_usage(app.data.path)
    lines = ["", f" ✓ host      {app.host}, disk {usage.free // 1024**3} GiB free"]
    if app.accelerator is not None:
        if app.accelerator.name == "kvm":
            lines.append(" ✓ kvm       guests run at full speed")
        else:
            lines.append(f" ! kvm       not usable, guests run under TCG (slow): {app.accelerator.reason}")
    if app.plan is not None:
        lines.append(
            f" ✓ network   instances {app.plan.subnet} on {app.config.network.bridge}, "
            f"public addresses {app.plan.public_range}"
        )
    lines.append(f" ✓ storage   {app.data.path}")
    lines.append(f" ✓ roles     {' '.join(app.roles)} up")
    lines += [f" - {role:<9} does not run: {why}" for role, why in app.left_out.items()]
    console = f"https://127.0.0.1:{app.consoles[0].port}"
    lines.append("")
    if password:
        lines.append(f"   Web       {console}   user admin   password {password}   (shown once)")
    else:
        lines.append(f"   Web       {console}")
    lines += [
        f"   API       {app.endpoint}   (EC2, S3 and STS on one URL)",
        f'   Keys      eval "$(euca-box credentials --format env{app.data.flag})"',
        f"   Profile   euca-box credentials --format aws{app.data.flag}   (for ~/.aws)",
        f"   Next      {_next(app)}",
        "",
    ]
    return lines


def _next(app: "App") -> str:
    if "nc" not in app.roles:
        return f"euca-box status{app.data.flag}"
    return f"euca-box launch hello --ssh{app.data.flag}"


if not sys.stdout.encoding.lower().startswith("utf"):
    # A terminal without UTF-8 must not stop the cloud over a check mark.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
