"""The way of a packet to an instance, for the operator: from what its user asked for down to the kernel."""

from typing import TYPE_CHECKING

from euca_box.messages.admin import TraceNetwork
from euca_box.messages.base import Call
from euca_box.messages.cc import CcTraceNetwork, Traced
from euca_box.model import ids
from euca_box.model.ec2_errors import InvalidInstanceIDNotFound
from euca_box.model.errors import EucaError
from euca_box.model.instances import InstanceState
from euca_box.model.traces import BAD, GOOD, Step
from euca_box.roles.clc.known_hosts import zone_names

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


async def trace_network(clc: "Clc", call: Call, op: TraceNetwork) -> Traced:
    """Raises InvalidInstanceID.NotFound."""
    steps: list[Step] = []
    record = None
    if op.instance_id is not None:
        record = clc.instances.find(ids.checked(op.instance_id, "i"))
        if record is None:
            raise InvalidInstanceIDNotFound(op.instance_id)
        runs = record.state is InstanceState.RUNNING
        command = "" if runs else f"aws ec2 describe-instances --instance-ids {record.instance_id}"
        state = GOOD if runs else BAD
        steps.append(Step("clc", "the instance is running", state, record.state.value, command))
    for zone in zone_names(clc) if record is None else [record.zone]:
        cc = clc.cc_of(zone)
        try:
            steps += (await clc.bus.ask(cc, CcTraceNetwork(op.instance_id), call)).steps
        except EucaError as error:
            steps.append(Step("clc", f"{cc} answers", BAD, error.message, "euca-box status"))
    return Traced(tuple(steps))
