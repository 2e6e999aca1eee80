"""The web console: pages for people, made on the server, over TLS only.

    app = console_app(Web(ask, status, ...))

A page is HTML that works without scripts; `static/console.mjs` renews what has changed meanwhile.
"""

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup
from quart import Quart, Response, g, has_websocket_context, request

import euca_box
from euca_box.api.console import (
    buckets,
    credentials,
    events,
    guard,
    home,
    images,
    instances,
    live,
    network,
    people,
    system,
    terminals,
    users,
    volumes,
)
from euca_box.api.console.languages import translations_of
from euca_box.api.console.metrics import add_metrics
from euca_box.api.console.reading import SlowReader
from euca_box.api.console.web import Web

LARGEST_UPLOAD_BYTES = 5 << 30

PAGES = (
    home,
    instances,
    images,
    volumes,
    network,
    buckets,
    users,
    credentials,
    events,
    system,
    people,
    terminals,
    live,
)


def console_app(web: Web) -> Quart:
    app = Quart(__name__)
    app.asgi_http_class = SlowReader
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_UPLOAD_BYTES  # forms: guard.py
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters |= {"time": _time, "size": _size}
    guard.guard(app, web)
    add_metrics(app, web.ask, web.status, web.metrics_from)
    for module in PAGES:
        module.routes(app, web)

    @app.context_processor
    async def about() -> dict[str, Any]:
        session = g.get("session")
        words = translations_of(request)
        return {
            "version": euca_box.__version__,
            "me": session,
            "is_admin": session is not None and session.principal.admin,
            "csrf": guard.csrf_token(g.token) if g.get("token") else "",
            "field": _field,
            "here": request.path,
            "said": request.args.get("said", "")[:500],
            "error": request.args.get("error", "")[:600],
            "theme": _theme(),
            "language": words.language,
            "_": words.gettext,
            "gettext": words.gettext,
            "ngettext": words.ngettext,
            "sign_up_allowed": web.sign_up,
            "has_mail": web.mail,
        }

    @app.errorhandler(401)
    @app.errorhandler(403)
    @app.errorhandler(404)
    @app.errorhandler(413)
    @app.errorhandler(421)
    async def refused(error: Any) -> Any:
        if has_websocket_context():
            return Response("", error.code)
        return await people.refusal(error.code), error.code

    return app


def _field() -> Markup:
    """What every form carries: that it is one of ours."""
    value = guard.csrf_token(g.token) if g.get("token") else ""
    return Markup('<input type="hidden" name="{}" value="{}">').format(guard.TOKEN_FIELD, value)


def _theme() -> str:
    wanted = request.cookies.get("theme", "")
    return wanted if wanted in ("light", "dark") else ""


def _time(seconds: float | None) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC" if seconds else ""


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
