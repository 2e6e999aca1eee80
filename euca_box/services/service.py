"""A role's desk for the operator: the operations of `messages/service.py`, for administrators only."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from euca_box.bus.bus import Operations
from euca_box.messages import service as messages
from euca_box.messages.base import Call, Op
from euca_box.model.errors import AccessDeniedByPolicy
from euca_box.services import logs


@dataclass
class Service:
    """Of one role of this process."""

    role: str
    host: str

    @property
    def operations(self) -> Operations:
        """Rows for the role's own table."""
        return {kind: self._guarded(function) for kind, function in OPERATIONS.items()}

    def _guarded(self, function: Callable[..., Awaitable[Any]]) -> Callable[[Any, Call, Any], Awaitable[Any]]:
        async def answer(_: Any, call: Call, op: Op[Any]) -> Any:
            if not call.admin:
                raise AccessDeniedByPolicy("This is for administrators of the cloud.")
            return await function(self, call, op)

        return answer


def operations_of(service: Service | None) -> Operations:
    """Nothing where a role runs without, as in simulations."""
    return {} if service is None else service.operations


OPERATIONS: dict[type[Op[Any]], Callable[..., Awaitable[Any]]] = {
    messages.GetLogs: logs.get_logs,
}
