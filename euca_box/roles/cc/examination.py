"""What the cluster controller finds wrong with its nodes."""

from typing import TYPE_CHECKING

from euca_box.model.findings import Finding, fail, ok, warn

if TYPE_CHECKING:
    from euca_box.roles.cc.role import Cc


async def examine(cc: "Cc") -> list[Finding]:
    if not cc.nodes:
        return [
            warn("nodes", f"{cc.address} has no node", "euca-box token create --role nc, on the first host.")
        ]
    silent = [node for node in cc.nodes.values() if not node.up and not node.kept.asleep]
    found = [
        fail("nodes", f"{n.address} does not answer: {n.detail}", f"euca-box why {n.address}") for n in silent
    ]
    return found or [ok("nodes", f"all nodes of {cc.address} answer")]
