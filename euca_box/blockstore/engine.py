"""What a storage controller asks of its block storage: values, errors and the BlockEngine protocol.

A volume is bytes of a fixed size. It is exported to one holder at a time: an export has a generation, and a
newer one cuts off whoever holds an older one. Exports outlive the process that made them.

A copy is a volume as it was at one moment, taken while its guest writes: all of it, or what changed since an
earlier copy. It is read where it lies, and dropped when it was sent away.

The protocol fits files with storage daemons (files.py) and is meant to fit Ceph RBD: clone, export-diff, and
attachment in user space.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

COPY_UNIT = 1 << 20  # bytes: the grain in which changes are told

CopyState = Literal["absent", "copying", "copied", "failed"]
ExtentKind = Literal["data", "zero", "same"]


class EngineError(Exception):
    """The storage refused, or is not there."""


class NoSuchVolume(EngineError):
    pass


class StaleGeneration(EngineError):
    """A newer holder has the volume."""


class NoSpace(EngineError):
    """There is no room for it."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a guest's QEMU finds the volume: an NBD export by its name behind a unix socket."""

    socket: Path
    export: str


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


class Fill(Protocol):
    """A volume that nobody holds yet, written from outside. Its methods block: call them in threads."""

    def write(self, offset: int, data: bytes) -> None: ...

    def sync(self) -> None:
        """All that was written is durable when this returns."""

    def close(self) -> None: ...


class BlockEngine(Protocol):
    """Every call has a deadline and raises EngineError when it has passed."""

    async def volumes(self) -> dict[str, int]:
        """The volumes that exist, and their bytes."""

    async def create(self, volume_id: str, size_bytes: int) -> None:
        """A new volume of zeros; one of this size that is there already is fine. Raises NoSpace."""

    async def delete(self, volume_id: str) -> None:
        """Cut off its holder, and free its bytes. An absent one is fine."""

    async def grow(self, volume_id: str, size_bytes: int) -> None:
        """Its holder is cut off: export it again. One of this size or more is left alone.

        Raises NoSuchVolume; EngineError while it is copied.
        """

    async def export(self, volume_id: str, generation: int, uid: int | None) -> Connection:
        """Have it exported to this generation, for processes of this user (None: our own).

        Repeating it is fine, and brings back an export whose server has died. An older holder is cut off
        before this returns. Raises NoSuchVolume, StaleGeneration.
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

    async def open_fill(self, volume_id: str) -> Fill:
        """Raises NoSuchVolume."""

    async def free_bytes(self) -> int: ...

    async def used_bytes(self, volume_id: str) -> int:
        """What it takes now; a copy takes no more. Raises NoSuchVolume."""
