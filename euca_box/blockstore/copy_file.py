"""The file of a copy: a qcow2 that QEMU's backup job wrote, read by the map that qemu-img makes of it.

What the file claims is not trusted further than its own bytes: qemu-img runs as the daemons' user.
"""

import json
import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import trio

from euca_box.blockstore.daemon import Owner
from euca_box.blockstore.engine import EngineError, Extent, ExtentKind
from euca_box.blockstore.luks_header import new_header
from euca_box.blockstore.nbd_client import ServedCopy
from euca_box.blockstore.secret_file import SECRET, secret_words

PROGRAM_SECONDS = 60.0


class CopyFile:
    """`places`: start and length of the volume's bytes, and where in the file they are."""

    def __init__(self, path: Path, size_bytes: int, found: list[dict[str, Any]]) -> None:
        self.extents: Sequence[Extent] = tuple(Extent(e["start"], e["length"], _kind(e)) for e in found)
        self._places = [(e["start"], e["length"], e["offset"]) for e in found if _kind(e) == "data"]
        if sum(e.length for e in self.extents) != size_bytes or any(
            a.start + a.length != b.start for a, b in pairwise(self.extents)
        ):
            raise EngineError(f"the copy {path.stem} is not whole")
        self._handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def read(self, offset: int, length: int) -> bytes:
        parts = []
        first = max(bisect_right(self._places, (offset, 0, 0)) - 1, 0)
        for start, size, place in islice(self._places, first, None):
            if start >= offset + length:
                break
            if start + size <= offset:
                continue
            low, high = max(offset, start), min(offset + length, start + size)
            data = os.pread(self._handle, high - low, place + low - start)
            if len(data) != high - low:
                raise EngineError("a copy became shorter while it was read")
            parts.append((low - offset, data))
        if len(parts) == 1 and len(parts[0][1]) == length:
            return parts[0][1]
        whole = bytearray(length)
        for at, data in parts:
            whole[at : at + len(data)] = data
        return bytes(whole)

    def close(self) -> None:
        os.close(self._handle)


async def create_copy(path: Path, size_bytes: int, owner: Owner) -> None:
    """An empty one, in place of what an earlier try left. Raises EngineError."""
    await make_qcow2(path, size_bytes, owner)


async def make_qcow2(path: Path, size_bytes: int, owner: Owner, *options: str) -> None:
    reserve(path, owner)
    await _qemu_img(owner, "create", "-q", "-f", "qcow2", *options, "--", str(path), str(size_bytes))


async def extents_of(path: Path, owner: Owner) -> list[Extent]:
    text = await _qemu_img(owner, "map", "-f", "qcow2", "--output=json", "--", str(path))
    return [Extent(e["start"], e["length"], _kind(e)) for e in json.loads(text)]


async def create_enciphered(path: Path, key: bytes, owner: Owner) -> None:
    """A LUKS container, in which the storage daemon makes the qcow2 itself."""
    header = await trio.to_thread.run_sync(new_header, key)
    reserve(path, owner)
    with path.open("r+b") as file:
        file.write(header)


async def open_enciphered(path: Path, folder: Path, key: bytes, owner: Owner) -> ServedCopy:
    """`folder`: for a socket."""
    name = str(path).replace(",", ",,")
    inner = f"file.driver=luks,file.key-secret={SECRET},file.file.driver=file,file.file.filename={name}"
    image = f"driver=qcow2,{inner}"
    with secret_words(key) as (words, handle):
        text = await _qemu_img(
            owner, "map", *words, "--image-opts", "--output=json", image, handles=(handle,)
        )
    extents = tuple(Extent(e["start"], e["length"], _kind(e)) for e in json.loads(text))

    def open_it() -> ServedCopy:
        folder.mkdir(exist_ok=True, mode=0o711)
        owner.take(folder)
        return ServedCopy(folder, image, key, owner, extents)

    return await trio.to_thread.run_sync(open_it)


async def open_copy(path: Path, owner: Owner) -> CopyFile:
    text = await _qemu_img(owner, "map", "-f", "qcow2", "--output=json", "--", str(path))
    info = await _qemu_img(owner, "info", "-f", "qcow2", "--output=json", "--", str(path))
    return CopyFile(path, int(json.loads(info)["virtual-size"]), json.loads(text))


def reserve(path: Path, owner: Owner) -> None:
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    owner.take(path)


def _kind(extent: dict[str, Any]) -> ExtentKind:
    if extent["data"]:
        return "data"
    return "zero" if extent["present"] else "same"


async def _qemu_img(owner: Owner, command: str, *arguments: str, handles: tuple[int, ...] = ()) -> bytes:
    with trio.move_on_after(PROGRAM_SECONDS):
        done = await trio.run_process(
            ["qemu-img", command, *arguments],
            capture_stdout=True, capture_stderr=True, check=False, cwd="/", pass_fds=handles,
            **owner.rights(),
        )  # fmt: skip
        if done.returncode != 0:
            words = done.stderr[-500:].decode(errors="replace").strip()
            raise EngineError(f"qemu-img {command}: {words}")
        return bytes(done.stdout)
    raise EngineError(f"qemu-img {command} did not end within {PROGRAM_SECONDS:g} s")
