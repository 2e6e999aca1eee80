"""Everything that we made on the host outside of our nftables tables, written down before it is made.

What a change of settings left behind (another bridge, another uplink) is found here and taken away.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from euca_box.net.network import NetError
from euca_box.net.saved import read_json, write_json


@dataclass(frozen=True, slots=True, order=True)
class HostObject:
    """`kind` is link, table, rule (of routing), arp, dhcp or door (Docker's).

    An arp answers for the address `name` on the interface `place`; the others have no place.
    """

    kind: str
    name: str
    place: str = ""


class Ledger:
    """One file. Raises NetError when it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._objects: set[HostObject] | None = None

    def objects(self) -> set[HostObject]:
        if self._objects is None:
            try:
                self._objects = {HostObject(**item) for item in read_json(self._path) or []}
            except (OSError, ValueError, TypeError) as error:
                raise NetError(f"the ledger {self._path} cannot be read: {error}") from error
        return set(self._objects)

    def note(self, *made: HostObject) -> None:
        """To be called before they are made."""
        self._replace(self.objects() | set(made))

    def strike(self, gone: Iterable[HostObject]) -> None:
        """To be called after they are gone."""
        self._replace(self.objects() - set(gone))

    def _replace(self, objects: set[HostObject]) -> None:
        if objects == self.objects():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(self._path, [asdict(item) for item in sorted(objects)])
        self._objects = objects
