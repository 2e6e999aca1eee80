"""What the cluster controller knows of an instance or a node."""

from typing import TYPE_CHECKING

from euca_box.model.stories import Standing, Story

if TYPE_CHECKING:
    from euca_box.roles.cc.nodes import NodeView
    from euca_box.roles.cc.role import Cc, Placed


async def tell(cc: "Cc", thing: str) -> Story:
    found = []
    if (placed := cc.placed.get(thing)) is not None:
        found.append(_instance(cc, placed))
    elif thing in cc.tombstones:
        found.append(Standing(cc.address, f"{thing} has ended here, nothing of it is left"))
    found += [
        Standing(cc.address, f"{thing} is an address of {p.spec.instance_id}", see=(p.spec.instance_id,))
        for p in cc.placed.values()
        if p.gone_at is None and thing in (p.placement.public_ip, p.placement.private_ip)
    ]
    named = [n for n in cc.nodes.values() if thing in (n.address, n.address.partition("@")[2])]
    found += [_node(cc, node) for node in named]
    return Story(standings=tuple(found))


def _instance(cc: "Cc", placed: "Placed") -> Standing:
    instance_id, place = placed.spec.instance_id, placed.placement
    wish = "shall end" if placed.ending else "shall stop" if placed.stopping else "shall run"
    text = f"{instance_id} {wish} on {place.node}, at {place.private_ip or 'an address of the site'}"
    text += f" and {place.public_ip}" if place.public_ip else ""
    node = cc.nodes.get(place.node)
    if placed.gone_at is not None:
        return Standing(cc.address, f"{instance_id} has ended on {place.node}")
    if node is None or not node.up:
        why = node.detail if node is not None else "is no node of this zone"
        advice = f"Look at that host, or: aws ec2 terminate-instances --instance-ids {instance_id}"
        return Standing(
            cc.address, text, f"{place.node}, which does not answer: {why}", advice=advice, see=(place.node,)
        )
    report = node.reports.get(instance_id)
    if report is None:
        return Standing(cc.address, text, f"{place.node} to tell of it", see=(place.node,))
    text += f"; its node says {report.state.value}"
    return Standing(cc.address, text, report.step if not placed.started else "")


def _node(cc: "Cc", node: "NodeView") -> Standing:
    there = [
        p.spec.instance_id
        for p in cc.placed.values()
        if p.placement.node == node.address and p.gone_at is None
    ]
    wish = node.kept.wish.wish.value.lower()
    text = f"{node.address} is {node.state.value}, {wish}, with {len(there)} instances"
    if node.up:
        return Standing(cc.address, text)
    return Standing(
        cc.address,
        f"{text}: {node.detail}",
        f"{node.address} to answer",
        advice="See whether that host has power, network and a running euca-box (systemctl status euca-box).",
        see=tuple(there[:5]),
    )
