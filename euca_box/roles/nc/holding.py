"""A guest that stands still for a moment, so that all its volumes are taken as they are at one time.

Nobody may forget it: it goes on when it is let go, after its time, and after a restart of this process
(health.py lets every guest go on that nobody holds).
"""

import logging
from typing import TYPE_CHECKING

import trio

from euca_box.kvm.hypervisor import KvmError
from euca_box.messages import nc as messages
from euca_box.messages.base import Call, Done
from euca_box.model.ec2_errors import IncorrectInstanceState
from euca_box.model.errors import Unavailable
from euca_box.observe.failpoints import fp

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc

log = logging.getLogger(__name__)

HOLD_SECONDS = 10.0


async def hold_instance(nc: "Nc", call: Call, op: messages.NcHoldInstance) -> Done:
    if not op.hold:
        await _let_go(nc, op.instance_id)
        return Done()
    if op.instance_id not in nc.running:
        raise IncorrectInstanceState(f"The instance '{op.instance_id}' does not run.")
    until = nc.holds[op.instance_id] = nc.now() + HOLD_SECONDS
    assert nc.tasks is not None
    nc.tasks.start_soon(_let_go_later, nc, op.instance_id, until)
    try:
        await nc.hypervisor.suspend(op.instance_id)
    except KvmError as error:
        nc.holds.pop(op.instance_id, None)
        log.warning("%s does not stand still: %s", op.instance_id, error)
        raise Unavailable(f"The instance '{op.instance_id}' cannot be made to stand still.") from error
    fp("nc.hold.after-suspend")
    return Done()


async def _let_go_later(nc: "Nc", instance_id: str, until: float) -> None:
    await trio.sleep(HOLD_SECONDS)
    if nc.holds.get(instance_id) == until:
        log.warning("%s was held for too long; it goes on", instance_id)
        await _let_go(nc, instance_id)


async def _let_go(nc: "Nc", instance_id: str) -> None:
    if nc.holds.pop(instance_id, None) is None:
        return
    try:
        await nc.hypervisor.resume(instance_id)
    except KvmError as error:
        log.warning("%s does not go on: %s", instance_id, error)  # looked after with all others
