"""What the CC does by itself: asks its nodes, has them run and end what it was told."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import Call, system_call
from euca_box.messages.instance_spec import InstanceReport
from euca_box.messages.nc import (
    NcDescribeInstances,
    NcDescribeResource,
    NcReleaseInstance,
    NcRunInstance,
    NcTerminateInstance,
)
from euca_box.model.errors import EucaError, Unavailable
from euca_box.model.instances import NodeState
from euca_box.model.nodes import NodeCondition
from euca_box.roles.cc import addresses, elastic, groups, nodes, power, remotes, resources, stops
from euca_box.store.store import Statement
from euca_box.tasks import supervise

if TYPE_CHECKING:
    from euca_box.roles.cc.nodes import NodeView
    from euca_box.roles.cc.role import Cc, Placed

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
RETRY_SECONDS = 1.0
ANSWER_SECONDS = 10.0  # beyond the poll; the instances of a node that took longer are impaired
GONE_SECONDS = 600.0  # how long the end of an instance is reported


async def attend(cc: "Cc", node: "NodeView") -> None:
    """All that is done for one node, until it leaves the zone."""
    with node.scope:
        async with trio.open_nursery() as nursery:
            for name, loop in NODE_LOOPS.items():
                nursery.start_soon(supervise, f"cc {name} {node.address}", partial(loop, cc, node))


async def watch_node(cc: "Cc", node: "NodeView") -> None:
    """Hold a poll open at the node; one that does not answer is DOWN and offers nothing."""
    after, patience = -1, cc.settings.poll_seconds + ANSWER_SECONDS
    while True:
        await power.until_wanted(node)
        try:
            with trio.move_on_after(patience) as waiting:
                after = await _round(cc, node, after)
            if waiting.cancelled_caught:
                raise Unavailable(f"{node.address} has not answered for {patience:g} s.")
        except EucaError as error:
            after = -1
            _lost(cc, node, error.message)
            await trio.sleep(RETRY_SECONDS)


async def refresh_resources(cc: "Cc", node: "NodeView") -> None:
    """What the node offers may change: a disk fills, a setting moves."""
    while True:
        if node.up:
            try:
                await _learn_resources(cc, node)
            except EucaError as error:
                log.warning("%s did not say what it offers: %s", node.address, error.message)
        await trio.sleep(cc.settings.poll_seconds * 5)


async def run_and_end(cc: "Cc", node: "NodeView") -> None:
    """What is placed on the node is told to it until it reports it, or that it is gone. Each node has a loop
    of its own: one that hangs keeps no other from its instances."""
    while True:
        for instance_id in sorted(cc.residents.get(node.address, ())) if node.up else ():
            placed = cc.placed.get(instance_id)
            if placed is None or placed.gone_at is not None or placed.placement.node != node.address:
                continue  # it changed while another one was told
            try:
                await _tell(cc, node, placed)
            except EucaError as error:
                log.warning("%s: %s", instance_id, error.message)
        await node.errands.wait(LOOK_SECONDS)


async def mind_absent(cc: "Cc") -> None:
    """What was placed on a node that left the zone, or that slept and does not wake."""
    while True:
        for address, instance_ids in list(cc.residents.items()):
            node = cc.nodes.get(address)
            if node is not None and node.up:
                continue
            is_lost = node is None or node.state is NodeCondition.DOWN
            for instance_id in sorted(instance_ids):
                placed = cc.placed[instance_id]
                if placed.ending and (node is None or placed.unheard):
                    await _gone(cc, instance_id)
                elif placed.unheard and is_lost and not placed.ending:
                    await _place_anew(cc, placed)
        await cc.bell.wait(LOOK_SECONDS)


async def lead_addresses(cc: "Cc") -> None:
    """Nodes that were down, or a crash of ours, left instances with another address than they should have."""
    while True:
        await elastic.settle(cc)
        await trio.sleep(LOOK_SECONDS)


async def tell_network(cc: "Cc") -> None:
    """Nodes know where instances on other nodes are, soon after that changes."""
    while True:
        news, began = cc.news, trio.current_time()
        await remotes.tell_nodes(cc)
        await trio.sleep(trio.current_time() - began)  # many changes at once are told at once
        with trio.move_on_after(LOOK_SECONDS):
            await news.wait()


async def sweep(cc: "Cc") -> None:
    """Forget instances some time after their end."""
    while True:
        for instance_id, placed in list(cc.placed.items()):
            if placed.gone_at is not None and cc.now() - placed.gone_at > GONE_SECONDS:
                await cc.store.write(Statement("DELETE FROM instance WHERE id = ?", (instance_id,)))
                cc.forget(instance_id)
        await cc.results.forget_old()
        await trio.sleep(LOOK_SECONDS * 6)


async def _place_anew(cc: "Cc", placed: "Placed") -> None:
    """The node that it was placed on slept and did not wake: another one, if there is one."""
    async with cc.placing:
        now = cc.placed[placed.spec.instance_id]
        node = resources.choose_node(cc, now.spec.vm_type) if now.unheard and not now.ending else None
        if node is None:
            return
        log.info("%s goes to %s instead", now.spec.instance_id, node.address)
        placement = replace(now.placement, node=node.address)
        await cc.mark(now.spec.instance_id, placement=placement, unheard=not node.up)
    node.errands.ring()
    node.bell.ring()


async def _round(cc: "Cc", node: "NodeView", after: int) -> int:
    """One poll, and what the node should know; the version to ask after next. Raises Unavailable."""
    if not node.up:
        await _learn_resources(cc, node)
        await groups.send(cc, node)
    op = NcDescribeInstances(after, cc.settings.poll_seconds)
    reports = await cc.bus.ask(node.address, op, system_call("poll"))
    await _take(cc, node, {r.instance_id: r for r in reports.instances})
    if node.groups_version < cc.groups_version:
        await groups.send(cc, node)
    return reports.version


async def _learn_resources(cc: "Cc", node: "NodeView") -> None:
    found = await cc.bus.ask(node.address, NcDescribeResource(), system_call("poll"))
    await nodes.remember(cc, node, resources=found, asleep=False)


def _lost(cc: "Cc", node: "NodeView", why: str) -> None:
    if node.up:
        log.warning("%s does not answer: %s", node.address, why)
    news = node.up or node.detail != why
    node.up, node.detail, node.idle_since = False, why, None
    node.groups_version = node.network_version = -1
    if news:
        cc.changed()


async def _tell(cc: "Cc", node: "NodeView", placed: "Placed") -> None:
    instance_id = placed.spec.instance_id
    seen = node.reports.get(instance_id)
    if seen is not None and _is_of_before(placed, seen):
        seen = None
    if placed.ending:
        if seen is not None and seen.gone:
            await _gone(cc, instance_id)
        elif seen is None or seen.state is not NodeState.TEARDOWN:
            await cc.bus.ask(
                node.address,
                NcTerminateInstance(instance_id),
                _call("terminate", instance_id, placed.spec.request_id),
            )
            if seen is None and not await _is_known(cc, node, instance_id):
                await _gone(cc, instance_id)  # it was ended before its node had heard of it
    elif seen is None and placed.started:
        log.warning("%s no longer knows %s; it is ended", node.address, instance_id)
        await _gone(cc, instance_id)
    elif seen is None:
        if placed.unheard:
            await cc.mark(instance_id, unheard=False)
        await cc.bus.ask(
            node.address,
            NcRunInstance(placed.spec, placed.placement),
            _call("run", instance_id, placed.spec.request_id, placed.spec.starts),
        )
    elif not seen.gone and seen.generation < placed.spec.generation:
        await stops.tell_wish(cc, node, placed)


def _is_of_before(placed: "Placed", seen: InstanceReport) -> bool:
    """The end of what was here before it went to another node; it comes back with a later start."""
    return seen.gone and seen.starts < placed.spec.starts


async def _is_known(cc: "Cc", node: "NodeView", instance_id: str) -> bool:
    """Whether the node has it. To be asked after NcTerminateInstance: a later NcRunInstance is refused."""
    reports = await cc.bus.ask(node.address, NcDescribeInstances(), system_call("poll"))
    return any(report.instance_id == instance_id for report in reports.instances)


async def _take(cc: "Cc", node: "NodeView", reports: dict[str, InstanceReport]) -> None:
    came_up, before = not node.up, node.reports
    changed = [i for i in reports.keys() | before.keys() if reports.get(i) != before.get(i)]
    node.up, node.detail, node.reports = True, node.resources.detail if node.resources else "", reports
    node.waking_since = None
    for instance_id, report in reports.items():
        placed = cc.placed.get(instance_id)
        if placed is not None and placed.gone_at is None and placed.placement.node != node.address:
            if not report.gone:  # it was started elsewhere while this node was lost
                op = NcReleaseInstance(instance_id, placed.spec.starts)
                await cc.bus.ask(node.address, op, _call("release", instance_id))
            continue
        if placed is not None and report.state is NodeState.EXTANT and not placed.started:
            await cc.mark(instance_id, started=True)
        if placed is not None and not placed.ending:
            await stops.take_stopped(cc, placed, report)
        if placed is not None and _is_of_before(placed, report):
            continue
        if report.gone and placed is not None and placed.gone_at is None:
            await _gone(cc, instance_id)
        elif placed is None and not report.gone and report.state is not NodeState.TEARDOWN:
            # A node that came back with something nobody here knows: it was ended meanwhile.
            log.warning("%s runs %s, which this cluster does not know; ending it", node.address, instance_id)
            await cc.bus.ask(node.address, NcTerminateInstance(instance_id), _call("orphan", instance_id))
    if came_up or changed:
        cc.changed(*sorted(changed))
        node.errands.ring()


async def _gone(cc: "Cc", instance_id: str) -> None:
    """Nothing of it is left on its node: its addresses are free, the id never comes back."""
    tombstone = Statement(
        "INSERT INTO tombstone (id, at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (instance_id, cc.now())
    )
    await cc.mark(instance_id, *addresses.release(cc, instance_id), tombstone, ending=True, gone_at=cc.now())
    cc.tombstones.add(instance_id)


def _call(step: str, instance_id: str, request_id: str = "", starts: int = 0) -> Call:
    op_id = f"{step}:{instance_id}:{starts}" if starts else f"{step}:{instance_id}"
    return system_call(request_id or f"{step}-{instance_id}", op_id=op_id)


NODE_LOOPS: dict[str, Callable[["Cc", "NodeView"], Awaitable[None]]] = {
    "watch": watch_node,
    "resources": refresh_resources,
    "run and end": run_and_end,
    "wake": power.wake_node,
}
LOOPS: dict[str, Callable[["Cc"], Awaitable[None]]] = {
    "mind absent": mind_absent,
    "sweep": sweep,
    "lead addresses": lead_addresses,
    "tell network": tell_network,
    "save power": power.save_power,
}
