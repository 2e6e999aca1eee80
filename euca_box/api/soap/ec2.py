"""EC2 by SOAP: an envelope signed with a user's certificate -> message, the bus, reply -> envelope.

Only how bytes become messages differs from the Query API: operations, rights and errors are the same, and
what has no shape in EC2's schemas cannot be asked for.
"""

import logging
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from lxml import etree

from euca_box.api.ec2.query import Ask, operation
from euca_box.api.query import answer, read_body
from euca_box.api.s3.asgi import ClientGone, Receive, Scope, Send
from euca_box.api.soap import ec2_replies, ec2_requests, ec2_shapes, envelopes
from euca_box.api.soap.ec2_wsdl import wsdl
from euca_box.api.soap.replays import Replays
from euca_box.api.xml_documents import BadDocument
from euca_box.auth import wsse
from euca_box.auth.keyring import Keyring
from euca_box.messages.base import Call
from euca_box.model.accounts import AccessKey
from euca_box.model.errors import (
    AuthFailure,
    EucaError,
    InternalError,
    InvalidAction,
    MalformedRequest,
    NoSuchVersion,
    RequestExpired,
)
from euca_box.observe import logs

log = logging.getLogger(__name__)

LARGEST_BYTES = 256 * 1024
_NAMESPACE_START = "http://ec2.amazonaws.com/doc/"


class Ec2Soap:
    """A pure ASGI application. `ask` is the bus, seen from asyncio; `legacy` also believes RSA-SHA1."""

    def __init__(
        self, ask: Ask, keyring: Keyring, now: Callable[[], datetime], endpoint: str, *, legacy: bool = False
    ) -> None:
        self._ask, self._keyring, self._now = ask, keyring, now
        self._endpoint, self._legacy = endpoint, legacy
        self._replays = Replays(now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await self._describe(scope, send)
            return
        request_id = str(uuid.uuid4())
        token = logs.request_id.set(request_id)
        space, status = wsse.SOAP_11, 200
        try:
            root = await _read(receive)
            space = envelopes.space_of(root)
            body = envelopes.reply(space, await self._respond(root, request_id, scope))
        except ClientGone:
            return
        except EucaError as error:
            status = envelopes.fault_status(space, error.side)
            body = envelopes.fault(space, error.side, error.code, error.message, request_id)
        finally:
            logs.request_id.reset(token)
        await answer(send, status, body, content_type=envelopes.content_type(space))

    async def _respond(self, root: etree._Element, request_id: str, scope: Scope) -> str:
        try:
            believed = self._believe(root)
            version, action, element = _request_of(believed.body)
            op = operation(action, lambda: ec2_requests.parameters(version, action, element))
            if not action.startswith(("Describe", "Get")):
                self._replays.refuse(believed)
            key: AccessKey = believed.who
            source_ip = str((scope.get("client") or ("",))[0])
            call = Call(key.principal, request_id, source_ip=source_ip, access_key_id=key.access_key_id)
            return ec2_replies.content(version, action, request_id, await self._ask("clc", op, call))
        except EucaError:
            raise
        except Exception:
            log.exception("a SOAP request failed")
            raise InternalError from None

    def _believe(self, root: etree._Element) -> wsse.Believed[AccessKey]:
        try:
            return wsse.verify(root, self._keyring.find_certificate, self._now(), legacy=self._legacy)
        except wsse.NotBelieved as refused:
            raise (RequestExpired if refused.is_expired else AuthFailure)(refused.message) from None

    async def _describe(self, scope: Scope, send: Send) -> None:
        """The WSDL: `?wsdl`, `?wsdl&Version=2009-04-04`."""
        parts = scope["query_string"].decode("latin-1").split("&")
        version = next((part[8:] for part in parts if part.startswith("Version=")), ec2_shapes.NEWEST)
        if version not in ec2_shapes.versions():
            known = ", ".join(ec2_shapes.versions())
            await answer(send, 404, f"Versions are {known}.\n".encode(), content_type="text/plain")
            return
        document = wsdl(version, self._endpoint)
        await answer(
            send, 200, document, head=scope["method"] == "HEAD", content_type="text/xml; charset=UTF-8"
        )


async def _read(receive: Receive) -> etree._Element:
    """Raises MalformedRequest, RequestTooLarge, ClientGone."""
    try:
        return envelopes.parse(await read_body(receive, LARGEST_BYTES))
    except BadDocument as error:
        raise MalformedRequest(error.message) from None


def _request_of(body: etree._Element) -> tuple[str, str, Any]:
    """Version, action and its element. Raises MalformedRequest, NoSuchVersion, InvalidAction."""
    if len(body) != 1:
        raise MalformedRequest("The Body holds one request.")
    name = etree.QName(body[0])
    space = (name.namespace or "").rstrip("/")
    version = space.removeprefix(_NAMESPACE_START)
    if not space.startswith(_NAMESPACE_START) or version not in ec2_shapes.versions():
        known = f"{ec2_shapes.versions()[0]} to {ec2_shapes.versions()[-1]}"
        raise NoSuchVersion(
            f"The namespace {space[:128]} is of no known version: SOAP is served for {known}."
        )
    if not ec2_shapes.has(version, name.localname):
        raise InvalidAction(name.localname[:128])
    return version, name.localname, body[0]
