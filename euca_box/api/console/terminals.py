"""A guest's serial line and its screen in the browser: bytes between a WebSocket and the node's socket.

The node keeps one reader of each serial line and lets many look (`roles/nc/consoles.py`); a node on another
host is reached by a relay (`api/roles/relay.py`). Only instances of the person's own account are found, as
with every other page, and whether he may is asked as of GetConsoleOutput, for what is typed as of an action
that changes the instance: RebootInstances.
"""

import re
from typing import Any

from quart import Quart, abort, websocket

from euca_box.api.console.web import Web, session
from euca_box.api.roles.relay import SOCKETS, NoRelay, pump
from euca_box.messages import ec2_instances
from euca_box.messages.base import Call
from euca_box.messages.consoles import FindConsole
from euca_box.model.errors import DryRunOperation, EucaError


def routes(app: Quart, web: Web) -> None:
    @app.websocket("/instances/<instance_id>/<kind>", endpoint="terminal")
    async def terminal(instance_id: str, kind: str) -> None:
        if kind not in SOCKETS or not re.fullmatch(r"i-[0-9a-f]{8,17}", instance_id):
            abort(404)
        if not await _may(web, instance_id):
            abort(403)
        try:
            place = await web.ask("clc", FindConsole(instance_id), _call())
            stream = await web.open_console(place.cc, place.node, instance_id, kind)
        except (EucaError, NoRelay):
            abort(404)
        await websocket.accept(subprotocol=_subprotocol())
        try:
            await pump(_Browser(), stream)
        finally:
            stream.close()


def _subprotocol() -> str | None:
    offered = websocket.requested_subprotocols
    return "binary" if "binary" in offered else None


def _call() -> Call:
    return Call(session().principal, "console", source_ip=websocket.remote_addr or "", user_agent="console")


async def _may(web: Web, instance_id: str) -> bool:
    """The instance is there for the person, and he may do to it what a console lets him do."""
    call = _call()
    try:
        await web.ask("clc", ec2_instances.GetConsoleOutput(instance_id), call)
        await web.ask("clc", ec2_instances.RebootInstances((instance_id,), dry_run=True), call)
    except DryRunOperation:
        return True
    except EucaError:
        return False
    return False


class _Browser:
    """The browser's WebSocket, as a stream."""

    async def receive(self) -> bytes:
        data: Any = await websocket.receive()
        return data.encode() if isinstance(data, str) else bytes(data)

    async def send(self, data: bytes) -> None:
        await websocket.send(data)

    def close(self) -> None:
        """The server does it."""
