"""The bus between hosts: signed REST. What a role on another host answers, or why it cannot be asked."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import trio

from euca_box.auth.host_messages import TIME, HostKey, sign
from euca_box.bus import letters
from euca_box.bus.connections import ConnectionLost, Connections
from euca_box.bus.peers import Peer, Peers
from euca_box.messages.base import Call, Op
from euca_box.model.errors import Unavailable

log = logging.getLogger(__name__)

R = TypeVar("R")

TARGET = "/bus/{address}/{operation}"


class RemoteTransport:
    def __init__(self, key: HostKey, peers: Peers, clock: Callable[[], float] = time.time) -> None:
        self._key, self._peers, self._clock = key, peers, clock
        self._connections = Connections()
        self.skew_seconds: dict[str, float] = {}  # by host id: how far its clock is ahead

    def reaches(self, address: str) -> bool:
        return self._peers.at(address) is not None

    async def send(self, address: str, op: Op[R], call: Call) -> R:
        """The reply, or the EucaError that the role raised.

        Raises Unavailable. An operation that changes something and has no op id may have been done then.
        """
        peer = self._peers.at(address)
        if peer is None:
            raise Unavailable(f"No host offers {address} any more.")
        target = TARGET.format(address=address, operation=type(op).__name__)
        deadline = min(trio.current_effective_deadline() - trio.current_time(), op.timeout_seconds)
        body = letters.write(op, call, deadline)
        answer = await self._exchange(peer, target, body)
        try:
            return letters.read_reply(answer, type(op))  # type: ignore[no-any-return]
        except letters.BadLetter as error:
            log.warning("%s: %s", address, error)
            raise Unavailable(f"{address} answered what this version does not understand.") from None

    async def _exchange(self, peer: Peer, target: str, body: bytes) -> bytes:
        begun = self._clock()
        headers = sign(self._key, peer.host_id, "POST", target, body, begun)
        try:
            answer = await self._connections.ask(peer, target, headers, body)
        except ConnectionLost as error:
            raise Unavailable(f"The host of {target.split('/')[2]} cannot be reached: {error}.") from None
        self._note_skew(peer, answer.headers, begun)
        if answer.status != 200:
            reason = answer.body[:512].decode(errors="replace").strip()
            raise Unavailable(f"{peer.host} refused the message: {reason}")
        return answer.body

    def _note_skew(self, peer: Peer, headers: dict[str, Any], begun: float) -> None:
        try:
            theirs = float(headers[TIME])
        except (KeyError, ValueError):
            return
        self.skew_seconds[peer.host_id] = theirs - (begun + self._clock()) / 2

    async def close(self) -> None:
        await self._connections.close()
