"""One way to ask a role, wherever it runs: `await bus.ask("cc@us-east-1a", CcRunInstance(...), call)`.

An address is a role and a place: `clc`, `walrus`, `cc@ZONE`, `sc@ZONE`, `nc@HOST`. The reply is typed
by the question. Roles answer from an OPERATIONS table; there is no registration by import.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import trio

from euca_box.messages.base import Call, Op
from euca_box.model.errors import EucaError, InternalError, InvalidAction, StorageFull, Unavailable
from euca_box.observe import logs
from euca_box.store.store import StoreFull

log = logging.getLogger(__name__)

R = TypeVar("R")

Operations = Mapping[type[Op[Any]], Callable[[Any, Call, Any], Awaitable[Any]]]


class Transport(Protocol):
    def reaches(self, address: str) -> bool: ...

    async def send(self, address: str, op: Op[R], call: Call) -> R:
        """The reply, or the EucaError that the role raised, or Unavailable."""


class Bus:
    """Transports in order of preference: memory first, then other hosts."""

    def __init__(self, *transports: Transport) -> None:
        self._transports = transports

    async def ask(self, address: str, op: Op[R], call: Call) -> R:
        """The reply of the role. After the operation's deadline: Unavailable, the outcome is unknown.

        Raises EucaError as the role raised it; InternalError when the role has a bug (its log says which).
        """
        transport = next((t for t in self._transports if t.reaches(address)), None)
        if transport is None:
            raise Unavailable(f"The {role_of(address)} role does not run here and no host offers {address}.")
        with trio.move_on_after(op.timeout_seconds):
            return await transport.send(address, op, call)
        raise Unavailable(
            f"{address} did not answer {type(op).__name__} within {op.timeout_seconds:g} s; "
            "whether it was done is unknown."
        )


class Results(Protocol):
    """Where a role keeps the result of each mutating operation, by op id, in its own store."""

    async def find(self, op_id: str, op: Op[Any]) -> Any | None: ...

    async def keep(self, op_id: str, op: Op[Any], reply: Any) -> None: ...


class Desk:
    """A role's side of the bus: finds the operation in the table, runs it once for each op id."""

    def __init__(
        self,
        role: object,
        operations: Operations,
        results: Results | None = None,
        check: Callable[[Any, Call, Op[Any]], Awaitable[None]] | None = None,
        note: Callable[[Any, Call, Op[Any], EucaError | None], None] | None = None,
    ) -> None:
        """`check(role, call, op)` is asked first and raises what refuses the call; `note(role, call, op,
        error)` hears what came of it."""
        self._role = role
        self._operations = operations
        self._results = results
        self._check = check
        self._note = note
        self._running: dict[str, trio.Event] = {}

    async def answer(self, op: Op[R], call: Call) -> R:
        """Run the operation. Only EucaError leaves; anything else is logged and becomes InternalError."""
        token = logs.request_id.set(call.request_id)
        try:
            return await self._noted(op, call)
        except EucaError:
            raise
        except StoreFull:
            log.error("%s: the disk of the database is full", type(op).__name__)
            raise StorageFull from None
        except Exception:
            log.exception("%s failed", type(op).__name__)
            raise InternalError from None
        finally:
            logs.request_id.reset(token)

    async def _noted(self, op: Op[R], call: Call) -> R:
        if self._note is None:
            return await self._answer(op, call)
        try:
            reply = await self._answer(op, call)
        except EucaError as error:
            self._note(self._role, call, op, error)
            raise
        except Exception:
            self._note(self._role, call, op, InternalError())
            raise
        self._note(self._role, call, op, None)
        return reply

    async def _answer(self, op: Op[R], call: Call) -> R:
        function = self._operations.get(type(op))
        if function is None:
            raise InvalidAction(type(op).__name__)
        if self._check is not None:
            await self._check(self._role, call, op)
        if self._results is None or not op.mutates or call.op_id is None:
            return await function(self._role, call, op)  # type: ignore[no-any-return]
        while (running := self._running.get(call.op_id)) is not None:
            await running.wait()
        if (reply := await self._results.find(call.op_id, op)) is not None:
            return reply  # type: ignore[no-any-return]
        done = self._running[call.op_id] = trio.Event()
        try:
            reply = await function(self._role, call, op)
            await self._results.keep(call.op_id, op, reply)
        finally:
            del self._running[call.op_id]
            done.set()
        return reply  # type: ignore[no-any-return]


def role_of(address: str) -> str:
    return address.partition("@")[0]
