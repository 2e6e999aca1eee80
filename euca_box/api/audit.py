"""What administrators change of a role's settings is an event of the cloud, too."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from euca_box.messages import service
from euca_box.messages.base import Call, Op
from euca_box.messages.events import NoteEvent
from euca_box.model.errors import EucaError

Ask = Callable[[str, Op[Any], Call], Awaitable[Any]]
CHANGES = (service.ChangeSettings, service.ResetSettings)


async def asked(ask: Ask, at: str, op: Op[Any], call: Call) -> Any:
    """The reply of the role at this address, noted where it is a change or the refusal of one."""
    if not isinstance(op, CHANGES):
        return await ask(at, op, call)
    try:
        reply = await ask(at, op, call)
    except EucaError as error:
        await _note(ask, at, op, call, error)
        raise
    await _note(ask, at, op, call)
    return reply


async def _note(ask: Ask, at: str, op: Op[Any], call: Call, error: EucaError | None = None) -> None:
    if isinstance(op, service.ChangeSettings):
        what = ", ".join(f"{name}={value}" for name, value in op.values)
    else:
        what = ", ".join(getattr(op, "names", ()))
    code, text = (error.code, error.message) if error is not None else ("", "")
    with contextlib.suppress(EucaError):  # the role has its own row and a line in its log
        await ask("clc", NoteEvent(f"admin:{type(op).__name__}", f"{at}: {what}", code, text), call)
