"""Elastic addresses of the zone: kept as the CLC last said, and led to instances through their nodes.

The pool is ours: `public_address` has the automatic ones (an instance holds each), `elastic_address` those
that accounts hold. Both are given out under `cc.placing`, so that no address has two holders.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import cc as messages
from euca_box.messages.base import Call, system_call
from euca_box.messages.nc import NcAssignAddress
from euca_box.model.ec2_errors import InsufficientAddressCapacity, InvalidAddressNotFound
from euca_box.model.errors import EucaError
from euca_box.observe.failpoints import fp
from euca_box.roles.cc import addresses
from euca_box.store.store import Statement, insert, one

if TYPE_CHECKING:
    from euca_box.roles.cc.role import Cc, Placed

log = logging.getLogger(__name__)

KEEP_VERSION = (
    "INSERT INTO meta (name, value) VALUES ('addresses', ?) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


async def load(cc: "Cc") -> None:
    for row in await cc.store.read("SELECT allocation_id, public_ip, instance_id FROM elastic_address"):
        found = messages.ElasticAddress(row["allocation_id"], row["public_ip"], row["instance_id"])
        cc.elastic[found.allocation_id] = found
    kept = one(await cc.store.read("SELECT value FROM meta WHERE name = 'addresses'"))
    cc.elastic_version = int(kept["value"]) if kept is not None else -1


async def allocate_address(cc: "Cc", call: Call, op: messages.CcAllocateAddress) -> messages.PublicAddress:
    async with cc.placing:
        if (known := cc.elastic.get(op.allocation_id)) is not None:
            return messages.PublicAddress(known.public_ip)
        free = await addresses.free_public(cc)
        if op.public_ip is not None and op.public_ip not in free:
            raise InvalidAddressNotFound(op.public_ip)
        if len(free) <= (0 if op.public_ip is not None else cc.settings.reserved_addresses):
            raise InsufficientAddressCapacity
        taken = messages.ElasticAddress(op.allocation_id, op.public_ip or free[0])
        await cc.store.write(_row(taken))
        cc.elastic[taken.allocation_id] = taken
    return messages.PublicAddress(taken.public_ip)


async def assign_addresses(cc: "Cc", call: Call, op: messages.CcAssignAddresses) -> messages.AddressesInForce:
    """Rows first, then the placements, then the nodes; the loop goes on where a crash or a node stops us."""
    async with cc.placing:
        if op.version < cc.elastic_version:
            return messages.AddressesInForce(cc.elastic_version)
        wanted = {address.allocation_id: address for address in op.addresses}
        if wanted != cc.elastic:
            await cc.store.write(
                Statement("DELETE FROM elastic_address"),
                *(_row(address) for address in op.addresses),
                Statement(KEEP_VERSION, (str(op.version),)),
            )
            cc.elastic = wanted
        cc.elastic_version = op.version
    fp("cc.addresses.after-commit")
    await settle(cc)
    return messages.AddressesInForce(op.version)


async def settle(cc: "Cc") -> None:
    """Every placed instance has the address it should have: in our rows, then on its node."""
    async with cc.placing:
        rows = await cc.store.read("SELECT ip, instance_id FROM public_address WHERE instance_id IS NOT NULL")
        automatic = {row["instance_id"]: row["ip"] for row in rows}
        await _release_of_gone(cc, automatic)
        led = {address.instance_id: address.public_ip for address in cc.elastic.values()}
        given = {address.public_ip for address in cc.elastic.values()}
        for instance_id, placed in list(cc.placed.items()):
            has, should = automatic.get(instance_id), led.get(instance_id)
            if placed.gone_at is None and not placed.ending and _differs(placed, has, should, given):
                await _replace_address(cc, placed, should)
    fp("cc.addresses.after-placements")
    # Those that lose an address go first, so that it does not lead to two guests on two nodes.
    behind = [placed for placed in cc.placed.values() if _is_behind(cc, placed)]
    for placed in sorted(behind, key=lambda p: elastic_of(cc, p.spec.instance_id) is not None):
        try:
            await _tell_node(cc, placed)
        except EucaError as error:
            log.warning("%s does not have its address yet: %s", placed.spec.instance_id, error.message)


async def _release_of_gone(cc: "Cc", automatic: dict[str, str]) -> None:
    """An instance may go while it is given an address: what is gone holds none."""
    known = {i for i, placed in cc.placed.items() if placed.gone_at is None}
    if rows := [addresses.release_public(i) for i in automatic if i not in known]:
        await cc.store.write(*rows)


def elastic_of(cc: "Cc", instance_id: str) -> str | None:
    """The elastic address that shall lead to the instance."""
    return next((a.public_ip for a in cc.elastic.values() if a.instance_id == instance_id), None)


def _differs(placed: "Placed", automatic: str | None, elastic: str | None, given: set[str]) -> bool:
    """Whether the address of the placement is another than its elastic or automatic one."""
    now = placed.placement.public_ip
    if elastic is not None:
        return now != elastic or automatic is not None
    return now is not None and (now != automatic or now in given)


async def _replace_address(cc: "Cc", placed: "Placed", elastic: str | None) -> None:
    """To be called under `placing`. The automatic address goes back when an elastic one comes, and a fresh
    one comes when it goes (EUCALYPTUS 1.6.2)."""
    instance_id, wanted = placed.spec.instance_id, elastic
    if wanted is None and placed.spec.wants_public_ip and not placed.stopped:
        wanted = await addresses.choose_public(cc)
    rows = [addresses.release_public(instance_id)]
    if wanted is not None and elastic is None:
        rows.append(addresses.claim_public(instance_id, wanted))
    await cc.mark(instance_id, *rows, placement=replace(placed.placement, public_ip=wanted))
    log.info("%s has the address %s instead of %s", instance_id, wanted, placed.placement.public_ip)


def _is_behind(cc: "Cc", placed: "Placed") -> bool:
    """Whether its node reports another address than the one it should have."""
    node = cc.nodes.get(placed.placement.node)
    if placed.ending or placed.gone_at is not None or node is None or not node.up:
        return False
    seen = node.reports.get(placed.spec.instance_id)
    return seen is not None and not seen.gone and seen.public_ip != placed.placement.public_ip


async def _tell_node(cc: "Cc", placed: "Placed") -> None:
    op = NcAssignAddress(placed.spec.instance_id, placed.placement.public_ip)
    await cc.bus.ask(placed.placement.node, op, system_call("addresses"))


def _row(address: messages.ElasticAddress) -> Statement:
    return insert(
        "elastic_address",
        {
            "allocation_id": address.allocation_id,
            "public_ip": address.public_ip,
            "instance_id": address.instance_id,
        },
    )
