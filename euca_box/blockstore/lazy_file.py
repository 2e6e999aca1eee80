"""The file beside a raw volume that is being filled: it says which clusters of it have arrived.

It is a qcow2 without data of its own: clusters lie in the raw file, each where it belongs ("external data
file", docs/interop/qcow2.txt). What has not arrived is read from the source. QEMU's stream job brings all of
it; then the raw file is whole, but for clusters that were overwritten with zeros: those the qcow2 only notes.
"""

import errno
import os
from pathlib import Path
from typing import Any

from euca_box.blockstore.copy_file import extents_of, make_qcow2, reserve
from euca_box.blockstore.daemon import Owner
from euca_box.blockstore.engine import COPY_UNIT, FillProgress
from euca_box.blockstore.graph import LAZY, Files
from euca_box.blockstore.qmp import Qmp

JOB = "fill"
ZEROS = bytes(COPY_UNIT)


async def create_map(files: Files, path: Path, size_bytes: int, owner: Owner) -> None:
    """The lazy file, or the map of an enciphered volume; whole or not at all, durable. Raises EngineError.

    The raw file is there, of zeros, and nobody has it. qemu-img makes the data file that it is told anew:
    an enciphered one has its header already, and is named at the command line of its daemon.
    """
    fresh, spare = path.with_suffix(".map-new"), path.with_suffix(".map-data")
    data = str(spare if files.is_enciphered else files.raw).replace(",", ",,")
    if files.is_enciphered:
        reserve(spare, owner)
    await make_qcow2(fresh, size_bytes, owner, "-o", f"cluster_size={COPY_UNIT},data_file={data}")
    spare.unlink(missing_ok=True)
    sync(fresh)
    fresh.rename(path)
    sync(path.parent)


async def stream(qmp: Qmp) -> FillProgress:
    """Have the job run. One that failed is forgotten: the next call begins another, with what is missing."""
    job = await _job(qmp)
    if job is None:
        await qmp.ask("block-stream", job_id=JOB, device=LAZY, auto_dismiss=False)
        return FillProgress("filling")
    if job["status"] != "concluded":
        total = max(job["total-progress"], 1)
        return FillProgress("filling", min(99, 100 * job["current-progress"] // total))
    if "error" in job:
        await qmp.ask("job-dismiss", id=JOB)
        return FillProgress("failed", reason=str(job["error"]))
    return FillProgress("filled", 100)


async def is_streamed(qmp: Qmp) -> bool:
    job = await _job(qmp)
    return job is not None and job["status"] == "concluded" and "error" not in job


async def settle_zeros(files: Files, owner: Owner) -> None:
    """Of a whole one that nobody has: what it notes as zeros is zeros in the raw file, too. Repeatable."""
    for extent in await extents_of(files.lazy, owner):
        if extent.kind != "data":
            _zero(files.raw, extent.start, extent.start + extent.length)
    sync(files.raw)


async def _job(qmp: Qmp) -> dict[str, Any] | None:
    return next((job for job in await qmp.ask("query-jobs") if job["id"] == JOB), None)


def _zero(path: Path, start: int, end: int) -> None:
    """Only where the file has bytes."""
    with path.open("r+b", buffering=0) as file:
        while start < end:
            try:
                start = os.lseek(file.fileno(), start, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
            piece = ZEROS[: max(min(end - start, len(ZEROS)), 0)]
            start += os.pwrite(file.fileno(), piece, start) if piece else 1


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
