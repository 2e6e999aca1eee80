"""The operator's API on a unix socket: one POST for each admin message, JSON in and out.

What every role answers is asked of one of them: `POST /GetLogs?at=cc@us-east-1a`.

Who may open the socket is the operator (its mode is 0600), so there is no other authentication.
"""

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from quart import Quart, Response, request

from euca_box.api import audit
from euca_box.messages import admin, base, components, consoles, sc, service, walrus
from euca_box.messages.base import Call, Op
from euca_box.model.errors import EucaError

OPERATIONS: dict[str, type[Op[Any]]] = {
    kind.__name__: kind
    for kind in (
        admin.AddUser,
        admin.GetUserKeys,
        admin.ListUsers,
        admin.SetUserState,
        admin.SetPassword,
        admin.AddCertificate,
        admin.ListCertificates,
        admin.RevokeCertificate,
        admin.GetUsage,
        admin.ListUsage,
        admin.CacheImages,
        admin.ListLeftovers,
        admin.TraceNetwork,
        admin.ListVmTypes,
        admin.SetVmType,
        admin.RemoveVmType,
        admin.ResetVmType,
        admin.DescribeCloud,
        consoles.FindConsole,
        components.CreateToken,
        components.DescribeComponents,
        components.SetComponentState,
        components.DeregisterComponent,
        components.RevokeHost,
        walrus.GetScrub,
        walrus.BeginScrub,
        sc.ScGetScrub,
        sc.ScBeginScrub,
        walrus.HoldRemovals,
        service.GetLogs,
        service.GetSettings,
        service.ChangeSettings,
        service.ResetSettings,
        service.TellStory,
        service.Examine,
    )
}

Ask = Callable[[str, Op[Any], Call], Awaitable[Any]]


def admin_app(ask: Ask, status: Callable[[], dict[str, Any]]) -> Quart:
    """`status()` is what this process knows of itself: roles, listeners, what is not ready yet."""
    app = Quart(__name__, static_folder=None)

    @app.get("/status")
    async def show_status() -> Response:
        return _json(200, json.dumps(status()))

    @app.post("/<name>")
    async def operate(name: str) -> Response:
        # Read also when it is refused, or the client breaks off before it has sent it.
        body: bytes = await request.get_data()  # type: ignore[assignment]
        kind = OPERATIONS.get(name)
        if kind is None:
            return _error(404, "InvalidAction", f"There is no admin operation {name[:64]}.")
        try:
            op = base.decode(body.decode() or "{}", kind)
        except Exception:
            # cattrs raises groups of many kinds; all mean that the caller sent something else.
            return _error(400, "InvalidParameterValue", f"The body is no {name}.")
        call = base.system_call(str(uuid.uuid4()))
        try:
            reply = await audit.asked(ask, request.args.get("at") or kind.role, op, call)
        except EucaError as error:
            return _error(error.http_status, error.code, error.message)
        return _json(200, base.encode(reply))

    return app


def _json(status: int, text: str) -> Response:
    return Response(text + "\n", status=status, content_type="application/json")


def _error(status: int, code: str, message: str) -> Response:
    return _json(status, json.dumps({"error": code, "message": message}))
