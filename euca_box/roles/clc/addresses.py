"""Elastic addresses: what accounts hold and where it shall lead. `address_loop.py` makes it true below.

The record of an address is the wish. What the cluster does with it is sent as a whole, like the rules of
security groups, so that one loop repairs a crash between any two lines.
"""

import ipaddress
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import ec2_addresses as ec2
from euca_box.messages.base import Call, Done, system_call
from euca_box.messages.cc import CcAllocateAddress, PublicAddress
from euca_box.model import ids
from euca_box.model.addresses import DOMAINS, Address, freed
from euca_box.model.ec2_errors import (
    AddressLimitExceeded,
    AddressNotYours,
    InvalidAddressNotFound,
    InvalidAllocationIDNotFound,
    InvalidAssociationIDNotFound,
    InvalidInstanceID,
    InvalidIPAddressInUse,
    InvalidNetworkInterfaceIDNotFound,
    ResourceAlreadyAssociated,
)
from euca_box.model.errors import (
    EucaError,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
)
from euca_box.model.filters import filtered
from euca_box.model.instances import Instance, InstanceState
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import instances
from euca_box.roles.clc.address_loop import holder, send_addresses
from euca_box.roles.clc.known_hosts import zone_names
from euca_box.roles.clc.network_rules import need_public_addresses
from euca_box.roles.clc.rules import stop_if_dry_run, tags_for, without_verbose
from euca_box.roles.clc.views import tags_view
from euca_box.store.store import Statement, insert

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

FILTERS = {
    "allocation-id": lambda v: v.allocation_id,
    "association-id": lambda v: v.association_id,
    "domain": lambda v: v.domain,
    "instance-id": lambda v: v.instance_id,
    "network-border-group": lambda v: v.network_border_group,
    "network-interface-id": lambda v: v.network_interface_id,
    "network-interface-owner-id": lambda v: v.network_interface_owner_id,
    "private-ip-address": lambda v: v.private_ip_address,
    "public-ip": lambda v: v.public_ip,
}
NO_ADDRESS = (InstanceState.PENDING, InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED)


async def allocate_address(clc: "Clc", call: Call, op: ec2.AllocateAddress) -> ec2.AllocateAddressResult:
    """Raises AddressLimitExceeded, InsufficientAddressCapacity, InvalidAddress.NotFound."""
    need_public_addresses(clc)
    tags = tags_for("elastic-ip", op.tag_specifications)
    if op.domain not in (None, *DOMAINS):
        raise InvalidParameterValue(f"Invalid value '{op.domain[:64]}' for domain.")
    wanted = None if op.address is None else _checked_ip(op.address)
    async with clc.address_lock:
        here = sum(1 for _ in clc.addresses.of(call.account))
        if here >= clc.settings.max_addresses and not call.admin:
            raise AddressLimitExceeded
        stop_if_dry_run(op.dry_run)
        allocation_id = ids.unused(clc.new_id, "eipalloc", clc.addresses.find)
        taken, zone = await _taken(clc, call, CcAllocateAddress(allocation_id, wanted))
        fp("clc.address.after-cc")  # the cluster's row has no owner: the next full list gives it back
        address = Address(
            allocation_id, call.account, taken.public_ip, clc.now(), op.domain or "vpc", tags=tags, zone=zone
        )
        row = insert("address_ip", {"public_ip": address.public_ip, "allocation_id": allocation_id})
        await clc.addresses.add([address], row)
    return ec2.AllocateAddressResult(allocation_id, address.public_ip, address.domain, clc.settings.region)


async def _taken(clc: "Clc", call: Call, ask: CcAllocateAddress) -> tuple[PublicAddress, str]:
    """From the first zone that has one. Raises what the first zone said when none has."""
    refused: EucaError | None = None
    for zone in zone_names(clc):
        try:
            return await clc.bus.ask(clc.cc_of(zone), ask, system_call(call.request_id)), zone
        except EucaError as error:
            refused = refused or error
    assert refused is not None
    raise refused


async def release_address(clc: "Clc", call: Call, op: ec2.ReleaseAddress) -> Done:
    """Old clients release what is associated, as 1.6.2 and EC2 without VPC let them."""
    address = _named(clc, call, op.allocation_id, op.public_ip)
    if op.allocation_id is not None and holder(clc, address) is not None:
        raise InvalidIPAddressInUse(address.public_ip)
    stop_if_dry_run(op.dry_run)
    async with clc.address_lock:
        row = Statement("DELETE FROM address_ip WHERE allocation_id = ?", (address.allocation_id,))
        await clc.addresses.remove(address.allocation_id, row)
    fp("clc.address.after-release")
    await _put_in_force(clc)
    return Done()


async def associate_address(clc: "Clc", call: Call, op: ec2.AssociateAddress) -> ec2.AssociateAddressResult:
    """Raises Resource.AlreadyAssociated, InvalidInstanceID (a pending one), and what is not there."""
    address = _named(clc, call, op.allocation_id, op.public_ip)
    instance = _target(clc, call, op)
    if instance.account != address.account:
        raise InvalidParameterCombination(
            f"{address.public_ip} and {instance.instance_id} are of different accounts."
        )
    if instance.zone != (address.zone or clc.settings.zone):
        raise InvalidParameterCombination(
            f"{address.public_ip} is of another zone than {instance.instance_id}, {instance.zone}."
        )
    if instance.state in NO_ADDRESS:
        raise InvalidInstanceID(instance.state, instance.instance_id)
    if op.private_ip_address not in (None, instance.private_ip):
        raise InvalidParameterValue(
            f"{(op.private_ip_address or '')[:64]} is not an address of {instance.instance_id}."
        )
    now_at = holder(clc, address)
    if now_at is not None and now_at != instance.instance_id and op.allow_reassociation is False:
        raise ResourceAlreadyAssociated(address.allocation_id, address.association_id or "")
    stop_if_dry_run(op.dry_run)
    association_id = await _associate(clc, address, instance.instance_id)
    fp("clc.address.after-associate")
    await _put_in_force(clc)
    return ec2.AssociateAddressResult(association_id)


async def disassociate_address(clc: "Clc", call: Call, op: ec2.DisassociateAddress) -> Done:
    if op.association_id is not None and op.public_ip is not None:
        raise InvalidParameterCombination("Give either AssociationId or PublicIp, not both.")
    if op.association_id is not None:
        wanted = ids.checked(op.association_id, "eipassoc")
        found = [a for a in clc.addresses.reachable_by(call) if a.association_id == wanted]
        if not found or holder(clc, found[0]) is None:
            raise InvalidAssociationIDNotFound(op.association_id)
        address = found[0]
    elif op.public_ip is not None:
        address = _by_ip(clc, call, op.public_ip)
    else:
        raise MissingParameter("AssociationId")
    stop_if_dry_run(op.dry_run)
    seen = address.association_id
    async with clc.address_lock:
        # Whoever associated it anew meanwhile keeps it.
        await clc.addresses.change(
            address.allocation_id, lambda a: freed(a) if a.association_id == seen else None
        )
    fp("clc.address.after-disassociate")
    await _put_in_force(clc)
    return Done()


async def describe_addresses(
    clc: "Clc", call: Call, op: ec2.DescribeAddresses
) -> ec2.DescribeAddressesResult:
    stop_if_dry_run(op.dry_run)
    public_ips, verbose = without_verbose(call, op.public_ips)
    named = op.allocation_ids or public_ips
    known = clc.addresses.reachable_by(call) if named or verbose else clc.addresses.of(call.account)
    records = sorted(known, key=lambda a: a.allocation_id)
    by_ip = {a.public_ip: a for a in records}
    wanted_ips = dict.fromkeys(_checked_ip(ip) for ip in public_ips)
    if missing := [ip for ip in wanted_ips if ip not in by_ip]:
        raise InvalidAddressNotFound(*missing)
    wanted_ids = {_by_id(clc, call, i).allocation_id for i in op.allocation_ids}
    if wanted_ids or wanted_ips:
        records = [a for a in records if a.allocation_id in wanted_ids or a.public_ip in wanted_ips]
    shown = filtered([_view(clc, a) for a in records], op.filters, FILTERS)
    return ec2.DescribeAddressesResult(tuple(shown))


async def _associate(clc: "Clc", address: Address, instance_id: str) -> str:
    """The association's id. What the instance had before stays allocated and leads nowhere."""
    association_id = clc.new_id("eipassoc")

    def lead(current: Address) -> Address:
        if current.instance_id == instance_id and current.association_id is not None:
            return current
        return replace(current, association_id=association_id, instance_id=instance_id)

    async with clc.address_lock:
        for other in list(clc.addresses.of(address.account)):
            if other.instance_id == instance_id and other.allocation_id != address.allocation_id:
                await clc.addresses.change(other.allocation_id, freed)
        changed = await clc.addresses.change(address.allocation_id, lead)
    if changed is None or changed.association_id is None:
        raise AddressNotYours(address.public_ip)  # it was released meanwhile
    return changed.association_id


async def _put_in_force(clc: "Clc") -> None:
    """The address leads where the client hears that it does; a silent cluster is told later."""
    try:
        await send_addresses(clc)
    except EucaError as error:
        log.warning("addresses are not in force yet: %s", error.message)
        clc.address_bell.ring()


def _named(clc: "Clc", call: Call, allocation_id: str | None, public_ip: str | None) -> Address:
    if allocation_id is not None and public_ip is not None:
        raise InvalidParameterCombination("You may specify public IP or allocation id, but not both.")
    if allocation_id is not None:
        return _by_id(clc, call, allocation_id)
    if public_ip is not None:
        return _by_ip(clc, call, public_ip)
    raise MissingParameter("AllocationId")


def _by_id(clc: "Clc", call: Call, allocation_id: str) -> Address:
    address = clc.addresses.reachable(call, ids.checked(allocation_id, "eipalloc"))
    if address is None:
        raise InvalidAllocationIDNotFound(allocation_id)
    return address


def _by_ip(clc: "Clc", call: Call, public_ip: str) -> Address:
    wanted = _checked_ip(public_ip)
    found = next((a for a in clc.addresses.reachable_by(call) if a.public_ip == wanted), None)
    if found is None:
        raise AddressNotYours(wanted)
    return found


def _checked_ip(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text.strip()))
    except ValueError:
        raise InvalidParameterValue(
            f"Invalid value '{text[:64]}' for publicIp. Not an IPv4 address."
        ) from None


def _target(clc: "Clc", call: Call, op: ec2.AssociateAddress) -> Instance:
    if op.instance_id is not None and op.network_interface_id is not None:
        raise InvalidParameterCombination("Give either InstanceId or NetworkInterfaceId, not both.")
    if op.instance_id is not None:
        [instance] = instances.reachable(clc, call, (op.instance_id,))
        return instance
    if op.network_interface_id is None:
        raise MissingParameter("InstanceId")
    wanted = ids.checked(op.network_interface_id, "eni")
    found = clc.instances.reachable(call, "i-" + wanted.partition("-")[2])
    if found is None or found.ended_at is not None or found.private_ip is None:
        raise InvalidNetworkInterfaceIDNotFound(op.network_interface_id)
    return found


def _view(clc: "Clc", address: Address) -> ec2.Address:
    view = ec2.Address(
        public_ip=address.public_ip,
        allocation_id=address.allocation_id,
        domain=address.domain,
        network_border_group=clc.settings.region,
        tags=tags_view(address.tags),
    )
    instance_id = holder(clc, address)
    instance = None if instance_id is None else clc.instances.find(instance_id)
    if instance is None:
        return view
    return replace(
        view,
        association_id=address.association_id,
        instance_id=instance.instance_id,
        network_interface_id="eni-" + instance.instance_id.partition("-")[2],
        network_interface_owner_id=instance.account,
        private_ip_address=instance.private_ip,
    )
