"""STS's Query API (2011-06-15): GetCallerIdentity. IAM's actions answer InvalidAction until they come."""

import logging
import uuid
from collections.abc import Callable
from datetime import datetime

from euca_box.api.ec2.encode import escaped
from euca_box.api.ec2.query import Ask
from euca_box.api.query import answer, believe, read_query
from euca_box.api.s3.asgi import ClientGone, Receive, Scope, Send
from euca_box.auth.faults import iam_fault
from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError
from euca_box.messages.sts import GetCallerIdentity
from euca_box.model.errors import EucaError, InternalError, InvalidAction

log = logging.getLogger(__name__)

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


class IamQuery:
    """A pure ASGI application. `ask` is the bus, seen from asyncio."""

    def __init__(self, ask: Ask, keyring: Keyring, now: Callable[[], datetime]) -> None:
        self._ask = ask
        self._keyring = keyring
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        try:
            status, text = 200, await self._respond(scope, receive, request_id)
        except ClientGone:
            return
        except EucaError as error:
            status, text = error.http_status, _error(error, request_id)
        except Exception:
            log.exception("request %s failed", request_id)
            status, text = 500, _error(InternalError(), request_id)
        await answer(send, status, text.encode(), head=scope["method"] == "HEAD")

    async def _respond(self, scope: Scope, receive: Receive, request_id: str) -> str:
        query = await read_query(scope, receive)
        try:
            call, _ = believe(query, self._keyring, self._now(), scope["query_string"])
        except AuthError as error:
            raise iam_fault(error) from None
        action = query.one("Action") or ""
        if action != "GetCallerIdentity":
            raise InvalidAction(action[:128])
        who = await self._ask("clc", GetCallerIdentity(), call)
        return (
            f'<GetCallerIdentityResponse xmlns="{NAMESPACE}"><GetCallerIdentityResult>'
            f"<Arn>{escaped(who.arn)}</Arn><UserId>{escaped(who.user_id)}</UserId>"
            f"<Account>{who.account}</Account></GetCallerIdentityResult>"
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
            "</GetCallerIdentityResponse>"
        )


def _error(error: EucaError, request_id: str) -> str:
    side = "Sender" if error.side == "Client" else "Receiver"
    return (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{side}</Type><Code>{escaped(error.code)}</Code>'
        f"<Message>{escaped(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
