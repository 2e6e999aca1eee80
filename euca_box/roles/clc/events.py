"""What was asked, by whom, and what came of it: one row for each call of a user, kept for some time.

Rows are gathered for a second and written together, so that a call waits for none of it; a kill loses
those of the last second. Secrets (fields that are no part of the repr) and user data are left out.
"""

import dataclasses
import json
import logging
from typing import TYPE_CHECKING, Any

import trio

from euca_box.messages import events
from euca_box.messages.base import SYSTEM, Call, Done, Op
from euca_box.messages.moments import Moment
from euca_box.model.accounts import arn
from euca_box.model.errors import AccessDeniedByPolicy, EucaError, InvalidParameterValue
from euca_box.roles.clc.authorisation import action_of
from euca_box.services.events import ids_in, outcome
from euca_box.store.store import Row, Statement, Value, insert

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

WRITE_SECONDS, SWEEP_SECONDS = 1.0, 3600.0
TOGETHER, SWEEP_ROWS = 500, 10_000
LONGEST_PARAMETERS, LONGEST_VALUE, MOST_LIMIT = 2000, 200, 200
MOST_WAITING = 20_000
_LEFT_OUT = {"user_data", "dry_run", "policy_document", "certificate_body"}
_QUIET = ("Describe", "List", "Get")
CONSOLE = "console"  # the user agent of pages that only look: no events


def note(clc: "Clc", call: Call, op: Op[Any], error: EucaError | None) -> None:
    """Of what a user asked. Pages of the console that only look are left out: they look all the time."""
    kind: Any = type(op)
    action = action_of(kind) or (f"admin:{kind.__name__}" if kind.__module__.endswith(".admin") else None)
    if action is None or call.principal == SYSTEM:
        return
    if call.user_agent == CONSOLE and kind.__name__.startswith(_QUIET):
        return
    if error is not None or not kind.__name__.startswith(_QUIET):
        who, came_from = arn(call.principal), call.source_ip or "-"
        log.info("%s %s by %s from %s: %s", action, ids_in(op) or "-", who, came_from, outcome(error))
    add(clc, call, arn(call.principal), action, _parameters(op), error)


def add(
    clc: "Clc", call: Call, who: str, action: str, parameters: str, error: EucaError | None, account: str = ""
) -> None:
    """A row for the next writing. `account` where it is not the caller's."""
    if len(clc.new_events) >= MOST_WAITING:
        return  # the disk is full, or worse; the log has it
    clc.event_number += 1
    now = clc.now()
    clc.new_events.append(
        {
            "id": f"{int(now * 1000):014}{clc.event_number % 10**6:06}",
            "at": now,
            "account": account or call.account,
            "who": who,
            "action": action,
            "parameters": parameters,
            "source_ip": call.source_ip,
            "user_agent": call.user_agent,
            "access_key_id": call.access_key_id,
            "request_id": call.request_id,
            "error_code": error.code if error is not None else "",
            "error_message": error.message[:500] if error is not None else "",
        }
    )


class Refused(EucaError):
    """What a front end refused by itself, with its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]


async def note_event(clc: "Clc", call: Call, op: events.NoteEvent) -> Done:
    """What the console did with objects, which pass no bus."""
    error = Refused(op.error_code, op.error_message) if op.error_code else None
    add(clc, call, arn(call.principal), op.action, json.dumps({"resource": op.resource[:1000]}), error)
    return Done()


def _parameters(op: Any) -> str:
    shown = {
        field.name: _brief(value)
        for field in dataclasses.fields(op)
        if field.repr
        and field.name not in _LEFT_OUT
        and (value := getattr(op, field.name)) not in (None, (), "", False)
    }
    text = json.dumps(shown, default=str)
    return text if len(text) <= LONGEST_PARAMETERS else json.dumps({"shortened": text[:LONGEST_PARAMETERS]})


def _brief(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + "…"
    if isinstance(value, tuple):
        return [_brief(item) for item in value[:20]]
    if dataclasses.is_dataclass(value):
        return json.loads(_parameters(value))
    return value


async def write(clc: "Clc") -> None:
    """What was noted, some at a time so that others commit between, and away with what is old or too much."""
    swept_at, written = -SWEEP_SECONDS, 0
    while True:
        while noted := clc.new_events[:TOGETHER]:
            await clc.store.write(*(insert("event", row, or_replace=True) for row in noted))
            del clc.new_events[: len(noted)]
            written += len(noted)
        if clc.now() - swept_at >= SWEEP_SECONDS or written >= SWEEP_ROWS:
            await _sweep(clc)
            swept_at, written = clc.now(), 0
        await trio.sleep(WRITE_SECONDS)


async def _sweep(clc: "Clc") -> None:
    oldest = clc.now() - clc.settings.events_days * 86_400
    newest = "SELECT id FROM event ORDER BY id DESC LIMIT 1 OFFSET ?"
    await clc.store.write(
        Statement("DELETE FROM event WHERE id < ?", (f"{int(oldest * 1000):014}",)),
        Statement(f"DELETE FROM event WHERE id <= ({newest})", (clc.settings.events_most,)),  # noqa: S608
    )


async def list_events(clc: "Clc", call: Call, op: events.ListEvents) -> events.Events:
    """Raises AccessDenied, InvalidParameterValue."""
    if op.everybody and not call.admin:
        raise AccessDeniedByPolicy("Events of all accounts are for administrators of the cloud.")
    if not 1 <= op.limit <= MOST_LIMIT:
        raise InvalidParameterValue(f"The limit must be from 1 to {MOST_LIMIT}.")
    wheres: list[str] = []
    args: list[Value] = []

    def only(condition: str, *values: Value) -> None:
        wheres.append(condition)
        args.extend(values)

    if not op.everybody:
        only("account = ?", call.account)
    if op.next_token is not None:
        only("id < ?", op.next_token)
    if op.action:
        only("lower(action) LIKE ? ESCAPE '\\'", f"%{_escaped(op.action)}%")
    if op.who:
        only("lower(who) LIKE ? ESCAPE '\\'", f"%{_escaped(op.who)}%")
    if op.failed:
        only("error_code <> ''")
    where = f"WHERE {' AND '.join(wheres)} " if wheres else ""
    sql = f"SELECT * FROM event {where}ORDER BY id DESC LIMIT ?"  # noqa: S608 - conditions of our own
    rows = await clc.store.read(sql, *args, op.limit + 1)
    shown = rows[: op.limit]
    return events.Events(tuple(map(_view, shown)), shown[-1]["id"] if len(rows) > op.limit else None)


def _escaped(text: str) -> str:
    text = text.lower()[:100]
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _view(row: Row) -> events.Event:
    return events.Event(
        row["id"], Moment(row["at"]), *(row[f.name] for f in dataclasses.fields(events.Event)[2:])
    )
