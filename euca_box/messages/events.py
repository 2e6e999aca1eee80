"""What was asked of the cloud, by whom, and what came of it."""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op
from euca_box.messages.moments import Moment


@dataclass(frozen=True)
class Event:
    """`parameters` is JSON without secrets; `error_code` is empty where it was done."""

    event_id: str
    at: Moment
    account: str
    who: str
    action: str
    parameters: str
    source_ip: str
    user_agent: str
    access_key_id: str
    request_id: str
    error_code: str
    error_message: str


@dataclass(frozen=True)
class Events:
    """Newest first. `next_token` asks for those before."""

    events: tuple[Event, ...]
    next_token: str | None = None


@dataclass(frozen=True)
class NoteEvent(Op[Done], role="clc"):
    """What the console did by itself as the caller: with objects, which pass no bus."""

    action: str
    resource: str
    error_code: str = ""
    error_message: str = ""


@dataclass(frozen=True)
class ListEvents(Op[Events], role="clc"):
    """Those of the caller's account; of all accounts for an administrator who asks for `everybody`.

    `action` and `who` are parts of the texts; `failed`: only what was refused.
    """

    everybody: bool = False
    action: str = ""
    who: str = ""
    failed: bool = False
    limit: int = 50
    next_token: str | None = None
