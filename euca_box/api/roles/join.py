"""POST /join: a host that has a token becomes one of the cloud. The only thing that a stranger may say here.

The message is signed with the key that the host will have from then on, for this receiver, once; the secret
of the token is in the body, which TLS to the key in the token has kept from everybody else.
"""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from euca_box.api.query import answer
from euca_box.api.s3.asgi import Send
from euca_box.auth.host_messages import NotTrusted, Verifier
from euca_box.auth.join_tokens import BadToken, read_token
from euca_box.bus import letters
from euca_box.messages import base
from euca_box.messages.base import system_call
from euca_box.messages.hosts import HostAddress, JoinHost
from euca_box.model.errors import EucaError

log = logging.getLogger(__name__)

TARGET = "/join"
LARGEST_BYTES = 64 * 1024
KEY_BYTES = 32


@dataclass(frozen=True)
class JoinRequest:
    """What the new host sends. `token` as the operator typed it."""

    token: str
    public_key: bytes
    name: str
    roles: tuple[str, ...]
    zone: str
    at: HostAddress


class BadRequest(Exception):
    """Not taken; `status` and a line of text say why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Joining:
    def __init__(self, ask: Any, verifier: Verifier) -> None:
        self._ask, self._verifier = ask, verifier

    async def answer(self, headers: Mapping[str, str], body: bytes, source_ip: str, send: Send) -> None:
        try:
            op = self._read(headers, body)
        except BadRequest as refused:
            await answer(send, refused.status, f"{refused.text}\n".encode(), content_type="text/plain")
            return
        call = replace(system_call(str(uuid.uuid4())), source_ip=source_ip)
        try:
            told = letters.write_reply(await self._ask("clc", op, call))
        except EucaError as error:
            told = letters.write_error(error)
        await answer(send, 200, told, content_type="application/json")

    def _read(self, headers: Mapping[str, str], body: bytes) -> JoinHost:
        """Raises BadRequest."""
        try:
            wish: JoinRequest = base.decode(body.decode(), JoinRequest)
        except Exception:
            # cattrs raises groups of many kinds; all mean that the stranger sent something else.
            raise BadRequest(400, "That is no wish to join.") from None
        if len(wish.public_key) != KEY_BYTES:
            raise BadRequest(400, "The key of a host has 32 bytes.")
        try:
            self._verifier.verify(headers, "POST", TARGET, body, stranger=wish.public_key)
        except NotTrusted as refused:
            raise BadRequest(403, refused.message) from None
        try:
            token = read_token(wish.token)
        except BadToken as error:
            raise BadRequest(400, f"Not joined: {error}.") from None
        return JoinHost(token.hash, wish.public_key, wish.name, wish.roles, wish.zone, wish.at)
