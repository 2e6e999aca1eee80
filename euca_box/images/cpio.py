"""Writes a cpio archive of kind "newc", which is what Linux unpacks as its initial ramdisk.

Format: Linux Documentation/driver-api/early-userspace/buffer-format.rst. Written here, because device nodes
and owners in an archive then need neither root nor the cpio program.
"""

import stat
from dataclasses import dataclass

MAGIC = b"070701"


@dataclass(frozen=True, slots=True)
class Entry:
    name: str  # relative, without a leading slash
    mode: int  # type and permission bits, as of stat.st_mode
    data: bytes = b""  # content of a file, target of a symbolic link
    device: tuple[int, int] = (0, 0)  # major and minor of a device node


def directory(name: str) -> Entry:
    return Entry(name, stat.S_IFDIR | 0o755)


def file(name: str, data: bytes, permissions: int = 0o644) -> Entry:
    return Entry(name, stat.S_IFREG | permissions, data)


def character_device(name: str, major: int, minor: int) -> Entry:
    return Entry(name, stat.S_IFCHR | 0o600, device=(major, minor))


def newc(entries: list[Entry]) -> bytes:
    """The archive, owned by root, with its trailer."""
    parts = [_record(number, entry) for number, entry in enumerate(entries, start=1)]
    return b"".join([*parts, _record(0, Entry("TRAILER!!!", 0))])


def _record(inode: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    head = MAGIC + b"".join(b"%08x" % field for field in fields) + name
    return _padded(head) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
