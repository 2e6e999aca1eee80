"""What a message is: one frozen dataclass for each operation, one for each reply, and their JSON.

    @dataclass(frozen=True)
    class NcRunInstance(Op[Done], role="nc", timeout=60, mutates=True):
        instance_id: str

An operation carries its own deadline. One that mutates may be asked again with the same `op_id`:
the receiver keeps the first result and repeats it (roles on other hosts lose replies, not promises).
"""

import base64
import functools
import json
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar, get_args

import cattrs
from cattrs.gen import make_dict_structure_fn

from euca_box.model.accounts import Principal

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, and as part of which request. Travels with every message.

    `op_id` names one wish: a repeated message with the same op_id is answered with the first result.
    """

    principal: Principal
    request_id: str
    op_id: str | None = None
    source_ip: str = ""
    access_key_id: str = ""  # that signed; empty for the console and for the cloud itself
    delegate: str = ""  # the account that an administrator's call of IAM is about, if not his own
    secure: bool = False  # it came over TLS
    user_agent: str = ""
    host: str = ""  # the id of the host that sent it; empty within one host. The receiver sets it

    @property
    def account(self) -> str:
        return self.principal.account

    @property
    def admin(self) -> bool:
        return self.principal.admin


SYSTEM = Principal(
    account="000000000000", user="system", canonical_id="0" * 64, display_name="eucalyptus", admin=True
)


def system_call(request_id: str, op_id: str | None = None) -> Call:
    """A call of the cloud itself: the loops that finish what a user asked for."""
    return Call(SYSTEM, request_id, op_id)


class Op(Generic[R]):
    """Base of all operations; R is the type of the reply."""

    role: ClassVar[str] = ""
    timeout_seconds: ClassVar[float] = 30.0
    mutates: ClassVar[bool] = False

    def __init_subclass__(
        cls, role: str | None = None, timeout: float | None = None, mutates: bool | None = None
    ) -> None:
        super().__init_subclass__()
        if role is not None:
            cls.role = role
        if timeout is not None:
            cls.timeout_seconds = timeout
        if mutates is not None:
            cls.mutates = mutates


@dataclass(frozen=True, slots=True)
class Done:
    """The reply that says only that it happened."""


@functools.cache
def reply_type(op: Any) -> Any:
    """The reply type R of a concrete operation class."""
    for base in getattr(op, "__orig_bases__", ()):
        if get_args(base):
            return get_args(base)[0]
    raise TypeError(f"{op.__name__} does not say what it answers")


def encode(value: Any) -> str:
    """JSON of a message, a reply or any value of one."""
    return json.dumps(_converter().unstructure(value), separators=(",", ":"))


def decode(text: str, kind: Any) -> Any:
    """The value back. Fields this version does not know are ignored (the sender may be newer)."""
    return _converter().structure(json.loads(text), kind)


def unstructure(value: Any) -> Any:
    """What `encode` writes, before it is text."""
    return _converter().unstructure(value)


def structure(value: Any, kind: Any) -> Any:
    """As `decode`, of JSON that was read already."""
    return _converter().structure(value, kind)


@functools.cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_unstructure_hook(bytes, lambda value: base64.b64encode(value).decode())
    converter.register_structure_hook(bytes, lambda text, _: base64.b64decode(text))
    converter.register_unstructure_hook(datetime, lambda value: value.isoformat())
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    converter.register_structure_hook_factory(
        is_dataclass, lambda kind: make_dict_structure_fn(kind, converter)
    )
    return converter
