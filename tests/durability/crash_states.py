"""What a disk may hold after the power went: a file system in memory, fed from a record, that forgets.

After a crash a file has everything of before its last sync; of later writes any may be there or not, each in
whole or up to a multiple of 512 bytes. A folder has everything of before its last sync, and of later changes
a first part (its own journal keeps their order). A new name is durable by a sync of its folder only. That is
less than ext4 and xfs promise.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.durability.recording import Event

SECTOR = 512
Change = tuple[str, int, bytes]  # "W" with offset and data, "T" with the length


class Inode:
    """A file: what is synced, and what came since."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.since: list[Change] = []

    def sync(self) -> None:
        for change in self.since:
            _apply(self.synced, change)
        self.since.clear()

    def after_crash(self, pick: Callable[[Change], Change | None]) -> bytes:
        content = bytearray(self.synced)
        for change in self.since:
            if (kept := pick(change)) is not None:
                _apply(content, kept)
        return bytes(content)


def _apply(content: bytearray, change: Change) -> None:
    kind, offset, data = change
    if kind == "T":
        del content[offset:]
        content.extend(bytes(offset - len(content)))
    else:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data


Entry = Inode | None  # None: a folder


@dataclass
class Folder:
    synced: dict[str, Entry] = field(default_factory=dict)
    now: dict[str, Entry] = field(default_factory=dict)
    since: list[tuple[str, Entry, bool]] = field(default_factory=list)  # name, what, whether it is there

    def change(self, name: str, entry: Entry, *, there: bool) -> None:
        self.since.append((name, entry, there))
        _enter(self.now, name, entry, there)

    def sync(self) -> None:
        self.synced = dict(self.now)
        self.since.clear()

    def after_crash(self, kept: int) -> dict[str, Entry]:
        names = dict(self.synced)
        for name, entry, there in self.since[:kept]:
            _enter(names, name, entry, there)
        return names


def _enter(names: dict[str, Entry], name: str, entry: Entry, there: bool) -> None:
    if there:
        names[name] = entry
    else:
        names.pop(name, None)


class Disk:
    """Below `root`, which is there already."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.folders: dict[str, Folder] = {self.root: Folder()}
        self._fds: dict[int, Inode | Folder] = {}

    def _place(self, path: str) -> tuple[Folder, str]:
        parent, _, name = path.rstrip("/").rpartition("/")
        return self.folders[parent], name

    def feed(self, event: Event) -> None:
        match event.kind:
            case "O":
                self._open(event)
            case "W":
                self._file(event.fd).since.append(("W", event.offset, event.data))
            case "T":
                self._file(event.fd).since.append(("T", event.offset, b""))
            case "S":
                self._fds[event.fd].sync()
            case "M":
                folder, name = self._place(event.path)
                self.folders[event.path] = Folder()
                folder.change(name, None, there=True)
            case "U":
                folder, name = self._place(event.path)
                folder.change(name, None, there=False)
            case "L" | "R":
                self._link(event)

    def _open(self, event: Event) -> None:
        path = event.path.rstrip("/")
        if path in self.folders:
            self._fds[event.fd] = self.folders[path]
            return
        folder, name = self._place(path)
        inode = folder.now.get(name)
        if inode is None:
            inode = Inode()
            folder.change(name, inode, there=True)
        elif event.offset == 0:
            inode.since.append(("T", 0, b""))
        self._fds[event.fd] = inode

    def _link(self, event: Event) -> None:
        (source, name), (target, new) = self._place(event.path), self._place(event.data.decode())
        target.change(new, source.now[name], there=True)
        if event.kind == "R":
            source.change(name, None, there=False)

    def _file(self, fd: int) -> Inode:
        inode = self._fds[fd]
        assert isinstance(inode, Inode)
        return inode

    def lay_out(self, target: Path, loss: "Loss") -> None:
        """Write one state that the disk may be in now."""
        contents: dict[int, bytes] = {}
        self._lay_out(self.root, target, loss, contents)

    def _lay_out(self, path: str, target: Path, loss: "Loss", contents: dict[int, bytes]) -> None:
        target.mkdir(exist_ok=True)
        folder = self.folders[path]
        for name, entry in folder.after_crash(loss.names(len(folder.since))).items():
            if entry is None:
                self._lay_out(f"{path}/{name}", target / name, loss, contents)
            else:
                if id(entry) not in contents:  # a file with two names is one file
                    contents[id(entry)] = entry.after_crash(loss.change)
                (target / name).write_bytes(contents[id(entry)])


class Loss:
    """What the crash takes of what is not synced: nothing (a killed process)."""

    def names(self, count: int) -> int:
        return count

    def change(self, change: Change) -> Change | None:
        return change


class LoseAll(Loss):
    def names(self, count: int) -> int:
        return 0

    def change(self, change: Change) -> Change | None:
        return None


class LoseAnything(Loss):
    """Each write by the toss of a coin, some torn at a sector."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._keep = dice.choice((0.2, 0.5, 0.8, 0.95))

    def names(self, count: int) -> int:
        return self._dice.randint(0, count)

    def change(self, change: Change) -> Change | None:
        kind, offset, data = change
        if self._dice.random() >= self._keep:
            return None
        if kind == "W" and len(data) > SECTOR and self._dice.random() < 0.2:
            return kind, offset, data[: self._dice.randrange(1, len(data) // SECTOR + 1) * SECTOR]
        return change
