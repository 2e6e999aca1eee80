"""The one network interface of an instance: what RunInstances may ask of it (EC2, RunInstances)."""

from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from euca_box.messages import ec2_instances as ec2
from euca_box.model.ec2_errors import InvalidIPAddressInUse
from euca_box.model.errors import InvalidParameterCombination, InvalidParameterValue, UnsupportedOperation
from euca_box.roles.clc.network_rules import mode_of

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

RESERVED = 4  # the first addresses of a subnet are its own (VPC user guide, subnet sizing), and the last


def folded(op: ec2.RunInstances) -> ec2.RunInstances:
    """The request with its interface's words where older clients have theirs.

    Raises InvalidParameterCombination when both are used, UnsupportedOperation for a second interface.
    """
    if not op.network_interfaces:
        return op
    if len(op.network_interfaces) > 1:
        raise UnsupportedOperation("An instance has one network interface here.")
    [asked] = op.network_interfaces
    if asked.network_interface_id is not None:
        raise UnsupportedOperation("Network interfaces cannot be made apart from their instance.")
    if asked.device_index != 0:
        raise InvalidParameterValue("The device index of the network interface must be 0.")
    if asked.delete_on_termination is False:
        raise UnsupportedOperation("A network interface ends with its instance.")
    if op.subnet_id is not None or op.private_ip_address is not None:
        raise InvalidParameterCombination(
            "Network interfaces and an instance-level subnet ID or private IP address may not be specified "
            "on the same request"
        )
    if op.security_group_ids or op.security_groups:
        raise InvalidParameterCombination(
            "Network interfaces and instance-level security groups may not be specified on the same request"
        )
    public = {None: op.addressing_type, True: "public", False: "private"}
    return replace(
        op,
        network_interfaces=(),
        subnet_id=asked.subnet_id,
        security_group_ids=asked.groups,
        private_ip_address=asked.private_ip_address,
        addressing_type=public[asked.associate_public_ip_address],
    )


def checked_private_ip(clc: "Clc", op: ec2.RunInstances) -> str | None:
    """The private address asked for, if it can be given. Raises InvalidIPAddressInUse, InvalidParameter..."""
    if op.private_ip_address is None:
        return None
    if not (mode := mode_of(clc)).chooses:
        raise UnsupportedOperation(f"Private addresses cannot be chosen in network mode {mode.name}.")
    if op.max_count != 1:
        raise InvalidParameterCombination("A private address can be given to one instance only.")
    subnet = IPv4Network(clc.settings.subnet_cidr)
    try:
        address = IPv4Address(op.private_ip_address)
    except AddressValueError:
        raise InvalidParameterValue(
            f"Value ({op.private_ip_address[:40]}) for parameter privateIpAddress is invalid."
        ) from None
    if address not in subnet:
        raise InvalidParameterValue(f"Address {address} does not fall within the subnet's address range")
    if int(address) - int(subnet.network_address) < RESERVED or address == subnet.broadcast_address:
        raise InvalidParameterValue(f"Address {address} is in subnet's reserved address range")
    text = str(address)
    if any(r.ended_at is None and text in (r.private_ip, r.wanted_private_ip) for r in clc.instances.all()):
        raise InvalidIPAddressInUse(text)
    return text
