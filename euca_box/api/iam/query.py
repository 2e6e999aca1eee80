"""STS's Query API (2011-06-15). IAM's actions answer InvalidAction until they come."""

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from euca_box.api.ec2.encode import escaped
from euca_box.api.ec2.query import Ask
from euca_box.api.query import Query, answer, believe, read_query
from euca_box.api.s3.asgi import ClientGone, Receive, Scope, Send
from euca_box.auth.faults import iam_fault
from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError
from euca_box.messages import sts
from euca_box.messages.base import Op
from euca_box.model.errors import EucaError, InternalError, InvalidAction, ValidationError

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
        if action not in _ACTIONS:
            raise InvalidAction(action[:128])
        read, written = _ACTIONS[action]
        result = written(await self._ask("clc", read(query), call))
        return (
            f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{result}</{action}Result>'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
        )


def _identity(who: sts.GetCallerIdentityResult) -> str:
    return (
        f"<Arn>{escaped(who.arn)}</Arn><UserId>{escaped(who.user_id)}</UserId>"
        f"<Account>{who.account}</Account>"
    )


def _get_session_token(query: Query) -> sts.GetSessionToken:
    given = query.one("DurationSeconds")
    if given is not None and not (given.isascii() and given.isdigit() and len(given) < 10):
        raise ValidationError("DurationSeconds must be a number of seconds.")
    return sts.GetSessionToken(
        int(given) if given is not None else sts.GetSessionToken.duration_seconds,
        query.one("SerialNumber") or "",
        query.one("TokenCode") or "",
    )


def _credentials(found: sts.Credentials) -> str:
    end = datetime.fromtimestamp(found.expires_at, UTC)
    return (
        f"<Credentials><AccessKeyId>{found.access_key_id}</AccessKeyId>"
        f"<SecretAccessKey>{escaped(found.secret_access_key)}</SecretAccessKey>"
        f"<SessionToken>{escaped(found.session_token)}</SessionToken>"
        f"<Expiration>{end:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
    )


# action -> how its message is read from the query, how its reply is written
_ACTIONS: dict[str, tuple[Callable[[Query], Op[Any]], Callable[[Any], str]]] = {
    "GetCallerIdentity": (lambda _: sts.GetCallerIdentity(), _identity),
    "GetSessionToken": (_get_session_token, _credentials),
}


def _error(error: EucaError, request_id: str) -> str:
    side = "Sender" if error.side == "Client" else "Receiver"
    return (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{side}</Type><Code>{escaped(error.code)}</Code>'
        f"<Message>{escaped(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
