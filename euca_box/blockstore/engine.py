"""What a storage controller asks of its block storage: values, errors and the BlockEngine protocol.

A volume is bytes of a fixed size. It is exported to one holder at a time: an export has a generation, and a
newer one cuts off whoever holds an older one. Exports outlive the process that made them.

A copy is a volume as it was at one moment, taken while its guest writes: all of it, or what changed since an
earlier copy. It is read where it lies, and dropped when it was sent away.

A lazy volume has all bytes of its source at once: what is not here yet is fetched when it is read, and all of
it in the background.

The protocol fits files with storage daemons (files.py) and is meant to fit Ceph RBD: clone, export-diff, and
attachment in user space.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import trio

COPY_UNIT = 1 << 20  # bytes: the grain in which changes are told

CopyState = Literal["absent", "copying", "copied", "failed"]
FillState = Literal["filling", "filled", "failed"]
ExtentKind = Literal["data", "zero", "same"]


class EngineError(Exception):
    """The storage refused, or is not there."""


class NoSuchVolume(EngineError):
    pass


class StaleGeneration(EngineError):
    """A newer holder has the volume."""


class VolumeBusy(EngineError):
    """It is being copied, or filled."""


class NoSpace(EngineError):
    """There is no room for it."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a guest's QEMU finds the volume: an NBD export by its name behind a unix socket."""

    socket: Path
    export: str


@dataclass(frozen=True, slots=True)
class RemoteConnection:
    """Where a storage daemon of another host finds the volume, by mutual TLS; certificates in PEM."""

    address: str
    port: int
    export: str
    authority: str
    certificate: str


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of a copy that are alike. `same`: not changed since the copy that this one builds on."""

    start: int
    length: int
    kind: ExtentKind


@dataclass(frozen=True, slots=True)
class CopyProgress:
    state: CopyState
    percent: int = 0
    reason: str = ""  # why it failed


class Copy(Protocol):
    """A finished copy, opened. Its methods block: call them in threads."""

    extents: Sequence[Extent]  # in order, without gaps, over the whole volume

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the volume at that moment; of `data` extents only. Raises OSError."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Checked:
    """`next`: where to go on, None at the end. `unreadable`: offset and length of what gave an error."""

    next: int | None
    read_bytes: int
    unreadable: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class FillProgress:
    state: FillState
    percent: int = 0
    reason: str = ""  # why it does not go on


class Source(Protocol):
    """Where the bytes of a volume come from that is not filled yet."""

    async def read(self, offset: int, length: int) -> bytes:
        """Right ones, or OSError."""

    def data_at(self, offset: int) -> tuple[bool, int]:
        """Whether there is data (else zeros) at the offset, and for how many bytes that is so."""


class BlockEngine(Protocol):
    """Every call has a deadline and raises EngineError when it has passed."""

    async def volumes(self) -> dict[str, int]:
        """The volumes that exist, and their bytes."""

    async def create(self, volume_id: str, size_bytes: int, key: bytes | None = None) -> None:
        """A new volume of zeros; one of this size that is there already is fine. Raises NoSpace.

        With a key (KEY_BYTES) it is enciphered, and so are its copies; the key goes with the volume.
        """

    async def create_lazy(self, volume_id: str, size_bytes: int, key: bytes | None = None) -> None:
        """A new volume with the bytes of its source, before they are here; twice is fine. Raises NoSpace."""

    async def unfilled(self) -> set[str]:
        """Volumes that need their source."""

    async def serve_source(
        self, volume_id: str, source: Source, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Until cancelled. Meanwhile nobody else does so; without it, who reads what is not here waits."""

    async def fill(self, volume_id: str) -> FillProgress:
        """Have all bytes brought here, while the source is served: asked again, it tells how far it is."""

    async def finish_fill(self, volume_id: str) -> None:
        """Of one that is filled: from now on it needs no source. Its holder is cut off: export it again.

        Twice is fine. Raises NoSuchVolume; VolumeBusy while it is copied; EngineError when it is not filled.
        """

    async def delete(self, volume_id: str) -> None:
        """Cut off its holder, and free its bytes. An absent one is fine."""

    async def grow(self, volume_id: str, size_bytes: int) -> None:
        """Its holder is cut off: export it again. One of this size or more is left alone.

        Raises NoSuchVolume; VolumeBusy while it is copied or filled.
        """

    async def export(self, volume_id: str, generation: int, uid: int | None) -> Connection:
        """Have it exported to this generation, for processes of this user (None: our own).

        Repeating it is fine, and brings back an export whose server has died. An older holder is cut off
        before this returns. Raises NoSuchVolume, StaleGeneration.
        """

    async def export_remotely(
        self, volume_id: str, generation: int, address: str, request: str
    ) -> RemoteConnection:
        """As `export`, for another host, which shows the key of this request for a certificate (PEM).

        `address`: of ours, at which that host finds it.
        """

    async def unexport(self, volume_id: str) -> None:
        """Cut off its holder. One that is not exported is fine."""

    async def exported(self) -> dict[str, int]:
        """The volumes whose export answers, and its generation."""

    async def begin_copy(self, volume_id: str, copy_id: str, since: str | None) -> bool:
        """Take the copy: its moment lies within this call. True: only what changed since the copy `since`.

        The engine may have forgotten what changed; then the copy is a full one. Twice is fine.
        Raises NoSuchVolume, NoSpace.
        """

    async def copy_progress(self, volume_id: str, copy_id: str) -> CopyProgress: ...

    async def open_copy(self, copy_id: str) -> Copy:
        """Of one that is copied."""

    async def drop_copy(self, volume_id: str, copy_id: str) -> None:
        """Give it up and free its bytes; what changes after its moment is still remembered."""

    async def copies(self) -> set[str]:
        """Copies that take room."""

    async def check(self, volume_id: str, start: int, budget_bytes: int) -> Checked:
        """Read what is on the disk from this byte on, about so many bytes. Raises NoSuchVolume."""

    async def free_bytes(self) -> int: ...

    async def used_bytes(self, volume_id: str) -> int:
        """What it takes now; a copy takes no more. Raises NoSuchVolume."""
