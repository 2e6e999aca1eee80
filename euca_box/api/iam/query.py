"""The Query APIs of STS (2011-06-15) and of IAM (2010-05-08), as far as they are there."""

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
from euca_box.messages import iam, sts
from euca_box.messages.base import Op
from euca_box.model.errors import EucaError, InternalError, InvalidAction, ValidationError

log = logging.getLogger(__name__)

STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
IAM_NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


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
        reply = await self._ask("clc", read(query), call)
        result = "" if written is None else f"<{action}Result>{written(reply)}</{action}Result>"
        space = STS_NAMESPACE if action in _OF_STS else IAM_NAMESPACE
        return (
            f'<{action}Response xmlns="{space}">{result}'
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


def _needed(query: Query, name: str) -> str:
    if not (value := query.one(name)):
        raise ValidationError(f"The request must contain the parameter {name}.")
    return value


def _certificate(found: iam.SigningCertificate) -> str:
    at = datetime.fromtimestamp(found.upload_date, UTC)
    return (
        f"<UserName>{escaped(found.user_name)}</UserName><CertificateId>{found.certificate_id}</CertificateId>"
        f"<CertificateBody>{escaped(found.certificate_body)}</CertificateBody><Status>{found.status}</Status>"
        f"<UploadDate>{at:%Y-%m-%dT%H:%M:%SZ}</UploadDate>"
    )


def _certificates(found: iam.SigningCertificates) -> str:
    members = "".join(f"<member>{_certificate(one)}</member>" for one in found.certificates)
    return f"<Certificates>{members}</Certificates><IsTruncated>false</IsTruncated>"


_OF_STS = {"GetCallerIdentity", "GetSessionToken"}

# action -> how its message is read from the query, how its reply is written (None: it has no result)
_ACTIONS: dict[str, tuple[Callable[[Query], Op[Any]], Callable[[Any], str] | None]] = {
    "GetCallerIdentity": (lambda _: sts.GetCallerIdentity(), _identity),
    "GetSessionToken": (_get_session_token, _credentials),
    "UploadSigningCertificate": (
        lambda q: iam.UploadSigningCertificate(_needed(q, "CertificateBody"), q.one("UserName")),
        lambda found: f"<Certificate>{_certificate(found)}</Certificate>",
    ),
    "ListSigningCertificates": (lambda q: iam.ListSigningCertificates(q.one("UserName")), _certificates),
    "UpdateSigningCertificate": (
        lambda q: iam.UpdateSigningCertificate(
            _needed(q, "CertificateId"), _needed(q, "Status"), q.one("UserName")
        ),
        None,
    ),
    "DeleteSigningCertificate": (
        lambda q: iam.DeleteSigningCertificate(_needed(q, "CertificateId"), q.one("UserName")),
        None,
    ),
}


def _error(error: EucaError, request_id: str) -> str:
    side = "Sender" if error.side == "Client" else "Receiver"
    return (
        f'<ErrorResponse xmlns="{STS_NAMESPACE}"><Error><Type>{side}</Type><Code>{escaped(error.code)}</Code>'
        f"<Message>{escaped(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
