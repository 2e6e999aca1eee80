"""The Query APIs of STS (2011-06-15) and of IAM (2010-05-08), with what Eucalyptus 3 added for accounts."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from euca_box.api.ec2.decode import tree_of
from euca_box.api.ec2.encode import escaped
from euca_box.api.ec2.query import Ask
from euca_box.api.iam import codec
from euca_box.api.query import Query, answer, believe, read_query
from euca_box.api.s3.asgi import ClientGone, Receive, Scope, Send
from euca_box.auth.faults import iam_fault
from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError
from euca_box.messages.base import Call, Done, Op
from euca_box.messages.iam_registry import IAM_ACTIONS, STS_ACTIONS
from euca_box.model.errors import EucaError, InternalError, InvalidAction, ValidationError
from euca_box.observe import logs

log = logging.getLogger(__name__)

STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
IAM_NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
DELEGATE = "DelegateAccount"  # Eucalyptus 3: the administrator of the cloud acts in another account
_NOT_OF_THE_ACTION = frozenset({"Action", "Version", DELEGATE})


class IamQuery:
    """A pure ASGI application. `ask` is the bus, seen from asyncio."""

    def __init__(self, ask: Ask, keyring: Keyring, now: Callable[[], datetime]) -> None:
        self._ask = ask
        self._keyring = keyring
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        try:
            query = await read_query(scope, receive)
            request_id = query.request_id
            status, text = 200, await self._respond(query, scope["query_string"])
        except ClientGone:
            return
        except EucaError as error:
            status, text = error.http_status, _error(error, request_id)
        await answer(send, status, text.encode(), head=scope["method"] == "HEAD")

    async def _respond(self, query: Query, query_string: bytes) -> str:
        token = logs.request_id.set(query.request_id)
        try:
            call, _ = believe(query, self._keyring, self._now(), query_string)
            return await self._answer(query, call)
        except AuthError as error:
            raise iam_fault(error) from None
        except EucaError:
            raise
        except Exception:
            log.exception("request %s failed", query.request_id)
            raise InternalError from None
        finally:
            logs.request_id.reset(token)

    async def _answer(self, query: Query, call: Call) -> str:
        action = query.one("Action") or ""
        op = _operation(query, action)
        if account := query.one(DELEGATE):
            call = replace(call, delegate=account)
        reply = await self._ask("clc", op, call)
        result = "" if isinstance(reply, Done) else f"<{action}Result>{codec.encode(reply)}</{action}Result>"
        space = STS_NAMESPACE if action in STS_ACTIONS else IAM_NAMESPACE
        return (
            f'<{action}Response xmlns="{space}">{result}'
            f"<ResponseMetadata><RequestId>{query.request_id}</RequestId></ResponseMetadata>"
            f"</{action}Response>"
        )


def _operation(query: Query, action: str) -> Op[Any]:
    """Raises InvalidAction, ValidationError."""
    kind = IAM_ACTIONS.get(action) or STS_ACTIONS.get(action)
    if kind is None:
        raise InvalidAction(action[:128])
    version = query.one("Version")
    if version not in (None, "2011-06-15" if action in STS_ACTIONS else "2010-05-08"):
        raise ValidationError(f"The version {version[:32]!r} of the API is not known here.")
    parameters = [(n, v) for n, v in query.parameters() if n not in _NOT_OF_THE_ACTION]
    return codec.decode(kind, tree_of(parameters))


def _error(error: EucaError, request_id: str) -> str:
    side = "Sender" if error.side == "Client" else "Receiver"
    return (
        f'<ErrorResponse xmlns="{STS_NAMESPACE}"><Error><Type>{side}</Type><Code>{escaped(error.code)}</Code>'
        f"<Message>{escaped(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
