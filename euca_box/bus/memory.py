"""The bus within one process: a trio memory channel for each role that runs here.

With `encoded=True` (tests) every message and reply is written to JSON and read back, so that what
works on a laptop works between hosts.
"""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

from euca_box.bus.bus import Desk
from euca_box.messages import base
from euca_box.messages.base import Call, Op
from euca_box.model.errors import EucaError, Unavailable

R = TypeVar("R")

INBOX = 64  # requests that may wait at a role before callers do


@dataclass
class _Letter:
    op: Op[Any]
    call: Call
    answered: trio.Event = field(default_factory=trio.Event)
    reply: Any = None
    error: EucaError | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class MemoryTransport:
    def __init__(self, *, encoded: bool = False) -> None:
        self._encoded = encoded
        self._inboxes: dict[str, trio.MemorySendChannel[_Letter]] = {}

    def reaches(self, address: str) -> bool:
        return address in self._inboxes

    def addresses(self) -> tuple[str, ...]:
        """Where somebody answers now."""
        return tuple(self._inboxes)

    async def send(self, address: str, op: Op[R], call: Call) -> R:
        letter = _Letter(self._copied(op, type(op)), self._copied(call, Call))
        try:
            await self._inboxes[address].send(letter)
        except (trio.BrokenResourceError, trio.ClosedResourceError, KeyError):
            raise Unavailable(f"{address} has stopped.") from None
        try:
            await letter.answered.wait()
        except trio.Cancelled:
            letter.scope.cancel()
            raise
        if letter.error is not None:
            raise letter.error
        return self._copied(letter.reply, base.reply_type(type(op)))  # type: ignore[no-any-return, arg-type]

    async def serve(
        self, address: str, desk: Desk, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Answer at this address until cancelled; then callers get Unavailable."""
        inbox, letters = trio.open_memory_channel[_Letter](INBOX)
        self._inboxes[address] = inbox
        try:
            async with trio.open_nursery() as answers:
                task_status.started()
                async for letter in letters:
                    answers.start_soon(_answer, desk, letter)
        finally:
            if self._inboxes.get(address) is inbox:
                del self._inboxes[address]
            letters.close()

    def _copied(self, value: Any, kind: Any) -> Any:
        return base.decode(base.encode(value), kind) if self._encoded else value


async def _answer(desk: Desk, letter: _Letter) -> None:
    try:
        with letter.scope:
            letter.reply = await desk.answer(letter.op, letter.call)
    except EucaError as error:
        letter.error = error
    finally:
        if letter.reply is None and letter.error is None:
            letter.error = Unavailable("The role stopped before it had answered.")
        letter.answered.set()
