"""The way of a packet to an instance, as far as the cluster knows it, and then through its node."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from euca_box.messages.base import Call
from euca_box.messages.cc import CcTraceNetwork, Traced
from euca_box.messages.nc import NcTraceNetwork
from euca_box.model.errors import EucaError
from euca_box.model.traces import BAD, GOOD, Step

if TYPE_CHECKING:
    from euca_box.roles.cc.nodes import NodeView
    from euca_box.roles.cc.role import Cc, Placed


async def trace_network(cc: "Cc", call: Call, op: CcTraceNetwork) -> Traced:
    steps: list[Step] = []
    nodes = list(cc.nodes.values())
    if op.instance_id is not None:
        placed = cc.placed.get(op.instance_id)
        if placed is None or placed.gone_at is not None:
            return Traced((_step(cc, f"{cc.settings.zone} has the instance", False, "", "euca-box status"),))
        nodes = [cc.nodes[placed.placement.node]] if placed.placement.node in cc.nodes else []
        steps += _placed(cc, placed, nodes)
    for node in nodes:
        steps.append(_step(cc, f"{node.address} answers", node.up, node.detail, "euca-box status"))
        if node.up:
            steps += await _through(cc, node, op.instance_id, call)
    return Traced(tuple(steps))


def _placed(cc: "Cc", placed: "Placed", nodes: list["NodeView"]) -> Iterator[Step]:
    where = placed.placement
    yield _step(cc, f"it was placed on {where.node}", bool(nodes), where.private_ip, "euca-box status")
    wanted = not (placed.ending or placed.stopping or placed.stopped)
    yield _step(
        cc, "it shall run", wanted, "", f"aws ec2 start-instances --instance-ids {placed.spec.instance_id}"
    )
    for node in nodes:
        current = node.groups_version >= cc.groups_version
        yield _step(cc, f"{node.address} has the newest rules of groups", current, "", "euca-box status")
        seen = node.reports.get(placed.spec.instance_id)
        agrees = seen is not None and seen.public_ip == where.public_ip
        yield _step(cc, f"{node.address} has its public address", agrees, where.public_ip or "none", "")


async def _through(cc: "Cc", node: "NodeView", instance_id: str | None, call: Call) -> tuple[Step, ...]:
    try:
        return (await cc.bus.ask(node.address, NcTraceNetwork(instance_id), call)).steps
    except EucaError as error:
        return (_step(cc, f"{node.address} can be looked at", False, error.message, "euca-box status"),)


def _step(cc: "Cc", what: str, good: bool, detail: str, command: str) -> Step:
    return Step(cc.address, what, GOOD if good else BAD, detail, "" if good else command)
