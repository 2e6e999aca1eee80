"""A role's desk for the operator: the operations of `messages/service.py`, for administrators only."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from euca_box.bus.bus import Operations
from euca_box.config import Config
from euca_box.messages import service as messages
from euca_box.messages.base import Call, Op
from euca_box.model.errors import AccessDeniedByPolicy
from euca_box.model.findings import Finding
from euca_box.model.stories import Story
from euca_box.services import configuration, examination, logs, stories
from euca_box.services.configuration import Kept
from euca_box.store.store import Store


@dataclass
class Service:
    """Of one role of this process. `configured`: what the files say; `started`: what this process began with,
    `kept` laid over it; `config`: with what was changed since."""

    role: str
    host: str
    store: Store
    role_itself: Any
    configured: Config
    started: Config
    tell: Callable[[Any, str], Awaitable[Story]] | None = None  # what the role knows of a thing
    examine: Callable[[Any], Awaitable[list[Finding]]] | None = None  # what is wrong with the role
    examine_host: Callable[[bool], list[Finding]] | None = None  # and with its host; it blocks
    kept: dict[str, Kept] = field(default_factory=dict)
    now: Callable[[], float] = time.time
    waiting: set[str] = field(default_factory=set)  # settings that were reset, and are at the next start
    changing: trio.Lock = field(default_factory=trio.Lock)

    def __post_init__(self) -> None:
        self.config = self.started

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
    messages.GetSettings: configuration.get_settings,
    messages.ChangeSettings: configuration.change_settings,
    messages.ResetSettings: configuration.reset_settings,
    messages.TellStory: stories.tell_story,
    messages.Examine: examination.examine,
}
