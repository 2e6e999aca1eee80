"""A guest's serial line and its screen in the browser: bytes between a WebSocket and the node's socket.

The node keeps one reader of each serial line and lets many look (`roles/nc/consoles.py`). Only instances of
the person's own account are found, as with every other page, and whether he may is asked as of
GetConsoleOutput, for what is typed as of an action that changes the instance: RebootInstances.
"""

import asyncio
import contextlib
import re
from typing import Any

from quart import Quart, abort, websocket

from euca_box.api.console.web import Web, session
from euca_box.messages import ec2_instances
from euca_box.messages.base import Call
from euca_box.model.errors import DryRunOperation, EucaError

PIECE_BYTES = 65536
SOCKETS = {"serial": "serial.sock", "screen": "screen.sock"}


def routes(app: Quart, web: Web) -> None:
    @app.websocket("/instances/<instance_id>/<kind>", endpoint="terminal")
    async def terminal(instance_id: str, kind: str) -> None:
        if kind not in SOCKETS or not re.fullmatch(r"i-[0-9a-f]{8,17}", instance_id):
            abort(404)
        if not await _may(web, instance_id):
            abort(403)
        path = web.consoles / instance_id / SOCKETS[kind]
        try:
            reader, writer = await asyncio.open_unix_connection(str(path))
        except OSError:
            abort(404)
        await websocket.accept(subprotocol=_subprotocol())
        try:
            await _relay(reader, writer)
        finally:
            writer.close()


def _subprotocol() -> str | None:
    offered = websocket.requested_subprotocols
    return "binary" if "binary" in offered else None


async def _may(web: Web, instance_id: str) -> bool:
    """The instance is there for the person, and he may do to it what a console lets him do."""
    call = Call(session().principal, "console", source_ip=websocket.remote_addr or "", user_agent="console")
    try:
        await web.ask("clc", ec2_instances.GetConsoleOutput(instance_id), call)
        await web.ask("clc", ec2_instances.RebootInstances((instance_id,), dry_run=True), call)
    except DryRunOperation:
        return True
    except EucaError:
        return False
    return False


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends."""

    async def up() -> None:
        while True:
            data: Any = await websocket.receive()
            writer.write(data.encode() if isinstance(data, str) else data)
            await writer.drain()

    async def down() -> None:
        while data := await reader.read(PIECE_BYTES):
            await websocket.send(data)

    tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await asyncio.gather(*tasks, return_exceptions=True)
