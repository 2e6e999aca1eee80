"""Before any page: is this host meant, does the request come from our own page, and who is it?

Everything is closed but what OPEN names. A request that changes something (any method but GET and HEAD)
must come from our own origin and bring the session's token; a WebSocket must come from our own origin.
"""

import hashlib
import hmac
import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from quart import Quart, Response, abort, g, redirect, request, websocket

from euca_box.api.console.web import Web
from euca_box.messages.base import system_call
from euca_box.messages.logins import ResumeSession
from euca_box.model.errors import EucaError

COOKIE = "__Host-euca-box"
TOKEN_FIELD = "csrf"  # noqa: S105 - the name of a field
# Routes for those who are not logged in.
OPEN = frozenset({"static", "metrics", "log_in", "sign_up", "recover", "recover_use", "language"})
# Routes for those who must change their password first.
_BEFORE_ALL = frozenset({"static", "password", "log_out", "language"})
LARGEST_FORM_BYTES = 1 << 20
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = {
    # Styles inline: xterm and noVNC set them on their elements.
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Strict-Transport-Security": "max-age=31536000",
}


def guard(app: Quart, web: Web) -> None:
    """Put it before every route of the application."""

    @app.before_request
    async def check() -> Any:
        if not is_ours(request.host, web.names):
            abort(421)
        if request.method not in SAFE and not _is_same_origin(request.headers, request.host):
            abort(403)
        if request.method not in SAFE and request.endpoint != "upload":
            length = request.content_length
            if length is None or length > LARGEST_FORM_BYTES:
                abort(413)
        return await _enter(web)

    @app.before_websocket
    async def check_socket() -> None:
        if not is_ours(websocket.host, web.names) or not _is_same_origin(websocket.headers, websocket.host):
            abort(403)
        token = websocket.cookies.get(COOKIE, "")
        g.session = await _resumed(web, token)
        if g.session is None or g.session.must_change:
            abort(401)

    @app.after_request
    async def secure(response: Response) -> Response:
        response.headers.update(HEADERS)
        if not request.path.startswith("/static/vendor/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


async def _enter(web: Web) -> Any:
    g.token = request.cookies.get(COOKIE, "")
    endpoint = request.endpoint or ""
    g.session = None if endpoint == "static" else await _resumed(web, g.token)
    if endpoint in OPEN:
        return None
    if g.session is None:
        if request.method in SAFE and "text/html" in request.headers.get("accept", ""):
            return redirect("/login", 303)
        abort(401)
    if request.method not in SAFE:
        given = request.headers.get("x-csrf-token") or (await request.form).get(TOKEN_FIELD, "")
        if not hmac.compare_digest(csrf_token(g.token).encode(), given.encode()):
            abort(403)
    if g.session.must_change and endpoint not in _BEFORE_ALL:
        return redirect("/password", 303)
    return None


async def _resumed(web: Web, token: str) -> Any:
    if not token:
        return None
    try:
        return await web.ask("clc", ResumeSession(token[:200]), system_call("console"))
    except EucaError:
        return None


def csrf_token(token: str) -> str:
    """Of a session; who has it knows the session's cookie, and who has not cannot guess it."""
    return hmac.digest(token.encode("utf-8", "surrogatepass"), b"csrf", hashlib.sha256).hex()


def is_ours(host: str, names: tuple[str, ...]) -> bool:
    """An address, localhost, or a name of ours: not a stranger's that leads here (DNS rebinding)."""
    name = re.sub(r":\d{1,5}$", "", host).lower().rstrip(".")
    if name in ("localhost", *names):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_same_origin(headers: Any, host: str) -> bool:
    """By Origin, or where a browser sends none by Referer; a request without both is nobody's click."""
    origin = headers.get("origin") or headers.get("referer") or ""
    found = urlsplit(origin)
    return found.scheme == "https" and found.netloc.lower() == host.lower()
