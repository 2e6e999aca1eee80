"""Hot small objects in memory: what was read is kept until it is changed or others push it out."""

from collections import OrderedDict
from dataclasses import dataclass

from euca_box.objects.rows import Piece, StoredObject

_ROW_BYTES = 1024  # what a row costs beside its bytes, roughly
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """An object as the index knows it: inline bytes, or pieces. Inline bytes are as they are on the disk."""

    stored: StoredObject
    inline: bytes | None
    pieces: tuple[Piece, ...] = ()
    nonce: bytes = b""


class Cache:
    """Least recently used goes first. A value may be put in only by a load that no change overtook."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._used = 0
        self._found: OrderedDict[Key, Found] = OrderedDict()
        self._loading: dict[Key, object] = {}

    def get(self, key: Key) -> Found | None:
        found = self._found.get(key)
        if found is not None:
            self._found.move_to_end(key)
        return found

    def start_load(self, key: Key) -> object:
        """A token to give to `end_load` after the database was read."""
        token = self._loading[key] = object()
        return token

    def end_load(self, key: Key, token: object, found: Found | None) -> None:
        if self._loading.get(key) is not token:
            return  # changed meanwhile: what was read may be old
        del self._loading[key]
        if found is None:
            return
        self.drop(key)
        self._found[key] = found
        self._used += _cost(found)
        while self._used > self._limit:
            _, old = self._found.popitem(last=False)
            self._used -= _cost(old)

    def drop(self, key: Key) -> None:
        """The key was changed."""
        self._loading.pop(key, None)
        old = self._found.pop(key, None)
        if old is not None:
            self._used -= _cost(old)


def _cost(found: Found) -> int:
    return _ROW_BYTES + len(found.inline or b"") + sum(64 + len(piece.crcs) for piece in found.pieces)
