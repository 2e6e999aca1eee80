"""POST /bus/ADDRESS/OPERATION, signed by a host that has joined: the operation's reply or its error.
POST /join (`join.py`): a host joins. WebSockets (`relay.py`): consoles of guests.

200 carries both; other statuses say why the message itself was not taken, in one line of text.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from euca_box.api.query import RequestTooLarge, answer, read_body
from euca_box.api.roles import join
from euca_box.api.roles.relay import Relays
from euca_box.api.roles.rights import may_ask
from euca_box.api.s3.asgi import ClientGone, Receive, Scope, Send
from euca_box.auth.host_messages import TIME, NotTrusted, Verifier
from euca_box.bus import letters
from euca_box.bus.peers import Peers
from euca_box.messages.base import Call, Op
from euca_box.model.errors import EucaError, InvalidAction

LARGEST_BODY_BYTES = 8 << 20
LONGEST_SECONDS = 3600.0

Ask = Callable[[str, Op[Any], Call], Awaitable[Any]]
Kinds = Mapping[str, Mapping[str, type[Op[Any]]]]  # address -> operation's name -> its class


class RoleBus:
    """A pure ASGI application. `ask` is the bus within this host; `kinds` what its roles answer,
    `controller` the key of the cloud controller's host."""

    def __init__(
        self, ask: Ask, kinds: Callable[[], Kinds], peers: Peers, host_id: str, controller: bytes,
        relays: Relays | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._ask, self._kinds, self._peers, self._clock = ask, kinds, peers, clock
        self._controller, self._relays = controller, relays
        self._verifier = Verifier(host_id, peers.key_of, clock)
        self._joining = join.Joining(ask, self._verifier)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and self._relays is not None:
            await self._relays.answer(scope, receive, send, self._verifier)
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        target = scope["raw_path"].decode("latin-1")
        try:
            if target == join.TARGET and scope["method"] == "POST":
                body = await read_body(receive, join.LARGEST_BYTES)
                await self._joining.answer(headers, body, str((scope.get("client") or ("",))[0]), send)
                return
            body = await read_body(receive, LARGEST_BODY_BYTES)
            sender = self._verifier.verify(headers, scope["method"], target, body)
        except ClientGone:
            return
        except RequestTooLarge as error:
            await self._say(send, 413, error.message)
            return
        except NotTrusted as refused:
            await self._say(send, 403, refused.message)
            return
        await self._answer(target, sender, body, receive, send)

    async def _answer(self, target: str, sender: str, body: bytes, receive: Receive, send: Send) -> None:
        _, _, address, operation = [*target.split("/"), "", "", ""][:4]
        kind = self._kinds().get(address, {}).get(operation)
        peer = self._peers.find(sender)
        if kind is None:
            await self._tell(send, letters.write_error(InvalidAction(operation[:128])))
            return
        try:
            letter = letters.read(body, kind)
        except letters.BadLetter as error:
            await self._say(send, 400, str(error))
            return
        if peer is None or not may_ask(peer, letter, self._controller):
            await self._say(send, 403, f"A host with {_roles(peer)} may not ask {operation} of {address}.")
            return
        letter = replace(letter, call=replace(letter.call, host=sender))
        with contextlib.suppress(ClientGone):
            await self._tell(send, await self._asked(address, letter, receive))

    async def _asked(self, address: str, letter: letters.Letter, receive: Receive) -> bytes:
        """Ends with the one who asks: when it has gone, or waits no longer. Raises ClientGone."""
        work = asyncio.ensure_future(self._ask(address, letter.op, letter.call))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            seconds = max(0.0, min(letter.seconds, LONGEST_SECONDS))
            await asyncio.wait({work, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientGone
            return letters.write_reply(work.result())
        except EucaError as error:
            return letters.write_error(error)
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.wait({work, gone})

    async def _say(self, send: Send, status: int, text: str) -> None:
        await answer(send, status, f"{text}\n".encode(), content_type="text/plain", more=self._time())

    async def _tell(self, send: Send, body: bytes) -> None:
        await answer(send, 200, body, content_type="application/json", more=self._time())

    def _time(self) -> list[tuple[bytes, bytes]]:
        """By which the other host sees how far the clocks are apart."""
        return [(TIME.encode(), f"{self._clock():.3f}".encode())]


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _roles(peer: Any) -> str:
    return ", ".join(sorted(peer.roles)) if peer else "no role"
