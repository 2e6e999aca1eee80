"""Bytes of deleted objects stay while a backup copies them; for a time only, whoever asked may be gone."""

from typing import TYPE_CHECKING

import trio

from euca_box.messages import walrus as messages
from euca_box.messages.base import Call, Done
from euca_box.model.errors import InvalidParameterValue

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus

LONGEST_SECONDS = 900.0
LOOK_SECONDS = 1.0


async def hold_removals(walrus: "Walrus", call: Call, op: messages.HoldRemovals) -> Done:
    if not 0 <= op.hold_seconds <= LONGEST_SECONDS:
        raise InvalidParameterValue(f"Removals are held for 0 to {LONGEST_SECONDS:g} seconds.")
    walrus.held_until = trio.current_time() + op.hold_seconds if op.hold_seconds else None
    walrus.vault.hold_removals(walrus.held_until is not None)
    return Done()


async def let_go(walrus: "Walrus") -> None:
    while True:
        if walrus.held_until is not None and trio.current_time() > walrus.held_until:
            walrus.held_until = None
            walrus.vault.hold_removals(False)
        await trio.sleep(LOOK_SECONDS)
