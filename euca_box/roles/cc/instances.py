"""Instances of the zone: placed once, ended once, reported as their nodes report them."""

import contextlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from euca_box.messages import cc as messages
from euca_box.messages.base import Call, Done
from euca_box.messages.instance_spec import InstanceReport, Placement
from euca_box.messages.nc import (
    NcGetConsoleOutput,
    NcGetConsoleScreenshot,
    NcGetUsage,
    NcHoldInstance,
    NcListUsage,
    NcRebootInstance,
    NcSetCredentials,
)
from euca_box.model.ec2_errors import InsufficientInstanceCapacity, InvalidInstanceIDNotFound
from euca_box.model.errors import EucaError, IncorrectState
from euca_box.observe.failpoints import fp
from euca_box.roles.cc import addresses, resources, stops
from euca_box.store.store import Statement

if TYPE_CHECKING:
    from euca_box.roles.cc.role import Cc, Placed


async def run_instance(cc: "Cc", call: Call, op: messages.CcRunInstance) -> Placement:
    """Choose a node and addresses and commit them; the loops have the node run it."""
    instance_id = op.spec.instance_id
    if instance_id in cc.tombstones:
        raise IncorrectState(f"{instance_id} was terminated.")
    async with cc.placing:
        if (known := cc.placed.get(instance_id)) is not None:
            return known.placement
        node = resources.choose_node(cc, op.spec.vm_type)
        if node is None:
            raise InsufficientInstanceCapacity(
                f"No node of {cc.settings.zone} has room for {op.spec.vm_type.name}."
            )
        place = await addresses.choose_place(cc, op.spec)
        public_ip = await addresses.choose_public(cc) if op.spec.wants_public_ip else None
        placement = Placement(node.address, place.private_ip, public_ip, place.network, place.tag, place.mac)
        placed = _placed(op, placement, unheard=not node.up)
        await cc.keep(placed, *addresses.claim(instance_id, place, public_ip))
    fp("cc.run.after-commit")
    node.errands.ring()
    node.bell.ring()
    return placement


async def terminate_instance(cc: "Cc", call: Call, op: messages.CcTerminateInstance) -> Done:
    """Remember for ever that this id has ended, so that a late CcRunInstance cannot bring it back."""
    tombstone = Statement(
        "INSERT INTO tombstone (id, at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (op.instance_id, cc.now())
    )
    async with cc.placing:
        placed = cc.placed.get(op.instance_id)
        if placed is not None and not placed.ending:
            spec = replace(placed.spec, request_id=call.request_id)
            await cc.mark(op.instance_id, tombstone, ending=True, spec=spec)
        elif placed is None:
            await cc.store.write(tombstone)
        cc.tombstones.add(op.instance_id)
    if placed is not None:
        cc.ring(placed.placement.node)
    return Done()


async def reboot_instance(cc: "Cc", call: Call, op: messages.CcRebootInstance) -> Done:
    placed = alive(cc, op.instance_id)
    return await cc.bus.ask(placed.placement.node, NcRebootInstance(op.instance_id, op.wait), call)


async def set_credentials(cc: "Cc", call: Call, op: messages.CcSetCredentials) -> Done:
    placed = alive(cc, op.instance_id)
    return await cc.bus.ask(placed.placement.node, NcSetCredentials(op.instance_id, op.credentials), call)


async def hold_instance(cc: "Cc", call: Call, op: messages.CcHoldInstance) -> Done:
    placed = alive(cc, op.instance_id)
    return await cc.bus.ask(placed.placement.node, NcHoldInstance(op.instance_id, op.hold), call)


async def get_console_output(cc: "Cc", call: Call, op: messages.CcGetConsoleOutput) -> messages.ConsoleOutput:
    placed = alive(cc, op.instance_id)
    return await cc.bus.ask(placed.placement.node, NcGetConsoleOutput(op.instance_id), call)


async def get_console_screenshot(
    cc: "Cc", call: Call, op: messages.CcGetConsoleScreenshot
) -> messages.Screenshot:
    placed = alive(cc, op.instance_id)
    return await cc.bus.ask(placed.placement.node, NcGetConsoleScreenshot(op.instance_id, op.wake_up), call)


async def get_usage(cc: "Cc", call: Call, op: messages.CcGetUsage) -> messages.Usage:
    placed = alive(cc, op.instance_id)
    return await cc.bus.ask(placed.placement.node, NcGetUsage(op.instance_id, op.after), call)


async def list_usage(cc: "Cc", call: Call, op: messages.CcListUsage) -> messages.Usages:
    found: list[messages.InstanceUsage] = []
    for node in [node for node in cc.nodes.values() if node.up]:
        with contextlib.suppress(EucaError):
            found += (await cc.bus.ask(node.address, NcListUsage(), call)).instances
    return messages.Usages(tuple(found))


async def describe_instances(cc: "Cc", call: Call, op: messages.CcDescribeInstances) -> messages.Reports:
    """At once when something changed after the version asked for, else when something does.

    A version that this process did not tell is of one before it: then all are told.
    """
    is_mine = cc.first_version <= op.after <= cc.version
    if op.after == cc.version:
        with trio.move_on_after(op.wait_seconds):
            await cc.news.wait()
    found: Iterable[Placed] = cc.placed.values() if not op.instance_ids else _named(cc, op.instance_ids)
    if is_mine and not op.instance_ids:
        found = _changed_after(cc, op.after)
    return messages.Reports(
        version=cc.version,
        instances=tuple(_report(cc, placed) for placed in found),
        complete=all(node.up for node in cc.nodes.values()),
        partial=is_mine or bool(op.instance_ids),
    )


def _named(cc: "Cc", instance_ids: Sequence[str]) -> "list[Placed]":
    return [cc.placed[i] for i in instance_ids if i in cc.placed]


def _changed_after(cc: "Cc", version: int) -> "list[Placed]":
    changed = itertools.takewhile(lambda i: cc.changed_at[i] > version, reversed(cc.changed_at))
    return _named(cc, list(changed)[::-1])


def _placed(op: messages.CcRunInstance, placement: Placement, *, unheard: bool) -> "Placed":
    from euca_box.roles.cc.role import Placed

    return Placed(op.spec, placement, unheard=unheard)


def alive(cc: "Cc", instance_id: str) -> "Placed":
    placed = cc.placed.get(instance_id)
    if placed is None or placed.gone_at is not None:
        raise InvalidInstanceIDNotFound(instance_id)
    return placed


def _report(cc: "Cc", placed: "Placed") -> InstanceReport:
    instance_id, where = placed.spec.instance_id, placed.placement
    node = cc.nodes.get(where.node)
    seen = node.reports.get(instance_id) if node else None
    state = stops.state_of(placed, seen)
    return InstanceReport(
        instance_id=instance_id,
        state=state,
        node=where.node,
        private_ip=where.private_ip or (seen.private_ip if seen else None),
        public_ip=where.public_ip,
        reason=seen.reason if seen else None,
        gone=placed.gone_at is not None,
        step=seen.step if seen else f"waits for {where.node}",
        generation=stops.generation_of(placed, seen),
        starts=seen.starts if seen else 0,
        health=seen.health if seen else "",
        volumes=seen.volumes if seen else (),
        mac=where.mac,
    )
