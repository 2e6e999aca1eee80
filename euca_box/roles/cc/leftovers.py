"""What the zone's nodes found that belonged to no instance."""

from typing import TYPE_CHECKING

from euca_box.messages import cc as messages
from euca_box.messages.base import Call
from euca_box.messages.nc import NcDescribeLeftovers

if TYPE_CHECKING:
    from euca_box.roles.cc.role import Cc


async def describe_leftovers(cc: "Cc", call: Call, op: messages.CcDescribeLeftovers) -> messages.Leftovers:
    found: list[messages.Leftover] = []
    for node in [node for node in cc.nodes.values() if node.up]:
        found += (await cc.bus.ask(node.address, NcDescribeLeftovers(), call)).found
    return messages.Leftovers(tuple(sorted(found, key=lambda leftover: -leftover.at)))
