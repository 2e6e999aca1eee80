"""The block engine on files: a volume is a sparse raw file, exported by a storage daemon of its own.

The file that a guest writes to is always raw: of a killed daemon with qcow2, writes that the guest had seen
done were gone (measured: 5,833 of 5,834), with raw none. A copy is pushed out by QEMU's backup job: before a
guest overwrites a block that was not copied yet, the daemon copies it; dirty bitmaps say what changed since.
A bitmap lives in its daemon, so the first copy after one ended is full.
"""

import errno
import os
import shutil
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import trio

from euca_box.auth.export_certificates import AUTHORITY
from euca_box.auth.secrets import Sealer, SealError
from euca_box.blockstore import lazy_file, nbd_server, remote_export
from euca_box.blockstore.check import check_file
from euca_box.blockstore.chunks import write_private
from euca_box.blockstore.copy_file import create_copy, create_enciphered, open_copy, open_enciphered
from euca_box.blockstore.copy_job import bitmaps_of, cancel, dismiss, forget_others, job_of, make_within, take
from euca_box.blockstore.daemon import Daemon, Owner
from euca_box.blockstore.engine import (
    Checked,
    Connection,
    Copy,
    CopyProgress,
    EngineError,
    FillProgress,
    NoSpace,
    NoSuchVolume,
    RemoteConnection,
    Source,
    VolumeBusy,
)
from euca_box.blockstore.graph import Files, VolumeGraph, takes_direct
from euca_box.blockstore.lazy_file import create_map, sync
from euca_box.blockstore.luks_header import HEADER_BYTES, new_header
from euca_box.blockstore.qmp import NoDaemon, Qmp
from euca_box.blockstore.reflink import RawCopy, try_reflink

VOLUME, LAZY, MAP, KEY, COPY = ".raw", ".lazy", ".map", ".key", ".qcow2"


class FileEngine:
    """`folder` keeps volumes and copies, `run_folder` the sockets (a short path)."""

    def __init__(
        self, folder: Path, run_folder: Path, uid: int | None = None, sealer: Sealer | None = None
    ) -> None:
        """`sealer`: for the keys of enciphered volumes, which lie beside them."""
        self._volumes, self._copies = folder / "volumes", folder / "copies"
        self._tls = folder / "tls"
        self._run = run_folder
        self._owner = Owner(uid)
        self._sealer = sealer
        self._locks: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)
        for path in (folder, self._volumes, self._copies, self._tls, run_folder):
            path.mkdir(parents=True, exist_ok=True, mode=0o711)
            path.chmod(0o711)

    async def volumes(self) -> dict[str, int]:
        return {path.stem: self._size(path.stem) for path in self._volumes.glob(f"*{VOLUME}")}

    async def create(self, volume_id: str, size_bytes: int, key: bytes | None = None) -> None:
        async with self._locks[volume_id]:
            await self._create(volume_id, size_bytes, key)
            files = self._files(volume_id)
            if key is not None and not files.is_mapped:
                await create_map(files, files.map, size_bytes, self._owner)

    async def create_lazy(self, volume_id: str, size_bytes: int, key: bytes | None = None) -> None:
        async with self._locks[volume_id]:
            files = self._files(volume_id)
            if not files.is_mapped:
                await self._create(volume_id, size_bytes, key)
                await create_map(files, files.lazy, size_bytes, self._owner)

    async def unfilled(self) -> set[str]:
        return {path.stem for path in self._volumes.glob(f"*{LAZY}")}

    async def serve_source(
        self, volume_id: str, source: Source, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        self._found(volume_id)
        size_bytes = self._size(volume_id)
        path = self._files(volume_id).source
        await nbd_server.serve(path, self._owner.uid, source, size_bytes, task_status=task_status)

    async def fill(self, volume_id: str) -> FillProgress:
        async with self._locks[volume_id]:
            self._found(volume_id)
            if not self._files(volume_id).is_lazy:
                return FillProgress("filled", 100)
            daemon = self._daemon(volume_id)
            await daemon.ensure()
            async with daemon.talk() as qmp:
                return await lazy_file.stream(qmp)

    async def finish_fill(self, volume_id: str) -> None:
        async with self._locks[volume_id]:
            self._found(volume_id)
            files, daemon = self._files(volume_id), self._daemon(volume_id)
            if not files.is_lazy:
                return
            async with daemon.talk() as qmp:
                if not await lazy_file.is_streamed(qmp):
                    raise EngineError(f"{volume_id} is not filled")
                if len(await qmp.ask("query-jobs")) > 1:
                    raise VolumeBusy(f"{volume_id} is being copied")
            await daemon.unexport()
            await daemon.end()
            if files.is_enciphered:
                files.lazy.rename(files.map)
            else:
                await lazy_file.settle_zeros(files, self._owner)
                files.lazy.unlink()
            await trio.to_thread.run_sync(sync, self._volumes)

    async def delete(self, volume_id: str) -> None:
        async with self._locks[volume_id]:
            await self._daemon(volume_id).end()
            files = self._files(volume_id)
            await trio.to_thread.run_sync(partial(shutil.rmtree, self._tls / volume_id, ignore_errors=True))
            for path in (files.key, files.lazy, files.map):  # without its key it is noise
                path.unlink(missing_ok=True)
            await trio.to_thread.run_sync(lambda: files.raw.unlink(missing_ok=True))
        self._locks.pop(volume_id, None)

    async def grow(self, volume_id: str, size_bytes: int) -> None:
        async with self._locks[volume_id]:
            path, files, daemon = self._found(volume_id), self._files(volume_id), self._daemon(volume_id)
            if self._size(volume_id) >= size_bytes:
                return
            if files.is_lazy:
                raise VolumeBusy(f"{volume_id} is being filled")
            has_daemon = await daemon.runs()
            if not has_daemon and not files.is_mapped:
                await trio.to_thread.run_sync(_lengthen, path, size_bytes)
                return
            await daemon.ensure()
            await daemon.grow(size_bytes)
            if not has_daemon:
                await daemon.end()

    async def export(self, volume_id: str, generation: int, uid: int | None) -> Connection:
        async with self._locks[volume_id]:
            self._found(volume_id)
            daemon = self._daemon(volume_id)
            await daemon.ensure()
            return await daemon.export(generation, uid)

    async def export_remotely(
        self, volume_id: str, generation: int, address: str, request: str
    ) -> RemoteConnection:
        async with self._locks[volume_id]:
            self._found(volume_id)
            daemon, folder = self._daemon(volume_id), self._tls / volume_id
            await daemon.ensure()
            name, key = f"{volume_id}.g{generation}", request.encode()
            before = _read(folder / AUTHORITY)
            found = await trio.to_thread.run_sync(
                remote_export.admit, folder, self._owner, name, address, key
            )
            if found.authority != before and await daemon.exported_generation() == generation:
                await daemon.unexport()  # whom it let in so far it lets in no more
            listen = partial(remote_export.listen, folder=folder, connection=found)
            await daemon.export_otherwise(generation, name, lambda qmp, pid: listen(qmp, pid=pid))
            return found

    async def unexport(self, volume_id: str) -> None:
        async with self._locks[volume_id]:
            daemon = self._daemon(volume_id)
            try:
                is_idle = await daemon.unexport()
            except NoDaemon:
                is_idle = True
            if is_idle:
                await daemon.end()

    async def exported(self) -> dict[str, int]:
        found = {}
        for volume_id in await self.volumes():
            try:
                generation = await self._daemon(volume_id).exported_generation()
            except EngineError:
                continue
            if generation is not None:
                found[volume_id] = generation
        return found

    async def begin_copy(self, volume_id: str, copy_id: str, since: str | None) -> bool:
        async with self._locks[volume_id]:
            self._found(volume_id)
            daemon = self._daemon(volume_id)
            if await self._is_reflinked(volume_id, copy_id, daemon):
                return False
            await daemon.ensure()
            async with daemon.talk() as qmp:
                if await job_of(qmp, copy_id) is not None:
                    return since is not None and since in await bitmaps_of(qmp)
                incremental = since is not None and since in await bitmaps_of(qmp)
                target = await self._prepare_copy(qmp, volume_id, copy_id)
                await take(qmp, target, copy_id, since if incremental else None)
                return incremental

    async def copy_progress(self, volume_id: str, copy_id: str) -> CopyProgress:
        async with self._locks[volume_id]:
            if self._reflink(copy_id).exists():
                return CopyProgress("copied", 100)
            try:
                async with self._daemon(volume_id).talk() as qmp:
                    return await self._progress(qmp, copy_id)
            except NoDaemon:
                return CopyProgress("absent", reason="the storage daemon ended while it was taken")

    async def open_copy(self, copy_id: str) -> Copy:
        path = self._copy(copy_id)
        if self._reflink(copy_id).exists():
            return await trio.to_thread.run_sync(RawCopy, self._reflink(copy_id))
        if (key := self._key(path.with_suffix(KEY))) is not None:
            return await open_enciphered(path, self._run / copy_id, key, self._owner)
        return await open_copy(path, self._owner)

    async def drop_copy(self, volume_id: str, copy_id: str) -> None:
        async with self._locks[volume_id]:
            daemon = self._daemon(volume_id)
            try:
                async with daemon.talk() as qmp:
                    await cancel(qmp, copy_id)
                    await forget_others(qmp, copy_id)
                    is_idle = not await qmp.ask("query-jobs") and not await qmp.ask("query-block-exports")
            except NoDaemon:
                is_idle = False
            if is_idle:
                await daemon.end()
            self._reflink(copy_id).unlink(missing_ok=True)
            self._copy(copy_id).with_suffix(KEY).unlink(missing_ok=True)
            self._copy(copy_id).unlink(missing_ok=True)

    async def copies(self) -> set[str]:
        return {path.stem for suffix in (COPY, VOLUME) for path in self._copies.glob(f"*{suffix}")}

    async def check(self, volume_id: str, start: int, budget_bytes: int) -> Checked:
        path = self._found(volume_id)
        header_bytes = HEADER_BYTES if self._files(volume_id).is_enciphered else 0
        try:
            return await trio.to_thread.run_sync(check_file, path, header_bytes, start, budget_bytes)
        except OSError as error:
            raise _translated(error) from error

    async def free_bytes(self) -> int:
        return shutil.disk_usage(self._volumes).free

    async def used_bytes(self, volume_id: str) -> int:
        return self._found(volume_id).stat().st_blocks * 512

    def _file(self, volume_id: str) -> Path:
        return self._volumes / f"{volume_id}{VOLUME}"

    def _copy(self, copy_id: str) -> Path:
        return self._copies / f"{copy_id}{COPY}"

    def _reflink(self, copy_id: str) -> Path:
        return self._copies / f"{copy_id}{VOLUME}"

    async def _is_reflinked(self, volume_id: str, copy_id: str, daemon: Daemon) -> bool:
        """The copy is there by reflink, now or since before."""
        target, files = self._reflink(copy_id), self._files(volume_id)
        if target.exists():
            return True
        if files.is_mapped or self._copy(copy_id).exists() or await daemon.runs():
            return False
        try:
            return await trio.to_thread.run_sync(try_reflink, files.raw, target)
        except OSError as error:
            raise _translated(error) from error

    def _found(self, volume_id: str) -> Path:
        path = self._file(volume_id)
        if not path.exists():
            raise NoSuchVolume(f"there is no volume {volume_id}")
        return path

    def _daemon(self, volume_id: str) -> Daemon:
        files = self._files(volume_id)
        graph = VolumeGraph(files, lambda: self._key(files.key))
        return Daemon(volume_id, graph, self._run / volume_id, self._owner)

    def _files(self, volume_id: str) -> Files:
        raw = self._file(volume_id)
        lazy, arrived, key = (raw.with_suffix(suffix) for suffix in (LAZY, MAP, KEY))
        return Files(raw, lazy, arrived, key, self._run / f"{volume_id}.source")

    def _size(self, volume_id: str) -> int:
        files = self._files(volume_id)
        return files.raw.stat().st_size - (HEADER_BYTES if files.is_enciphered else 0)

    def _key(self, path: Path) -> bytes | None:
        """Raises EngineError for one that this cloud cannot open."""
        try:
            sealed = path.read_text()
        except FileNotFoundError:
            return None
        if self._sealer is None:
            raise EngineError(f"{path.stem} is enciphered, and nothing opens its key")
        try:
            return bytes.fromhex(self._sealer.open(sealed, path.stem))
        except SealError as error:
            raise EngineError(str(error)) from error

    def _keep_key(self, path: Path, key: bytes) -> None:
        if self._sealer is None:
            raise EngineError("volumes cannot be enciphered here")
        write_private(path, self._sealer.seal(key.hex(), path.stem).encode())

    async def _create(self, volume_id: str, size_bytes: int, key: bytes | None) -> None:
        files = self._files(volume_id)
        if files.raw.exists() and self._size(volume_id) == size_bytes:
            return
        if key is not None:
            self._keep_key(files.key, key)
        await trio.to_thread.run_sync(self._make, files.raw, size_bytes, key)

    async def _prepare_copy(self, qmp: Qmp, volume_id: str, copy_id: str) -> str | dict[str, Any]:
        """The file of a copy: a qcow2, or the name of a node in which there is one."""
        path, size_bytes = self._copy(copy_id), self._size(volume_id)
        key = self._key(self._files(volume_id).key)
        if key is None:
            await create_copy(path, size_bytes, self._owner)
        else:
            self._keep_key(path.with_suffix(KEY), key)
            await create_enciphered(path, key, self._owner)
        # Past the host's cache while a guest has it: its writes wait behind what that writes back.
        is_held = bool(await qmp.ask("query-block-exports"))
        cache = {"direct": is_held and takes_direct(path)}
        node = {"driver": "file", "filename": str(path), "cache": cache}
        return node if key is None else await make_within(qmp, copy_id, node, size_bytes)

    def _make(self, path: Path, size_bytes: int, key: bytes | None) -> None:
        """Whole or not at all, durable when it returns; a file of another size was left by a crash."""
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            header = new_header(key) if key is not None else b""
            os.write(handle, header)
            os.ftruncate(handle, len(header) + size_bytes)
            os.fsync(handle)
        except OSError as error:
            raise _translated(error) from error
        finally:
            os.close(handle)
        self._owner.take(fresh)
        fresh.rename(path)
        sync(path.parent)

    async def _progress(self, qmp: Qmp, copy_id: str) -> CopyProgress:
        job = await job_of(qmp, copy_id)
        if job is None:
            return CopyProgress("absent", reason="the storage daemon ended while it was taken")
        if job["status"] != "concluded":
            total = max(job["total-progress"], 1)
            return CopyProgress("copying", min(99, 100 * job["current-progress"] // total))
        if "error" in job:
            return CopyProgress("failed", reason=str(job["error"]))
        # The target is closed, and so complete on the disk, before anybody reads the file.
        await dismiss(qmp, copy_id)
        await trio.to_thread.run_sync(sync, self._copy(copy_id))
        return CopyProgress("copied", 100)


def _lengthen(path: Path, size_bytes: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size_bytes)
        os.fsync(file.fileno())


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _translated(error: OSError) -> EngineError:
    if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return NoSpace("the disk of the storage controller is full")
    return EngineError(f"the storage controller has trouble with its disk: {error.strerror}")
