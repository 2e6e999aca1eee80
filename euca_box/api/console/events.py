"""What was asked of the cloud: a list with filters, and the same as JSON lines."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from quart import Quart, Response, request

from euca_box.api.console.web import LOOKING, Web, call, page, session
from euca_box.messages.events import ListEvents

PAGE_SIZE, EXPORT_SIZE, MOST_EXPORTED = 50, 200, 100_000


def routes(app: Quart, web: Web) -> None:
    @app.get("/events", endpoint="events")
    async def events() -> str:
        found = await web.look(_wanted(PAGE_SIZE, request.args.get("next") or None))
        return await page("events.html", rows=found.events, next_token=found.next_token, args=request.args)

    @app.get("/events.jsonl", endpoint="events_export")
    async def export() -> Response:
        first, who = _wanted(EXPORT_SIZE, None), call(LOOKING)
        headers = {"Content-Disposition": 'attachment; filename="events.jsonl"'}
        answer = Response(_lines(web, first, who), content_type="application/x-ndjson", headers=headers)
        answer.timeout = None
        return answer


async def _lines(web: Web, first: ListEvents, who: Any) -> AsyncIterator[bytes]:
    token: str | None = None
    for _ in range(MOST_EXPORTED // EXPORT_SIZE):
        op = ListEvents(first.everybody, first.action, first.who, first.failed, EXPORT_SIZE, token)
        found = await web.ask("clc", op, who)
        for event in found.events:
            row = asdict(event) | {"parameters": json.loads(event.parameters)}
            yield json.dumps(row).encode() + b"\n"
        token = found.next_token
        if token is None:
            return


def _wanted(limit: int, token: str | None) -> ListEvents:
    args = request.args
    return ListEvents(
        everybody=args.get("everybody") == "1" and session().principal.admin,
        action=args.get("action", "").strip(),
        who=args.get("who", "").strip(),
        failed=args.get("failed") == "1",
        limit=limit,
        next_token=token,
    )
