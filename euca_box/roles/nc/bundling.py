"""BundleInstance on the node: disk -> raw -> parts, each sent by the user's signed form.

Only the parts' names and digests stay in memory. What signs the manifest is the cloud, not the node: the text
goes up, the signature comes down.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

import euca_box
from euca_box.auth import bundle_keys
from euca_box.images.bundle import Bundled, bundle
from euca_box.images.bundle_files import Labels, Recipients, text_of
from euca_box.images.manifest import SUFFIX, write_manifest
from euca_box.images.send import SendError, SendRefused
from euca_box.messages import nc as messages
from euca_box.messages.base import Call, Done
from euca_box.messages.bundling import BundleOrder, Bundling
from euca_box.model.ec2_errors import BundleRefused
from euca_box.model.errors import Unavailable
from euca_box.roles.nc import imaging

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc

COPIED_PERCENT = 30


async def bundle_instance(nc: "Nc", call: Call, op: messages.NcBundleInstance) -> Bundling:
    order = op.order
    imaging.alive(nc, order.instance_id)
    task = imaging.ensure(nc, order.bundle_id, partial(_bundle, nc, order))
    text: bytes | None = await imaging.outcome(nc, order.bundle_id, task, op.wait_seconds)
    return Bundling(task.percent, task.percent >= COPIED_PERCENT, text or b"")


async def send_manifest(nc: "Nc", call: Call, op: messages.NcSendManifest) -> Done:
    """Raises BundleRefused, Unavailable."""
    manifest = write_manifest(op.text, op.signature, euca_box.__version__)
    folder, name = _place(op.order)
    await _send(nc, op.order, f"{folder}{name}{SUFFIX}", manifest)
    return Done()


async def cancel_bundle_task(nc: "Nc", call: Call, op: messages.NcCancelBundleTask) -> Done:
    task = nc.imaging.pop(op.bundle_id, None)
    if task is not None:
        task.scope.cancel()
    return Done()


async def _bundle(nc: "Nc", order: BundleOrder, task: imaging.Task) -> bytes:
    name = order.bundle_id
    async with nc.imaging_limiter, imaging.copied_disk(nc, order.instance_id, name, reboot=False) as copy:
        raw = copy.with_name("disk.raw")
        await nc.workbench.make_raw(copy, raw, imaging.alive(nc, order.instance_id).uid)
        task.percent = COPIED_PERCENT
        return await _send_parts(nc, order, raw, task)


async def _send_parts(nc: "Nc", order: BundleOrder, raw: Path, task: imaging.Task) -> bytes:
    """All parts; what the manifest will say of them."""
    folder, name = _place(order)
    key, told, size_bytes = bundle_keys.new_bundle_key(), Bundled([]), nc.workbench.size_of(raw)
    with nc.workbench.opened(raw) as file:
        parts: Iterator[bytes] = bundle(file, name, size_bytes, key, told)
        while (part := await trio.to_thread.run_sync(next, parts, None)) is not None:
            await _send(nc, order, folder + told.parts[-1].name, part)
            task.percent = COPIED_PERCENT + (99 - COPIED_PERCENT) * file.tell() // size_bytes
    labels = Labels(
        name=name,
        user=order.user,
        architecture=order.architecture,
        kernel_id=order.kernel_id,
        ramdisk_id=order.ramdisk_id,
    )
    recipients = Recipients(
        bundle_keys.public_key(order.cloud_certificate.encode()),
        bundle_keys.public_key(order.user_certificate.encode()),
    )
    return text_of(labels, size_bytes, told, key, recipients)


def _place(order: BundleOrder) -> tuple[str, str]:
    """Folder and name of the bundle: the parts lie beside the manifest, which names them without a folder."""
    folder, slash, name = order.prefix.rpartition("/")
    return folder + slash, name or "image"


async def _send(nc: "Nc", order: BundleOrder, key: str, data: bytes) -> None:
    """Raises BundleRefused for what Walrus will refuse again, Unavailable for what it may take later."""
    try:
        await nc.workbench.send_form(order.url, order.ca_file, {"key": key, **dict(order.fields)}, data)
    except SendRefused as refused:
        raise BundleRefused(refused.code, str(refused)) from None
    except SendError as error:
        raise Unavailable(f"Walrus did not take a part: {error}") from None
