"""The job that copies a volume at one moment, and the bitmaps that tell what changed since (QMP)."""

import contextlib
from typing import Any

import trio

from euca_box.blockstore.engine import COPY_UNIT, EngineError
from euca_box.blockstore.graph import NODE
from euca_box.blockstore.qmp import Qmp, QmpError
from euca_box.blockstore.secret_file import SECRET

COPY_WORKERS = 4  # QEMU's 64 keep the disk so busy that a guest waits a quarter of a second


async def make_within(qmp: Qmp, copy_id: str, file: dict[str, Any], size_bytes: int) -> str:
    """The name of a node, deciphered, in which there is an empty qcow2."""
    name = _inner(copy_id)
    await qmp.ask("blockdev-add", driver="luks", node_name=name, key_secret=SECRET, file=file)
    options = {"driver": "qcow2", "file": name, "size": size_bytes}
    await qmp.ask("blockdev-create", job_id=name, options=options)
    while (job := await job_of(qmp, name)) is None or job["status"] != "concluded":  # noqa: ASYNC110
        await trio.sleep(0.01)
    await qmp.ask("job-dismiss", id=name)
    if "error" in job:
        await qmp.ask("blockdev-del", node_name=name)
        raise EngineError(str(job["error"]))
    return name


def _inner(copy_id: str) -> str:
    return f"{copy_id}-plain"


async def take(qmp: Qmp, node: str | dict[str, Any], copy_id: str, since: str | None) -> None:
    """Begin the copy, and remember changes from the same moment on: one transaction."""
    # Of a lazy volume, what its source has not is read as if it were data.
    await qmp.ask(
        "blockdev-add",
        driver="qcow2", node_name=copy_id, discard="unmap", detect_zeroes="unmap", file=node,
    )  # fmt: skip
    backup: dict[str, Any] = {"job-id": copy_id, "device": NODE, "target": copy_id, "auto-dismiss": False}
    backup |= {"x-perf": {"max-workers": COPY_WORKERS, "max-chunk": COPY_UNIT}}
    if since is None:
        backup |= {"sync": "full"}
    else:
        backup |= {"sync": "bitmap", "bitmap": since, "bitmap-mode": "never"}
    bitmap = {"node": NODE, "name": copy_id, "granularity": COPY_UNIT}
    try:
        await qmp.ask(
            "transaction",
            actions=[
                {"type": "blockdev-backup", "data": backup},
                {"type": "block-dirty-bitmap-add", "data": bitmap},
            ],
        )
    except QmpError:
        await _remove_nodes(qmp, copy_id)
        raise


async def job_of(qmp: Qmp, copy_id: str) -> dict[str, Any] | None:
    return next((job for job in await qmp.ask("query-jobs") if job["id"] == copy_id), None)


async def bitmaps_of(qmp: Qmp) -> list[str]:
    nodes = await qmp.ask("query-named-block-nodes", flat=True)
    [volume] = [node for node in nodes if node["node-name"] == NODE]
    return [bitmap["name"] for bitmap in volume.get("dirty-bitmaps", ())]


async def dismiss(qmp: Qmp, copy_id: str) -> None:
    await qmp.ask("job-dismiss", id=copy_id)
    await _remove_nodes(qmp, copy_id)


async def _remove_nodes(qmp: Qmp, copy_id: str) -> None:
    await qmp.ask("blockdev-del", node_name=copy_id)
    with contextlib.suppress(QmpError):  # only one that is enciphered has it
        await qmp.ask("blockdev-del", node_name=_inner(copy_id))


async def cancel(qmp: Qmp, copy_id: str) -> None:
    """Give up the job, if there is one."""
    while (job := await job_of(qmp, copy_id)) is not None:
        if job["status"] == "concluded":
            await dismiss(qmp, copy_id)
            return
        if job["status"] in ("running", "paused", "ready", "created"):
            with contextlib.suppress(QmpError):  # it ended between the question and this
                await qmp.ask("job-cancel", id=copy_id)
        await trio.sleep(0.02)


async def forget_others(qmp: Qmp, copy_id: str) -> None:
    """Only changes since the newest copies are of use; that of this one stays."""
    jobs = {job["id"] for job in await qmp.ask("query-jobs")}
    bitmaps = await bitmaps_of(qmp)
    for name in bitmaps[: bitmaps.index(copy_id)] if copy_id in bitmaps else ():
        if name not in jobs:
            await qmp.ask("block-dirty-bitmap-remove", node=NODE, name=name)
