"""Stop, start again, change: wishes with a generation, so that a late message undoes no newer wish.

They are committed here and told to the node at once where it is up; the loop `run and end` repeats that
until the node reports the generation.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import cc as messages
from euca_box.messages.base import Call, Done, system_call
from euca_box.messages.instance_spec import InstanceReport, InstanceSpec, Placement, changed_spec
from euca_box.messages.nc import NcStartInstance, NcStopInstance
from euca_box.model.ec2_errors import InsufficientInstanceCapacity, InvalidInstanceIDNotFound
from euca_box.model.errors import EucaError, IncorrectState, Unavailable
from euca_box.model.instances import NodeState
from euca_box.observe.failpoints import fp
from euca_box.roles.cc import addresses, elastic, resources
from euca_box.store.store import Statement

if TYPE_CHECKING:
    from euca_box.roles.cc.nodes import NodeView
    from euca_box.roles.cc.role import Cc, Placed

log = logging.getLogger(__name__)


async def stop_instance(cc: "Cc", call: Call, op: messages.CcStopInstance) -> Done:
    async with cc.placing:
        placed = _alive(cc, op.instance_id)
        if op.generation > placed.spec.generation:
            spec = replace(placed.spec, generation=op.generation)
            await cc.mark(op.instance_id, spec=spec, stopping=True, force=op.force)
    fp("cc.stop.after-commit")
    await _tell_now(cc, op.instance_id)
    return Done()


async def start_instance(cc: "Cc", call: Call, op: messages.CcStartInstance) -> Placement:
    """Take room on the node that has its disk, or on any where no node has one, and an automatic public
    address unless it has an elastic one.

    Raises InsufficientInstanceCapacity, IncorrectState, Unavailable while the node is down.
    """
    instance_id = op.changes.instance_id
    async with cc.placing:
        placed = _alive(cc, instance_id)
        if op.changes.generation <= placed.spec.generation:
            return placed.placement
        spec = changed_spec(placed.spec, op.changes)
        if (spec.kernel_id and not spec.kernel) or (spec.ramdisk_id and not spec.ramdisk):
            raise IncorrectState(f"The kernel or ramdisk of {instance_id} is no longer there.")
        node = _node_for_start(cc, placed, spec)
        moves = node.address != placed.placement.node
        public_ip = placed.placement.public_ip
        claims: list[Statement] = []
        if public_ip is None and spec.wants_public_ip:
            public_ip = await addresses.choose_public(cc)
            claims = [addresses.claim_public(instance_id, public_ip)] if public_ip is not None else []
        placement = replace(placed.placement, node=node.address, public_ip=public_ip)
        await cc.mark(
            instance_id, *claims, spec=spec, placement=placement, stopping=False, stopped=False, force=False,
            started=placed.started and not moves, unheard=moves and not node.up,
        )  # fmt: skip
    fp("cc.start.after-commit")
    if moves:
        log.info("%s starts on %s, and no more on %s", instance_id, node.address, placed.placement.node)
        node.bell.ring()
    await _tell_now(cc, instance_id)
    return placement


def _node_for_start(cc: "Cc", placed: "Placed", spec: InstanceSpec) -> "NodeView":
    """Where an instance that shall start again does. One that was not stopped was cut off from its volumes,
    because its node is lost: it starts on another. Raises InsufficientInstanceCapacity, Unavailable."""
    instance_id, address = spec.instance_id, placed.placement.node
    node = cc.nodes.get(address)
    stays = node is not None and node.up and (placed.stopped or spec.starts == placed.spec.starts)
    if node is not None and stays and (node.takes_new or not spec.can_move):
        has_room = not placed.stopped or resources.has_room(cc, node, spec.vm_type)
        if has_room:
            return node
    if spec.can_move:
        found = resources.choose_node(cc, spec.vm_type, other_than=address)
        if found is None:
            raise InsufficientInstanceCapacity(
                f"No node of {cc.settings.zone} has room for {spec.vm_type.name}."
            )
        return found
    if node is None or not node.up:
        raise Unavailable(f"{address}, which has the disk of {instance_id}, does not answer.")
    if not placed.stopped:
        return node
    raise InsufficientInstanceCapacity(
        f"{address}, which has the disk of {instance_id}, has no room for {spec.vm_type.name}."
    )


async def modify_instance(cc: "Cc", call: Call, op: messages.CcModifyInstance) -> messages.ChangeTaken:
    async with cc.placing:
        placed = _alive(cc, op.changes.instance_id)
        if op.changes.generation > placed.spec.generation:
            await cc.mark(op.changes.instance_id, spec=changed_spec(placed.spec, op.changes))
    return messages.ChangeTaken(await _tell_now(cc, op.changes.instance_id))


async def tell_wish(cc: "Cc", node: "NodeView", placed: "Placed") -> None:
    """The newest wish, to the node. Raises EucaError."""
    spec = placed.spec
    call = system_call(spec.request_id or f"wish-{spec.instance_id}-{spec.generation}")
    if placed.stopping:
        stop = NcStopInstance(spec.instance_id, spec.generation, placed.force)
        await cc.bus.ask(node.address, stop, call)
    else:
        await cc.bus.ask(node.address, NcStartInstance(spec, placed.placement), call)


async def take_stopped(cc: "Cc", placed: "Placed", seen: InstanceReport) -> None:
    """What the node says of an instance that shall stop: when it has, capacity and address are free."""
    behind = seen.generation < placed.spec.generation
    if behind or seen.state is not NodeState.STOPPED or not placed.stopping or placed.stopped:
        return
    instance_id = placed.spec.instance_id
    async with cc.placing:
        now = cc.placed[instance_id]
        if now.spec.generation != placed.spec.generation or now.ending:
            return
        # An elastic address waits for the next start; an automatic one is anybody's.
        placement = replace(now.placement, public_ip=elastic.elastic_of(cc, instance_id))
        await cc.mark(instance_id, addresses.release_public(instance_id), placement=placement, stopped=True)
    fp("cc.stopped.after-commit")


def state_of(placed: "Placed", seen: InstanceReport | None) -> NodeState:
    """What the CLC may know: an end at once, a stop when all of it is done, a start when the node began."""
    if placed.ending or placed.gone_at is not None:
        return NodeState.TEARDOWN
    if placed.stopping:
        return NodeState.STOPPED if placed.stopped else NodeState.EXTANT
    if seen is None:
        return NodeState.EXTANT if placed.started else NodeState.PENDING
    if seen.starts < placed.spec.starts:
        return NodeState.PENDING
    return seen.state


def generation_of(placed: "Placed", seen: InstanceReport | None) -> int:
    """The newest wish that is known below; a stop is known when it is done."""
    if placed.stopped:
        return placed.spec.generation
    return seen.generation if seen is not None else 0


async def _tell_now(cc: "Cc", instance_id: str) -> bool:
    """So that the client need not wait for the loop, which repeats what fails here (False)."""
    placed = cc.placed[instance_id]
    node = cc.nodes.get(placed.placement.node)
    cc.ring(placed.placement.node)
    if node is None or not node.up or not placed.started:
        return False
    try:
        await tell_wish(cc, node, placed)
    except EucaError as error:
        log.warning("%s: %s", instance_id, error.message)
        return False
    return True


def _alive(cc: "Cc", instance_id: str) -> "Placed":
    placed = cc.placed.get(instance_id)
    if placed is None or placed.ending or placed.gone_at is not None:
        raise InvalidInstanceIDNotFound(instance_id)
    return placed
