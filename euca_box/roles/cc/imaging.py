"""Images and bundles of instances: passed on to the node that has the disk."""

from typing import TYPE_CHECKING

from euca_box.messages import cc as messages
from euca_box.messages.base import Call, Done
from euca_box.messages.bundling import Bundling
from euca_box.messages.nc import NcBundleInstance, NcCancelBundleTask, NcCreateImage, NcSendManifest
from euca_box.messages.walrus import Caching
from euca_box.roles.cc.instances import alive

if TYPE_CHECKING:
    from euca_box.roles.cc.role import Cc


async def create_image(cc: "Cc", call: Call, op: messages.CcCreateImage) -> Caching:
    node = alive(cc, op.instance_id).placement.node
    wish = NcCreateImage(op.instance_id, op.image_id, op.no_reboot, op.wait_seconds, op.ticket)
    return await cc.bus.ask(node, wish, call)


async def bundle_instance(cc: "Cc", call: Call, op: messages.CcBundleInstance) -> Bundling:
    node = alive(cc, op.order.instance_id).placement.node
    return await cc.bus.ask(node, NcBundleInstance(op.order, op.wait_seconds), call)


async def send_manifest(cc: "Cc", call: Call, op: messages.CcSendManifest) -> Done:
    node = alive(cc, op.order.instance_id).placement.node
    return await cc.bus.ask(node, NcSendManifest(op.order, op.text, op.signature), call)


async def cancel_bundle_task(cc: "Cc", call: Call, op: messages.CcCancelBundleTask) -> Done:
    """Of an instance that has ended nothing is left to cancel."""
    placed = cc.placed.get(op.instance_id)
    if placed is None:
        return Done()
    return await cc.bus.ask(placed.placement.node, NcCancelBundleTask(op.bundle_id), call)
