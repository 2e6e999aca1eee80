"""Messages and their JSON."""

from dataclasses import dataclass

from euca_box.messages import base
from euca_box.messages.base import Call, system_call


@dataclass(frozen=True)
class Counted:
    n: int
    data: bytes = b"\x00\xff"


def test_every_message_survives_json():
    call = Call(system_call("r").principal, "r-1", "op", "10.0.0.1")
    assert base.decode(base.encode(call), Call) == call
    assert base.decode(base.encode(Counted(3)), Counted) == Counted(3)


def test_fields_of_a_newer_sender_are_ignored():
    assert base.decode('{"n": 1, "data": "", "new": true}', Counted) == Counted(1, b"")
