"""The storage daemon of one volume: QEMU's, unprivileged, outliving the process that started it.

Everything about it is asked of the daemon itself, so that a later process adopts it as it is. Two daemons
never write to one volume: QEMU locks the file (qemu(1), file.locking).
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import trio

from euca_box.blockstore.engine import Connection, EngineError, StaleGeneration, VolumeBusy
from euca_box.blockstore.graph import NODE
from euca_box.blockstore.qmp import NoDaemon, Qmp, open_qmp
from euca_box.blockstore.secret_file import secret_words

START_SECONDS = 20.0
END_SECONDS = 10.0
LOOK_SECONDS = 0.01
PROGRAM = "qemu-storage-daemon"
# Buffers of requests are kept: given back to the kernel each time, they cost a third of the CPU time
# (measured with 1 MiB reads by TLS).
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
LOCAL, REMOTE = "g", "t"  # kinds of exports


@dataclass(frozen=True)
class Owner:
    """Who storage daemons run as, by number; None: as we do."""

    uid: int | None

    def rights(self) -> dict[str, Any]:
        return {} if self.uid is None else {"user": self.uid, "group": self.uid, "extra_groups": ()}

    def take(self, path: Path) -> None:
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)


class Graph(Protocol):
    """The block graph of a daemon; what is exported is its node NODE."""

    def words(self) -> list[str]:
        """For the command line (qemu-storage-daemon(1))."""

    def key(self) -> bytes | None:
        """What opens it. Raises EngineError."""

    @property
    def is_mapped(self) -> bool:
        """Something that is not synced would be lost with the daemon."""


class Daemon:
    """`folder` has its sockets: a short path."""

    def __init__(self, volume_id: str, graph: Graph, folder: Path, owner: Owner) -> None:
        self._volume_id, self._graph, self._folder, self._owner = volume_id, graph, folder, owner

    @property
    def nbd_socket(self) -> Path:
        return self._folder / "nbd.sock"

    async def runs(self) -> bool:
        try:
            async with self.talk():
                return True
        except NoDaemon:
            return False

    @asynccontextmanager
    async def talk(self) -> AsyncIterator[Qmp]:
        """Raises NoDaemon when it does not run."""
        async with open_qmp(self._folder / "qmp.sock") as qmp:
            yield qmp

    async def ensure(self) -> None:
        """Have it run. Raises EngineError."""
        if await self.runs():
            return
        await self._end_hanging()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._folder.chmod(0o711)
        self._owner.take(self._folder)
        for name in ("qmp.sock", "nbd.sock", "pid"):
            (self._folder / name).unlink(missing_ok=True)
        await self._start()

    async def end(self, patience_seconds: float = END_SECONDS) -> None:
        """Stop it, whoever uses it; by force when it has not ended by then. One that does not run is fine."""
        with trio.move_on_after(patience_seconds), contextlib.suppress(EngineError):
            async with self.talk() as qmp:
                await qmp.ask("quit")
        await self._end_hanging(patience_seconds)
        for name in ("qmp.sock", "nbd.sock", "pid"):
            (self._folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    async def exported_generation(self) -> int | None:
        """Raises NoDaemon."""
        async with self.talk() as qmp:
            return await _generation(qmp)

    async def export(self, generation: int, uid: int | None) -> Connection:
        """As BlockEngine.export, once the daemon runs."""
        name = f"{self._volume_id}.g{generation}"
        async with self.talk() as qmp:
            if not await self._is_exported(qmp, LOCAL, generation):
                await _cut_off(qmp)
                self.nbd_socket.unlink(missing_ok=True)
                address = {"type": "unix", "data": {"path": str(self.nbd_socket)}}
                await qmp.ask("nbd-server-start", addr=address, max_connections=1)
                # Closed to all but the daemon's user (umask) until it is given to the guest's.
                os.chown(self.nbd_socket, *(2 * (os.geteuid() if uid is None else uid,)))
                self.nbd_socket.chmod(0o600)
                await self._add(qmp, f"{LOCAL}{generation}", name)
        return Connection(self.nbd_socket, name)

    async def export_otherwise(
        self, generation: int, name: str, listen: Callable[[Qmp, int | None], Awaitable[None]]
    ) -> None:
        """As `export`, at what listen(qmp, pid) has the daemon listen at."""
        async with self.talk() as qmp:
            if not await self._is_exported(qmp, REMOTE, generation):
                await _cut_off(qmp)
                await listen(qmp, self._pid())
                await self._add(qmp, f"{REMOTE}{generation}", name)

    async def _is_exported(self, qmp: Qmp, kind: str, generation: int) -> bool:
        """Raises StaleGeneration."""
        there = await _export(qmp)
        if there is not None and int(there[1:]) > generation:
            raise StaleGeneration(f"{self._volume_id} is held by a newer attachment")
        return there == f"{kind}{generation}"

    async def _add(self, qmp: Qmp, export_id: str, name: str) -> None:
        await qmp.ask(
            "block-export-add",
            type="nbd", id=export_id, node_name=NODE, name=name, writable=True,
            # Of a killed daemon, what the map knew in memory only would be lost.
            writethrough=self._graph.is_mapped,
        )  # fmt: skip

    async def grow(self, size_bytes: int) -> None:
        """QEMU 7.2 resizes nothing that it exports: the holder is cut off, and connects again when it can."""
        async with self.talk() as qmp:
            if await qmp.ask("query-jobs"):
                raise VolumeBusy(f"{self._volume_id} is being copied")
            await _cut_off(qmp)
            await qmp.ask("block_resize", node_name=NODE, size=size_bytes)

    async def unexport(self) -> bool:
        """Cut off the holder; True when nothing else keeps the daemon busy."""
        async with self.talk() as qmp:
            await _cut_off(qmp)
            return not await qmp.ask("query-jobs")

    async def _start(self) -> None:
        if (key := self._graph.key()) is None:
            return await self._run([], ())
        with secret_words(key) as (words, handle):
            return await self._run(words, (handle,))

    async def _run(self, secret: list[str], handles: tuple[int, ...]) -> None:
        argv = [
            PROGRAM, "--daemonize", "--pidfile", str(self._folder / "pid"),
            "--chardev", f"socket,id=q,path={self._folder / 'qmp.sock'},server=on,wait=off",
            "--monitor", "chardev=q",
            *secret, *self._graph.words(),
        ]  # fmt: skip
        with trio.move_on_after(START_SECONDS):
            done = await trio.run_process(
                argv, capture_stderr=True, check=False, cwd="/", umask=0o077, start_new_session=True,
                stdout=subprocess.DEVNULL, pass_fds=handles, env=os.environ | MEMORY,
                **self._owner.rights(),
            )  # fmt: skip
            if done.returncode != 0:
                words = done.stderr[-500:].decode(errors="replace").strip()
                raise EngineError(f"the storage daemon of {self._volume_id} does not start: {words}")
            return
        raise EngineError(f"the storage daemon of {self._volume_id} did not start in time")

    async def _end_hanging(self, patience_seconds: float = END_SECONDS) -> None:
        """Wait until its process is gone; kill it when it does not go. Its lock goes with it."""
        if (pid := self._pid()) is None or await self._is_gone(pid, patience_seconds):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if not await self._is_gone(pid):
            raise EngineError(f"the storage daemon of {self._volume_id} does not end")

    async def _is_gone(self, pid: int, seconds: float = END_SECONDS) -> bool:
        """Waits for it; nobody tells the end of a process that is not our child."""
        with trio.move_on_after(seconds):
            while self._pid() == pid:  # noqa: ASYNC110
                await trio.sleep(LOOK_SECONDS)
            return True
        return False

    def _pid(self) -> int | None:
        """Of the process, if it is still that daemon: numbers are used again."""
        try:
            pid = int((self._folder / "pid").read_text())
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError, IndexError):
            return None
        ours = str(self._folder / "pid").encode() in argv
        return pid if ours and state != "Z" else None


async def _generation(qmp: Qmp) -> int | None:
    there = await _export(qmp)
    return None if there is None else int(there[1:])


async def _export(qmp: Qmp) -> str | None:
    """The id of what is exported: its kind, and its generation."""
    exports = [e for e in await qmp.ask("query-block-exports") if not e["shutting-down"]]
    return str(exports[0]["id"]) if exports else None


async def _cut_off(qmp: Qmp) -> None:
    """No export and no server is left when this returns."""
    for export in await qmp.ask("query-block-exports"):
        if not export["shutting-down"]:
            await qmp.ask("block-export-del", id=export["id"], mode="hard")
    with trio.move_on_after(END_SECONDS) as scope:
        while await qmp.ask("query-block-exports"):  # noqa: ASYNC110
            await trio.sleep(LOOK_SECONDS)
    if scope.cancelled_caught:
        raise EngineError("an export does not end")
    with contextlib.suppress(EngineError):  # there was no server
        await qmp.ask("nbd-server-stop")
