"""QMP, by which a storage daemon is told what to do (QEMU 7.2, docs/interop/qmp-spec.txt), in trio."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from euca_box.blockstore.engine import EngineError

ANSWER_SECONDS = 20.0
LONGEST_LINE = 8 << 20


class QmpError(EngineError):
    """The daemon refused: its own words."""


class NoDaemon(EngineError):
    """Nobody listens at the socket."""


class Qmp:
    """One conversation. Events are read past: what matters is asked for."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def ask(self, command: str, **arguments: Any) -> Any:
        """The answer; `_` in names stands for `-`. Raises QmpError, NoDaemon."""
        words = {name.replace("_", "-"): value for name, value in arguments.items()}
        line = json.dumps({"execute": command, "arguments": words}).encode() + b"\n"
        with trio.move_on_after(ANSWER_SECONDS):
            try:
                await self._stream.send_all(line)
                while True:
                    message = await self.receive()
                    if "return" in message:
                        return message["return"]
                    if "error" in message:
                        raise QmpError(f"{command}: {message['error'].get('desc', 'refused')}")
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise NoDaemon(f"{command}: the storage daemon ended") from error
        raise EngineError(f"{command}: the storage daemon did not answer within {ANSWER_SECONDS:g} s")

    async def receive(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            try:
                data = await self._stream.receive_some(65536)
            except trio.BrokenResourceError as error:
                raise NoDaemon("the storage daemon ended") from error
            if not data:
                raise NoDaemon("the storage daemon ended")
            self._buffer += data
            if len(self._buffer) > LONGEST_LINE:
                raise EngineError("the storage daemon says too much")
        line, _, self._buffer = self._buffer.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found


@asynccontextmanager
async def open_qmp(path: Path) -> AsyncIterator[Qmp]:
    """Raises NoDaemon. A daemon talks to one at a time: others wait for their turn."""
    try:
        stream = await trio.open_unix_socket(str(path))
    except OSError as error:
        raise NoDaemon(f"no storage daemon at {path.parent.name}") from error
    async with stream:
        qmp = Qmp(stream)
        with trio.move_on_after(ANSWER_SECONDS) as scope:
            await qmp.receive()
        if scope.cancelled_caught:
            raise EngineError(f"the storage daemon of {path.parent.name} does not answer")
        await qmp.ask("qmp_capabilities")
        yield qmp
