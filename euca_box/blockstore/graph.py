"""The block graph of a volume: raw, enciphered, and what is here of it above its source."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from euca_box.blockstore.secret_file import SECRET

OPEN_SECONDS = 10  # for the source of a volume, which may come up after its daemon
RECONNECT_SECONDS = 300  # of a source that went away; who reads what is not here waits for so long
NODE, LAZY, SOURCE, PLAIN = "volume", "lazy", "source", "plain"


@dataclass(frozen=True)
class Files:
    """Of a volume. While it is filled there is a `lazy` one, which says what has arrived in `raw`, and a
    `source`, the socket of an NBD server that has the rest.

    One that is enciphered has a `key`, and a `map` of what was ever written: what was not is zeros, and would
    be noise deciphered."""

    raw: Path
    lazy: Path
    map: Path
    key: Path
    source: Path

    @property
    def is_lazy(self) -> bool:
        return self.lazy.exists()

    @property
    def is_enciphered(self) -> bool:
        return self.key.exists()

    @property
    def is_mapped(self) -> bool:
        """Not all that must not be lost is in the raw file."""
        return self.is_lazy or self.map.exists()


@dataclass(frozen=True)
class VolumeGraph:
    """daemon.Graph of a volume."""

    files: Files
    open_key: Callable[[], bytes | None]

    def words(self) -> list[str]:
        return nodes(self.files)

    def key(self) -> bytes | None:
        return self.open_key()

    @property
    def is_mapped(self) -> bool:
        return self.files.is_mapped


def nodes(files: Files) -> list[str]:
    """The block graph of a volume: raw, or what is here of it above its source. Options as JSON (qemu(1))."""
    raw = {"driver": "file", "node-name": "file", "filename": str(files.raw), "discard": "unmap"}
    graph: list[dict[str, Any]] = [raw | _cache(files.raw)]
    if files.is_enciphered:
        graph.append({"driver": "luks", "node-name": PLAIN, "file": "file", "key-secret": SECRET})
    if files.is_lazy:
        server = {"type": "unix", "path": str(files.source)}
        graph += [
            {
                "driver": "nbd", "node-name": "source", "server": server, "export": SOURCE, "read-only": True,
                "open-timeout": OPEN_SECONDS, "reconnect-delay": RECONNECT_SECONDS,
            }
        ]  # fmt: skip
    if files.is_mapped:
        place = files.lazy if files.is_lazy else files.map
        graph.append(
            {
                # `data-file`: clusters lie in the raw file where they belong, so that it is whole in the end.
                "driver": "qcow2", "node-name": LAZY, "data-file": PLAIN if files.is_enciphered else "file",
                "backing": "source" if files.is_lazy else None,
                "file": {"driver": "file", "filename": str(place)} | _cache(place),
            }
        )  # fmt: skip
    top = LAZY if files.is_mapped else "file"
    graph.append({"driver": "raw", "node-name": NODE, "file": top, "discard": "unmap"})
    return [word for node in graph for word in ("--blockdev", json.dumps(node))]


def _cache(file: Path) -> dict[str, Any]:
    """Past the host's cache, where the file system can do that (not tmpfs)."""
    return {"cache": {"direct": True}, "aio": "native"} if takes_direct(file) else {}


def takes_direct(file: Path) -> bool:
    try:
        os.close(os.open(file, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC))
    except OSError:
        return False
    return True
