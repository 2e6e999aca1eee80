"""S3 by SOAP (API 2006-03-01): each operation is a REST request, signed with the caller's key and answered.

So rights, logs, events and errors are those of REST. The signature in the Body covers the operation and
the time, not the rest (S3 developer guide of 2006, "Authenticating SOAP requests"): over plain HTTP it is
believed from this host only, unless `legacy_soap` says otherwise. Bytes of objects travel in the document:
attachments (DIME) have no client that can be had any more.
"""

import hmac
import logging
import uuid
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address

from lxml import etree

from euca_box.api.query import RequestTooLarge, answer, read_body
from euca_box.api.s3.asgi import App, ClientGone, Receive, Scope, Send
from euca_box.api.s3.xml_in import local_name
from euca_box.api.soap import envelopes
from euca_box.api.soap.s3_operations import OPERATIONS, Caller, Fault, only_text
from euca_box.api.soap.s3_wsdl import wsdl
from euca_box.api.xml_documents import BadDocument
from euca_box.auth.keyring import Keyring
from euca_box.auth.wsse import SOAP_11
from euca_box.model.accounts import AccessKey
from euca_box.model.errors import EucaError, InternalError
from euca_box.observe import logs

log = logging.getLogger(__name__)

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01"
LARGEST_BYTES = 2 * 1024 * 1024
SKEW = timedelta(minutes=15)


class S3Soap:
    """A pure ASGI application; `rest` is S3's own."""

    def __init__(
        self, rest: App, keyring: Keyring, now: Callable[[], datetime], endpoint: str, *, legacy: bool = False
    ) -> None:
        self._rest, self._keyring, self._now = rest, keyring, now
        self._endpoint, self._legacy = endpoint, legacy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            head = scope["method"] == "HEAD"
            await answer(send, 200, wsdl(self._endpoint), head=head, content_type="text/xml; charset=UTF-8")
            return
        request_id = str(uuid.uuid4())
        token = logs.request_id.set(request_id)
        space, status = SOAP_11, 200
        try:
            root = envelopes.parse(await read_body(receive, LARGEST_BYTES))
            space = envelopes.space_of(root)
            body = envelopes.reply(space, await self._respond(root, scope))
        except ClientGone:
            return
        except BadDocument as error:
            status, body = _refusal(space, Fault("MalformedXML", error.message), request_id)
        except RequestTooLarge:
            text = "Inline data exceeds the maximum allowed size"
            status, body = _refusal(space, Fault("InlineDataTooLarge", text), request_id)
        except Fault as error:
            status, body = _refusal(space, error, request_id)
        except EucaError as error:
            status, body = _refusal(space, Fault(error.code, error.message), request_id)
        except Exception:
            log.exception("a SOAP request failed")
            unknown = InternalError()
            status, body = _refusal(space, Fault(unknown.code, unknown.message, side="Server"), request_id)
        finally:
            logs.request_id.reset(token)
        await answer(send, status, body, content_type=envelopes.content_type(space))

    async def _respond(self, root: etree._Element, scope: Scope) -> str:
        element = _request_of(root)
        name = local_name(element)
        if name not in OPERATIONS:
            raise Fault("NotImplemented", f"The operation {name[:64]} is not served by SOAP.")
        key = self._believed(element, name, scope)
        caller = Caller(self._rest, scope, key, self._now)
        content = await OPERATIONS[name](caller, element)
        return f'<{name}Response xmlns="{NAMESPACE}/">{content}</{name}Response>'

    def _believed(self, element: etree._Element, name: str, scope: Scope) -> AccessKey | None:
        """The key that signed; None for an anonymous request."""
        key_id, stamp, signature = (
            only_text(element, field) for field in ("AWSAccessKeyId", "Timestamp", "Signature")
        )
        if key_id is None and signature is None:
            return None
        if scope.get("scheme") != "https" and not (self._legacy or _is_from_here(scope)):
            raise Fault("AccessDenied", "SOAP is served over TLS: its signature does not cover the request.")
        if not (key_id and stamp and signature):
            raise Fault("AccessDenied", "AWSAccessKeyId, Timestamp and Signature belong together.")
        key = self._keyring.find(key_id)
        if key is None:
            text = "The AWS Access Key Id you provided does not exist in our records."
            raise Fault("InvalidAccessKeyId", text)
        signed = f"AmazonS3{name}{stamp}".encode()
        expected = b64encode(hmac.digest(key.secret_access_key.encode(), signed, "sha1"))
        if not hmac.compare_digest(expected, signature.strip().encode()):
            raise Fault(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
            )
        if abs(_moment(stamp) - self._now()) > SKEW:
            text = "The difference between the request time and the current time is too large."
            raise Fault("RequestTimeTooSkewed", text)
        return key


def _refusal(space: str, error: Fault, request_id: str) -> tuple[int, bytes]:
    body = envelopes.fault(space, error.side, error.code, error.message, request_id, error.detail)
    return envelopes.fault_status(space, error.side), body


def _request_of(root: etree._Element) -> etree._Element:
    space = envelopes.space_of(root)
    bodies = [child for child in root if child.tag == f"{{{space}}}Body"]
    if root.tag != f"{{{space}}}Envelope" or len(bodies) != 1 or len(bodies[0]) != 1:
        raise Fault("MalformedXML", "The document is no SOAP envelope with one request.")
    element = bodies[0][0]
    if (etree.QName(element).namespace or "").rstrip("/") != NAMESPACE:
        raise Fault("MalformedXML", f"Requests are in the namespace {NAMESPACE}/.")
    return element


def _is_from_here(scope: Scope) -> bool:
    try:
        return ip_address((scope.get("client") or ("",))[0]).is_loopback
    except ValueError:
        return False


def _moment(stamp: str) -> datetime:
    refusal = Fault("AccessDenied", "The Timestamp is written as 2006-03-01T12:00:00.183Z.")
    try:
        moment = datetime.fromisoformat(stamp.strip())
    except ValueError:
        raise refusal from None
    if moment.tzinfo is None:
        raise refusal
    return moment
