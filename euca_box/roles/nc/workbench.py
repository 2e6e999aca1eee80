"""What the node controller does to files and sockets, as a part that a simulation can replace."""

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import trio

from euca_box.images import convert, download, inject, send
from euca_box.kvm import disks, firmware, vnc
from euca_box.kvm.console import ConsoleReader, ConsoleRing, Viewer
from euca_box.kvm.firmware import Firmware
from euca_box.kvm.hypervisor import DiskFormat
from euca_box.messages.walrus import ImageUrl
from euca_box.net.power import run_command

DiskKind = Literal["ext4", "swap"]


class Console(Protocol):
    """The serial console of one guest: read while it runs, kept to its last bytes."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None: ...

    def attach(self) -> AbstractAsyncContextManager[Viewer]: ...


class Workbench(Protocol):
    async def fetch(self, source: ImageUrl, target: Path, size_bytes: int) -> str:
        """Download to a new file, durable when this returns; the SHA-256 of what came."""

    async def digest(self, path: Path) -> str:
        """The SHA-256 of a file, in hex."""

    # `uid`: whose file it is, the user of the guest's QEMU; None: the one user of all.

    async def create_overlay(
        self, path: Path, base: Path, base_format: DiskFormat, size_bytes: int, uid: int | None
    ) -> None: ...

    async def create_formatted(
        self, path: Path, size_bytes: int, kind: DiskKind, label: str, uid: int | None
    ) -> None: ...

    async def copy_with_key(self, image: Path, path: Path, public_key: str, uid: int | None) -> None:
        """A copy of a file system with the key in it. Raises InjectError, OSError; nothing is left then."""

    def uefi(self, variables: Path, uid: int | None) -> Firmware | None:
        """The firmware of this host, with the guest's variables in this file, made when it is not there."""

    def qemu_user(self) -> int | None:
        """Who the QEMU of a guest without a user of its own runs as."""

    def make_folder(self, path: Path) -> None:
        """One of ours, that QEMU may pass through."""

    def make_qemu_folder(self, path: Path, uid: int | None) -> None:
        """One of QEMU's, for nobody else."""

    async def create_copy(self, path: Path, size_bytes: int, uid: int | None) -> None:
        """An empty qcow2, for a copy of a disk."""

    async def flatten(self, overlay: Path, target: Path, size_bytes: int, uid: int | None) -> None:
        """Fill such a copy from the disk of a guest that does not run. Raises ConvertError."""

    async def make_raw(self, copy: Path, target: Path, uid: int | None) -> None:
        """A new raw file of what such a copy holds. Raises ConvertError."""

    def size_of(self, path: Path) -> int: ...

    def opened(self, path: Path) -> BinaryIO: ...

    async def send_part(self, url: str, ca_file: str, path: Path, offset: int, length: int) -> str:
        """PUT bytes of a file; the ETag. Raises SendError, SendRefused."""

    async def send_form(self, url: str, ca_file: str, fields: Mapping[str, str], data: bytes) -> None:
        """POST the bytes as a file of a form. Raises SendError, SendRefused."""

    def write_private(self, path: Path, data: bytes) -> None:
        """A file that only we may read."""

    async def remove(self, path: Path) -> None:
        """The folder and what is in it; harmless when it is not there. Raises OSError."""

    def folders(self, path: Path) -> list[Path]:
        """The folders in a folder; none when it is not there."""

    def free_disk_gib(self, path: Path) -> int: ...

    def console(self, socket: Path, log: Path, *, fresh: bool) -> Console:
        """`fresh`: the guest was started just now; what it says first is kept anew."""

    def console_tail(self, log: Path) -> bytes: ...

    async def power_down(self, command: Sequence[str]) -> None:
        """Run what sends this host to sleep. Raises NetError."""

    async def screenshot(self, socket: Path, *, wake_up: bool) -> bytes:
        """JPEG of what the VNC server behind the socket shows. Raises KvmError."""


@dataclass(frozen=True)
class HostWorkbench:
    """The real one: files of this host, QEMU under `qemu_uid`."""

    qemu_uid: int
    console_bytes: int
    limiter: trio.CapacityLimiter
    set_owner: Callable[[Path, int, int], None] = os.chown
    ca_file: str = ""  # the authority of the cloud, for URLs that come with none

    async def fetch(self, source: ImageUrl, target: Path, size_bytes: int) -> str:
        given_up = threading.Event()
        try:
            return await trio.to_thread.run_sync(
                download.fetch,
                source.url,
                source.etag,
                source.ca_file or self.ca_file or None,
                target,
                size_bytes,
                given_up.is_set,
                limiter=self.limiter,
                abandon_on_cancel=True,
            )
        finally:
            given_up.set()

    async def digest(self, path: Path) -> str:
        return await trio.to_thread.run_sync(_sha256, path, limiter=self.limiter, abandon_on_cancel=True)

    async def create_overlay(
        self, path: Path, base: Path, base_format: DiskFormat, size_bytes: int, uid: int | None
    ) -> None:
        await disks.create_overlay(path, base, base_format, size_bytes)
        self._owner(uid).take(path)

    async def create_formatted(
        self, path: Path, size_bytes: int, kind: DiskKind, label: str, uid: int | None
    ) -> None:
        await disks.create_formatted(path, size_bytes, kind, label, self._owner(uid))

    def uefi(self, variables: Path, uid: int | None) -> Firmware | None:
        found = firmware.find_uefi()
        if found is None:
            return None
        if not variables.exists():
            fresh = variables.with_name(variables.name + ".new")
            self.write_private(fresh, found.variables.read_bytes())
            self._owner(uid).take(fresh)
            fresh.rename(variables)
        return firmware.Firmware(found.code, variables)

    async def create_copy(self, path: Path, size_bytes: int, uid: int | None) -> None:
        await disks.create_qcow2(path, size_bytes)
        self._owner(uid).take(path)

    async def flatten(self, overlay: Path, target: Path, size_bytes: int, uid: int | None) -> None:
        user = self._owner(uid).uid
        await convert.flatten(overlay, target, size_bytes, uid=user, gid=user)

    async def make_raw(self, copy: Path, target: Path, uid: int | None) -> None:
        user = self._owner(uid).uid
        await convert.convert_to_raw(copy, "qcow2", target, convert.LARGEST_BYTES, uid=user, gid=user)

    def size_of(self, path: Path) -> int:
        return path.stat().st_size

    def opened(self, path: Path) -> BinaryIO:
        return path.open("rb")

    async def send_part(self, url: str, ca_file: str, path: Path, offset: int, length: int) -> str:
        return await trio.to_thread.run_sync(
            send.send_part,
            url,
            ca_file or self.ca_file,
            path,
            offset,
            length,
            limiter=self.limiter,
            abandon_on_cancel=True,
        )

    async def send_form(self, url: str, ca_file: str, fields: Mapping[str, str], data: bytes) -> None:
        await trio.to_thread.run_sync(
            send.send_form,
            url,
            ca_file or self.ca_file,
            fields,
            data,
            limiter=self.limiter,
            abandon_on_cancel=True,
        )

    def qemu_user(self) -> int | None:
        return self.qemu_uid

    def make_folder(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o711)

    def make_qemu_folder(self, path: Path, uid: int | None) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._owner(uid).take(path)
        path.chmod(0o700)

    async def copy_with_key(self, image: Path, path: Path, public_key: str, uid: int | None) -> None:
        owner = self._owner(uid)
        try:
            await disks.copy_sparse(image, path)
            owner.take(path)
            await inject.inject_key(path, public_key, owner.uid)
        except BaseException:
            _unlink(path)
            raise

    def write_private(self, path: Path, data: bytes) -> None:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(data)

    def _owner(self, uid: int | None) -> disks.Owner:
        return disks.Owner(self.qemu_uid if uid is None else uid, self.set_owner)

    async def remove(self, path: Path) -> None:
        # In a thread: the file system takes its time over a large disk.
        with contextlib.suppress(FileNotFoundError):
            await trio.to_thread.run_sync(shutil.rmtree, path)

    def folders(self, path: Path) -> list[Path]:
        try:
            return sorted(inner for inner in path.iterdir() if inner.is_dir() and not inner.is_symlink())
        except FileNotFoundError:
            return []

    def free_disk_gib(self, path: Path) -> int:
        return shutil.disk_usage(path).free // 1024**3

    def console(self, socket: Path, log: Path, *, fresh: bool) -> Console:
        return ConsoleReader(socket, ConsoleRing(log, self.console_bytes, fresh=fresh))

    async def power_down(self, command: Sequence[str]) -> None:
        await run_command(command)

    async def screenshot(self, socket: Path, *, wake_up: bool) -> bytes:
        return await vnc.screenshot(socket, wake_up=wake_up)

    def console_tail(self, log: Path) -> bytes:
        if not log.exists():
            return b""
        ring = ConsoleRing(log, self.console_bytes)
        try:
            return ring.tail()
        finally:
            ring.close()


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
