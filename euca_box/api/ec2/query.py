"""EC2's Query API: bytes -> message, the bus, reply -> XML. No policy lives here."""

import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from euca_box.api.ec2 import decode, encode, shapes
from euca_box.api.query import Query, answer, believe, read_query
from euca_box.api.s3.asgi import ClientGone, Receive, Scope, Send
from euca_box.auth.faults import ec2_fault
from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError
from euca_box.messages.base import Call, Op
from euca_box.messages.not_offered import NOT_OFFERED
from euca_box.messages.registry import EC2_ACTIONS
from euca_box.model.errors import (
    EucaError,
    InternalError,
    InvalidAction,
    InvalidParameterValue,
    MissingAction,
    UnsupportedOperation,
)
from euca_box.observe import logs

log = logging.getLogger(__name__)

NEWEST_VERSION = "2016-11-15"
NOT_OF_THE_ACTION = frozenset({"Action", "Version"})

Ask = Callable[[str, Op[Any], Call], Awaitable[Any]]


class Ec2Query:
    """A pure ASGI application. `ask` is the bus, seen from asyncio."""

    def __init__(
        self, ask: Ask, keyring: Keyring, now: Callable[[], datetime], *, old_signatures: bool = False
    ) -> None:
        self._ask = ask
        self._keyring = keyring
        self._now = now
        self._oldest = 0 if old_signatures else 2

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = scope["method"] == "HEAD"
        request_id = str(uuid.uuid4())
        try:
            query = await read_query(scope, receive)
            request_id = query.request_id
            status, body = 200, await self._respond(query, scope["query_string"])
        except ClientGone:
            return
        except EucaError as error:
            status = error.http_status
            body = encode.error_response(error.code, error.message, request_id)
        await answer(send, status, body, head=head)

    async def _respond(self, query: Query, query_string: bytes) -> bytes:
        token = logs.request_id.set(query.request_id)
        action = "?"
        try:
            call, _ = believe(query, self._keyring, self._now(), query_string, oldest=self._oldest)
            action = query.one("Action") or ""
            op = _operation(query, action)
            version = _version(query.one("Version"))  # refused before anything is done
            reply = await self._ask("clc", op, call)
            return encode.response(
                action, shapes.actions()[action].response, version, query.request_id, reply
            )
        except AuthError as error:
            raise ec2_fault(error) from None
        except EucaError:
            raise
        except Exception:
            log.exception("%s failed", action)
            raise InternalError from None
        finally:
            logs.request_id.reset(token)


def operation(action: str, read_parameters: Callable[[], decode.Tree]) -> Op[Any]:
    """The message of an action. Raises InvalidAction, UnsupportedOperation, and as `decode.decode`."""
    kind = EC2_ACTIONS.get(action)
    if action in NOT_OFFERED:
        if action in shapes.actions():
            decode.check(shapes.actions()[action], read_parameters())
        raise UnsupportedOperation(NOT_OFFERED[action])
    if kind is None and action in shapes.known_actions():
        raise UnsupportedOperation(f"{action} is not supported here.")
    if kind is None:
        raise InvalidAction(re.sub(r"[^\x20-\x7e]", "?", action[:128]))
    return decode.decode(kind, shapes.actions()[action].request, read_parameters())


def _operation(query: Query, action: str) -> Op[Any]:
    if not action:
        raise MissingAction
    parameters = [(n, v) for n, v in query.parameters() if n not in NOT_OF_THE_ACTION]
    return operation(action, lambda: decode.tree_of(parameters))


def _version(version: str | None) -> str:
    """Any dated version is accepted and echoed: newer elements do not hurt older clients."""
    if version is None:
        return NEWEST_VERSION
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", version):
        raise InvalidParameterValue("Version must be a date such as 2016-11-15.")
    return version
