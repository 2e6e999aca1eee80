"""The web console: for now one page that shows what runs. Served with TLS only."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from quart import Quart, Response, render_template

import euca_box
from euca_box.api.console.metrics import add_metrics
from euca_box.messages import admin
from euca_box.messages.base import Call, Op, system_call
from euca_box.model.errors import EucaError

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'none'; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Ask = Callable[[str, Op[Any], Call], Awaitable[Any]]


def console_app(ask: Ask, status: Callable[[], dict[str, Any]], metrics_from: Sequence[str] = ()) -> Quart:
    """`status()` as for the admin API. The page tells nothing that belongs to an account.

    `metrics_from`: networks (CIDR) that may read /metrics.
    """
    app = Quart(__name__)
    add_metrics(app, ask, status, metrics_from)

    @app.after_request
    async def secure(response: Response) -> Response:
        response.headers.update(SECURITY_HEADERS)
        return response

    @app.get("/")
    async def home() -> str:
        try:
            cloud = await ask("clc", admin.DescribeCloud(), system_call("console"))
        except EucaError:
            cloud = None
        return await render_template(
            "status.html", version=euca_box.__version__, status=status(), cloud=cloud
        )

    return app
