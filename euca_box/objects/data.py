"""What holds the bytes of larger objects: what every engine promises (tests/contract/test_object_data.py).

Data has a name that is given once and never again, and does not change after it was written. Order of a
write: `append`, `sync`, `settle`, and only then the row that names it; of a removal: the row, then `release`.
What no row names is removed by `sweep` at the next start. `objects/files.py` is the engine on a file system.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, Protocol, TypeVar

from euca_box.objects.blocks import BlockCrcs
from euca_box.objects.rows import Piece

P = ParamSpec("P")
T = TypeVar("T")


class NewData(Protocol):
    """Data being written. All methods block; they are called in a thread, one at a time."""

    name: str
    crcs: BlockCrcs

    def append(self, pieces: Sequence[bytes]) -> None:
        """Raises InsufficientStorage when there is no room."""

    def sync(self) -> None:
        """The bytes are durable; the name is not before `settle`. Raises InsufficientStorage."""

    def discard(self) -> None:
        """It is not wanted."""


class DataEngine(Protocol):
    """Opened by one process. A generation is a version of an object; it may have several names."""

    def prepare(self) -> None:
        """Make ready what it stands on. Blocks."""

    def sweep(self, wanted: set[str]) -> tuple[int, int]:
        """Remove all data that is not wanted; how many were removed, and how many are missing. Blocks."""

    async def close(self) -> None:
        """Finish what is being removed."""

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Start a function that blocks in a thread of the engine."""

    def require(self, size_bytes: int) -> None:
        """Raises InsufficientStorage unless that much fits. Cheap; safe in any thread."""

    def release_ballast(self) -> bool:
        """Give back room that was kept for the case that even deleting needs some. Blocks."""

    def new_data(self) -> NewData: ...

    async def settle(self, names: Iterable[str]) -> None:
        """Make the names of synced data durable."""

    def discard(self, data: NewData, job: asyncio.Future[None] | None) -> None:
        """Remove data that will not be finished, when the job that may still write it is done."""

    def link(self, names: Sequence[str]) -> list[str]:
        """New names for the same bytes, which take no room; not settled. Blocks."""

    def open(self, name: str) -> int:
        """A handle to read by. Raises FileNotFoundError."""

    def shut(self, handle: int) -> None: ...

    async def read(self, handle: int, offset: int, length: int) -> bytes | bytearray:
        """That many bytes, fewer at the end."""

    def check(self, piece: Piece) -> tuple[int, bytes]:
        """Where the bytes are not those that were written, or -1; and their checksums. Blocks."""

    def pin(self, generation: int) -> None:
        """Keep its data while somebody reads it, whatever is released."""

    def unpin(self, generation: int) -> None: ...

    def release(self, generation: int, names: list[str]) -> None:
        """No row names these any more: remove them when nobody reads them."""

    def hold(self, held: bool) -> None:
        """Keep what is released from now on, or remove all of it now."""

    def is_going(self, generation: int) -> bool:
        """Whether its data is being removed: a pin that comes now comes too late."""
