"""S3 as a pure ASGI application: read, believe, route, answer; each error as S3 writes it."""

import logging
import random
import secrets
import time
from functools import partial

from euca_box.api.http1.exchange import ASKS_FOR_BODY
from euca_box.api.s3.access_log import AccessLog
from euca_box.api.s3.asgi import App, ClientGone, Receive, Scope, Send
from euca_box.api.s3.authenticate import authenticate, s3_fault
from euca_box.api.s3.circumstances import circumstances_of
from euca_box.api.s3.cors import cors_headers, preflight
from euca_box.api.s3.forms import post_object
from euca_box.api.s3.notifier import Notifier
from euca_box.api.s3.operations import Front
from euca_box.api.s3.preconditions import charges, check_bucket, refuse_hidden
from euca_box.api.s3.request import S3Request, read_request
from euca_box.api.s3.responses import Response, error_response, host_id_of, send_response
from euca_box.api.s3.routes import operation_of
from euca_box.api.s3.settings import S3Settings
from euca_box.api.s3.website import serve_website
from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError
from euca_box.model.errors import EucaError
from euca_box.model.notifications import Cause
from euca_box.model.s3_errors import S3Error, S3InternalError, S3NotImplemented
from euca_box.objects.circumstances import CIRCUMSTANCES, GRANTS
from euca_box.objects.engine import Objects
from euca_box.objects.notices import CAUSE
from euca_box.observe import logs

log = logging.getLogger(__name__)

_REQUEST_IDS = random.Random(secrets.token_bytes(32))  # noqa: S311 (they are no secret, and one a request)


_READS = ("GET", "HEAD")


def s3_app(
    objects: Objects,
    keyring: Keyring,
    settings: S3Settings | None = None,
    access_log: AccessLog | None = None,
    notifier: Notifier | None = None,
) -> App:
    """The application; it shares the loop of `objects`. Who gives a log or a notifier runs it."""
    settings = settings or S3Settings()
    front = Front(objects, keyring, settings, notifier or Notifier({}))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _serve(front, access_log, scope, receive, send)

    return app


async def _serve(
    front: Front, access_log: AccessLog | None, scope: Scope, receive: Receive, send: Send
) -> None:
    started = time.monotonic()
    request_id = f"{_REQUEST_IDS.getrandbits(64):016X}"
    host_id = host_id_of(request_id)
    request: S3Request | None = None
    logs.request_id.set(request_id)  # of this request's task
    try:
        try:
            request = read_request(scope, receive, front.settings)
            if request.method not in _READS:
                CAUSE.set(partial(_cause_of, request, request_id))
            response = await _answer(front, request)
        except (EucaError, AuthError) as error:
            response = error_response(_as_s3(error), _resource(scope), request_id, host_id)
        await _finish_body(request, scope, response)
        response.headers |= {"x-amz-request-id": request_id, "x-amz-id-2": host_id}
        if request is not None and "origin" in request.headers:
            response.headers |= cors_headers(front, request)
        try:
            await send_response(send, response)
        finally:
            if response.close is not None:
                await response.close()
            if access_log is not None and request is not None:
                access_log.note(request, response, request_id, host_id, time.monotonic() - started)
    except (ClientGone, ConnectionError):
        return
    except TimeoutError:
        log.info("request %s: the client stopped reading", request_id)
        raise  # the head was sent: the server closes the connection
    except Exception:
        log.exception("request %s failed after its answer began", request_id)
        raise


def _cause_of(request: S3Request, request_id: str) -> Cause:
    principal = request.principal.account if request.principal is not None else "Anonymous"
    return Cause(principal, request.source_ip, request_id)


async def _answer(front: Front, request: S3Request) -> Response:
    if "content-encoding" in request.headers and request.method in ("GET", "HEAD", "DELETE"):
        raise S3NotImplemented(Header="Content-Encoding")
    try:
        if request.method != "OPTIONS" and not request.is_website:
            authenticate(request, front.keyring, front.settings.now())
        refuse_hidden(request)
        if request.method == "OPTIONS":
            return preflight(front, request)
        GRANTS.set(lambda: front.keyring.grants)
        CIRCUMSTANCES.set(lambda: circumstances_of(request, front.settings.now()))
        if request.is_website:
            return await serve_website(front, request)
        check_bucket(front, request)
        operation = operation_of(request)
        charged = operation is not post_object and charges(front, request)  # a form says later who asks
        response = await operation(front, request)
        if charged:
            response.headers["x-amz-request-charged"] = "requester"
        return response
    except (EucaError, AuthError, ClientGone):
        raise
    except Exception as error:
        log.exception("%s failed", request.method)
        raise S3InternalError() from error


def _as_s3(error: EucaError | AuthError) -> S3Error:
    if isinstance(error, AuthError):
        return s3_fault(error)
    return error if isinstance(error, S3Error) else S3InternalError()


def _resource(scope: Scope) -> str:
    """Percent-encoded where it holds what XML 1.0 cannot: a client must be able to read the error."""
    path: str = scope["path"]
    return path if path.isprintable() else scope["raw_path"].decode("latin-1")


async def _finish_body(request: S3Request | None, scope: Scope, response: Response) -> None:
    """A connection whose request body nobody read can carry no further request: say so, or read it away."""
    if request is None:
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]):
            response.headers["connection"] = "close"
    elif _waits_to_be_asked(request, scope) or (
        not request.body.ended
        and _announces_body(request)
        and not await request.body.drain(believed=request.principal is not None)
    ):
        response.headers["connection"] = "close"


def _waits_to_be_asked(request: S3Request, scope: Scope) -> bool:
    """The client sends no body before 100 Continue, which a refused one must not read (RFC 9110 10.1.1)."""
    is_ours_to_say = ASKS_FOR_BODY in scope.get("extensions", {})
    return is_ours_to_say and "expect" in request.headers and not request.body.begun


def _announces_body(request: S3Request) -> bool:
    return request.body.content_length is not None or "transfer-encoding" in request.headers
