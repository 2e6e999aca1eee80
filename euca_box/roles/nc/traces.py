"""The way of a packet through this node."""

from typing import TYPE_CHECKING

from euca_box.messages.base import Call
from euca_box.messages.cc import Traced
from euca_box.messages.nc import NcTraceNetwork
from euca_box.model.errors import Unavailable
from euca_box.model.traces import BAD, GOOD, Step
from euca_box.net.network import NetError

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc


async def trace_network(nc: "Nc", call: Call, op: NcTraceNetwork) -> Traced:
    steps = []
    if op.instance_id is not None:
        steps.append(_domain(nc, op.instance_id))
    try:
        steps += await nc.network.trace(op.instance_id)
    except NetError as error:
        raise Unavailable(f"The network of {nc.address} cannot be looked at: {error}") from None
    return Traced(tuple(Step(nc.address, s.what, s.state, s.detail, s.command) for s in steps))


def _domain(nc: "Nc", instance_id: str) -> Step:
    runs = instance_id in nc.running
    command = "" if runs else f"euca-box console {instance_id}"
    detail = nc.health.get(instance_id, "")
    return Step(nc.address, "the guest runs", GOOD if runs else BAD, detail, command)
