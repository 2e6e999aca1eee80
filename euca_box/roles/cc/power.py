"""Nodes that nobody needs sleep, and are woken for an instance (Eucalyptus 1.6.2, policy POWERSAVE).

That a node sleeps is committed before it is sent to sleep: whatever dies, it is known that it can be woken.
What was placed on a node that sleeps is the reason to wake it, so that a crash forgets no wake either.
"""

import logging
from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import system_call
from euca_box.messages.nc import NcPowerDown
from euca_box.model.errors import EucaError
from euca_box.model.nodes import NodeCondition, NodeWish
from euca_box.net.network import NetError
from euca_box.roles.cc import nodes, resources

if TYPE_CHECKING:
    from euca_box.roles.cc.nodes import NodeView
    from euca_box.roles.cc.role import Cc

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
CALL_SECONDS = 10.0  # between two magic packets
PROBE_SECONDS = 60.0  # somebody may have pressed its button


async def until_wanted(node: "NodeView") -> None:
    """Return at once unless it sleeps; then when it is wanted, or when it is time to look all the same."""
    for _ in range(int(PROBE_SECONDS)):
        if node.state is not NodeCondition.ASLEEP:
            return
        await trio.sleep(1.0)


async def save_power(cc: "Cc") -> None:
    """Send to sleep what has had no instance for as long as the setting says."""
    while True:
        await trio.sleep(LOOK_SECONDS)
        if cc.settings.scheduler != "POWERSAVE":
            continue
        for node in list(cc.nodes.values()):
            if not _is_idle(cc, node):
                node.idle_since = None
                continue
            node.idle_since = trio.current_time() if node.idle_since is None else node.idle_since
            if trio.current_time() - node.idle_since > cc.settings.power_idle_seconds:
                await _send_to_sleep(cc, node)


async def wake_node(cc: "Cc", node: "NodeView") -> None:
    """Call one that sleeps as long as something waits for it; DOWN when it does not wake in time."""
    while True:
        if node.state in (NodeCondition.ASLEEP, NodeCondition.WAKING) and _instances(cc, node):
            await _call(cc, node)
            await node.bell.wait(CALL_SECONDS)
        else:
            await node.bell.wait(LOOK_SECONDS)


async def _call(cc: "Cc", node: "NodeView") -> None:
    if node.waking_since is None:
        log.info("%s is woken", node.address)
        node.waking_since = trio.current_time()
        cc.changed()
    if trio.current_time() - node.waking_since > cc.settings.power_wake_seconds:
        node.waking_since = None
        node.detail = f"It was called for {cc.settings.power_wake_seconds:g} s and did not wake."
        log.error("%s does not wake: %s", node.address, node.detail)
        await nodes.remember(cc, node, asleep=False)
        cc.changed()
        return
    try:
        mac = node.resources.wake_mac if node.resources is not None else ""
        await cc.power.wake(node.address.partition("@")[2], mac)
    except NetError as error:
        log.warning("%s cannot be woken: %s", node.address, error)


async def _send_to_sleep(cc: "Cc", node: "NodeView") -> None:
    async with cc.placing:  # so that nothing is placed on it between the look and the commit
        if not _is_idle(cc, node):
            return
        await nodes.remember(cc, node, asleep=True)
        node.up, node.idle_since, node.detail = False, None, "It sleeps until it is needed."
        cc.changed()
    log.info("%s has no instance and is sent to sleep", node.address)
    try:
        if cc.power.can_switch_off:
            await cc.power.switch_off(node.address.partition("@")[2])
        else:
            await cc.bus.ask(node.address, NcPowerDown(), system_call("sleep"))
    except (EucaError, NetError) as error:
        log.warning("%s cannot be sent to sleep: %s", node.address, error)
        await nodes.remember(cc, node, asleep=False)
        cc.changed()


def _is_idle(cc: "Cc", node: "NodeView") -> bool:
    """It is up, may be used, can be sent to sleep, and has nothing, not even a stopped instance's disk."""
    can_sleep = node.resources is not None and (node.resources.sleeps or cc.power.can_switch_off)
    wanted = node.kept.wish.wish is NodeWish.ENABLED
    empty = not _instances(cc, node) and all(report.gone for report in node.reports.values())
    return node.up and can_sleep and wanted and empty


def _instances(cc: "Cc", node: "NodeView") -> int:
    return cc.promised.get(node.address, resources.NOTHING).instances
