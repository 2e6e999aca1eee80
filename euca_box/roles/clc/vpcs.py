"""The default VPC and its parts: a view of the network that really exists, the same for every account.

Clients look for it before they launch (AWS CLI, Terraform, Ansible, Packer). Making another is refused.
"""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any, TypeVar

from euca_box.messages import ec2_vpcs as ec2
from euca_box.messages.base import Call
from euca_box.messages.ec2_common import Filter
from euca_box.model import ids
from euca_box.model.ec2_errors import (
    InvalidDhcpOptionsIDNotFound,
    InvalidInternetGatewayIDNotFound,
    InvalidNetworkAclIDNotFound,
    InvalidNetworkInterfaceIDNotFound,
    InvalidRouteTableIDNotFound,
    InvalidSubnetIDNotFound,
    InvalidVpcIDNotFound,
)
from euca_box.model.errors import ClientFault, InvalidParameterValue
from euca_box.model.filters import Getter, filtered
from euca_box.model.instances import Instance
from euca_box.model.paging import page
from euca_box.roles.clc import views, zones
from euca_box.roles.clc.rules import stop_if_dry_run

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

T = TypeVar("T")

GATEWAY_ID = "igw-00000001"
ROUTE_TABLE_ID = "rtb-00000001"
ACL_ID = "acl-00000001"
OPTIONS_ID = "dopt-00000001"
RESERVED = 5  # addresses of a subnet that EC2 does not give to instances
DENY_RULE = 32767  # the last rule of every network ACL

_OWNER: dict[str, Getter] = {"owner-id": lambda r: r.owner_id}
_VPC: dict[str, Getter] = {"vpc-id": lambda r: r.vpc_id}

VPC_FILTERS: dict[str, Getter] = (
    _OWNER
    | _VPC
    | {
        "cidr": lambda r: r.cidr_block,
        "cidr-block-association.cidr-block": lambda r: r.cidr_block,
        "cidr-block-association.association-id": lambda r: [
            a.association_id for a in r.cidr_block_association_set
        ],
        "cidr-block-association.state": lambda r: "associated",
        "dhcp-options-id": lambda r: r.dhcp_options_id,
        "is-default": lambda r: r.is_default,
        "isDefault": lambda r: r.is_default,
        "state": lambda r: r.state,
    }
)
SUBNET_FILTERS: dict[str, Getter] = (
    _OWNER
    | _VPC
    | {
        "availability-zone": lambda r: r.availability_zone,
        "availabilityZone": lambda r: r.availability_zone,
        "availability-zone-id": lambda r: r.availability_zone_id,
        "available-ip-address-count": lambda r: r.available_ip_address_count,
        "cidr-block": lambda r: r.cidr_block,
        "cidr": lambda r: r.cidr_block,
        "default-for-az": lambda r: r.default_for_az,
        "defaultForAz": lambda r: r.default_for_az,
        "map-public-ip-on-launch": lambda r: r.map_public_ip_on_launch,
        "state": lambda r: r.state,
        "subnet-arn": lambda r: r.subnet_arn,
        "subnet-id": lambda r: r.subnet_id,
    }
)
GATEWAY_FILTERS: dict[str, Getter] = _OWNER | {
    "attachment.state": lambda r: [a.state for a in r.attachments],
    "attachment.vpc-id": lambda r: [a.vpc_id for a in r.attachments],
    "internet-gateway-id": lambda r: r.internet_gateway_id,
}
TABLE_FILTERS: dict[str, Getter] = (
    _OWNER
    | _VPC
    | {
        "association.main": lambda r: [a.main for a in r.associations],
        "association.route-table-association-id": lambda r: [
            a.route_table_association_id for a in r.associations
        ],
        "association.route-table-id": lambda r: r.route_table_id,
        "association.subnet-id": lambda r: None,
        "route-table-id": lambda r: r.route_table_id,
        "route.destination-cidr-block": lambda r: [x.destination_cidr_block for x in r.routes],
        "route.gateway-id": lambda r: [x.gateway_id for x in r.routes],
        "route.origin": lambda r: [x.origin for x in r.routes],
        "route.state": lambda r: [x.state for x in r.routes],
    }
)
ACL_FILTERS: dict[str, Getter] = (
    _OWNER
    | _VPC
    | {
        "association.association-id": lambda r: [a.network_acl_association_id for a in r.associations],
        "association.network-acl-id": lambda r: r.network_acl_id,
        "association.subnet-id": lambda r: [a.subnet_id for a in r.associations],
        "default": lambda r: r.is_default,
        "entry.cidr": lambda r: [e.cidr_block for e in r.entries],
        "entry.egress": lambda r: [e.egress for e in r.entries],
        "entry.protocol": lambda r: [e.protocol for e in r.entries],
        "entry.rule-action": lambda r: [e.rule_action for e in r.entries],
        "entry.rule-number": lambda r: [e.rule_number for e in r.entries],
        "network-acl-id": lambda r: r.network_acl_id,
    }
)
OPTIONS_FILTERS: dict[str, Getter] = _OWNER | {
    "dhcp-options-id": lambda r: r.dhcp_options_id,
    "key": lambda r: [c.key for c in r.dhcp_configurations],
    "value": lambda r: [v.value for c in r.dhcp_configurations for v in c.values],
}
INTERFACE_FILTERS: dict[str, Getter] = (
    _OWNER
    | _VPC
    | {
        "addresses.primary": lambda r: True,
        "addresses.private-ip-address": lambda r: r.private_ip_address,
        "association.public-ip": lambda r: r.association and r.association.public_ip,
        "association.allocation-id": lambda r: r.association and r.association.allocation_id,
        "association.association-id": lambda r: r.association and r.association.association_id,
        "association.ip-owner-id": lambda r: r.association and r.association.ip_owner_id,
        "attachment.attachment-id": lambda r: r.attachment.attachment_id,
        "attachment.delete-on-termination": lambda r: r.attachment.delete_on_termination,
        "attachment.device-index": lambda r: r.attachment.device_index,
        "attachment.instance-id": lambda r: r.attachment.instance_id,
        "attachment.instance-owner-id": lambda r: r.attachment.instance_owner_id,
        "attachment.status": lambda r: r.attachment.status,
        "availability-zone": lambda r: r.availability_zone,
        "description": lambda r: r.description,
        "group-id": lambda r: [g.group_id for g in r.groups],
        "group-name": lambda r: [g.group_name for g in r.groups],
        "interface-type": lambda r: r.interface_type,
        "mac-address": lambda r: r.mac_address,
        "network-interface-id": lambda r: r.network_interface_id,
        "private-dns-name": lambda r: r.private_dns_name,
        "private-ip-address": lambda r: r.private_ip_address,
        "requester-managed": lambda r: r.requester_managed,
        "source-dest-check": lambda r: r.source_dest_check,
        "status": lambda r: r.status,
        "subnet-id": lambda r: r.subnet_id,
    }
)


async def describe_vpcs(clc: "Clc", call: Call, op: ec2.DescribeVpcs) -> ec2.DescribeVpcsResult:
    found = [_vpc(clc, call.account)]
    shown, token = _shown(op, found, lambda r: r.vpc_id, op.vpc_ids, InvalidVpcIDNotFound, "vpc", VPC_FILTERS)
    return ec2.DescribeVpcsResult(tuple(shown), token)


async def describe_vpc_attribute(
    clc: "Clc", call: Call, op: ec2.DescribeVpcAttribute
) -> ec2.DescribeVpcAttributeResult:
    """Names are answered by the host's DNS; public host names are the addresses themselves."""
    if ids.checked(op.vpc_id, "vpc") != clc.settings.vpc_id:
        raise InvalidVpcIDNotFound(op.vpc_id)
    stop_if_dry_run(op.dry_run)
    match op.attribute:
        case "enableDnsSupport":
            return ec2.DescribeVpcAttributeResult(
                clc.settings.vpc_id, enable_dns_support=ec2.AttributeBooleanValue(True)
            )
        case "enableDnsHostnames":
            return ec2.DescribeVpcAttributeResult(
                clc.settings.vpc_id, enable_dns_hostnames=ec2.AttributeBooleanValue(True)
            )
        case "enableNetworkAddressUsageMetrics":
            return ec2.DescribeVpcAttributeResult(
                clc.settings.vpc_id, enable_network_address_usage_metrics=ec2.AttributeBooleanValue(False)
            )
    raise InvalidParameterValue(f"Invalid value '{op.attribute[:64]}' for attribute.")


async def describe_subnets(clc: "Clc", call: Call, op: ec2.DescribeSubnets) -> ec2.DescribeSubnetsResult:
    found = [_subnet(clc, call.account, zone) for zone in zones.all_zones(clc) if zone.subnet_cidr]
    shown, token = _shown(
        op, found, lambda r: r.subnet_id, op.subnet_ids, InvalidSubnetIDNotFound, "subnet", SUBNET_FILTERS
    )
    return ec2.DescribeSubnetsResult(tuple(shown), token)


async def describe_internet_gateways(
    clc: "Clc", call: Call, op: ec2.DescribeInternetGateways
) -> ec2.DescribeInternetGatewaysResult:
    attached = ec2.InternetGatewayAttachment(clc.settings.vpc_id)
    found = [ec2.InternetGateway(GATEWAY_ID, call.account, (attached,))]
    shown, token = _shown(
        op, found, lambda r: r.internet_gateway_id, op.internet_gateway_ids,
        InvalidInternetGatewayIDNotFound, "igw", GATEWAY_FILTERS,
    )  # fmt: skip
    return ec2.DescribeInternetGatewaysResult(tuple(shown), token)


async def describe_route_tables(
    clc: "Clc", call: Call, op: ec2.DescribeRouteTables
) -> ec2.DescribeRouteTablesResult:
    found = [
        ec2.RouteTable(
            route_table_id=ROUTE_TABLE_ID,
            vpc_id=clc.settings.vpc_id,
            owner_id=call.account,
            associations=(ec2.RouteTableAssociation(True, "rtbassoc-00000001", ROUTE_TABLE_ID),),
            routes=(
                ec2.Route(clc.settings.vpc_cidr, "local", "CreateRouteTable"),
                ec2.Route("0.0.0.0/0", GATEWAY_ID, "CreateRoute"),
            ),
        )
    ]
    shown, token = _shown(
        op, found, lambda r: r.route_table_id, op.route_table_ids, InvalidRouteTableIDNotFound, "rtb",
        TABLE_FILTERS,
    )  # fmt: skip
    return ec2.DescribeRouteTablesResult(tuple(shown), token)


async def describe_network_acls(
    clc: "Clc", call: Call, op: ec2.DescribeNetworkAcls
) -> ec2.DescribeNetworkAclsResult:
    entries = [
        ec2.NetworkAclEntry(number, action, egress)
        for egress in (True, False)
        for number, action in ((100, "allow"), (DENY_RULE, "deny"))
    ]
    association = ec2.NetworkAclAssociation("aclassoc-00000001", ACL_ID, clc.settings.subnet_id)
    found = [ec2.NetworkAcl(ACL_ID, clc.settings.vpc_id, call.account, (association,), tuple(entries))]
    shown, token = _shown(
        op,
        found,
        lambda r: r.network_acl_id,
        op.network_acl_ids,
        InvalidNetworkAclIDNotFound,
        "acl",
        ACL_FILTERS,
    )
    return ec2.DescribeNetworkAclsResult(tuple(shown), token)


async def describe_dhcp_options(
    clc: "Clc", call: Call, op: ec2.DescribeDhcpOptions
) -> ec2.DescribeDhcpOptionsResult:
    given = (("domain-name", "ec2.internal"), ("domain-name-servers", "AmazonProvidedDNS"))
    configurations = tuple(ec2.DhcpConfiguration(k, (ec2.AttributeValue(v),)) for k, v in given)
    found = [ec2.DhcpOptions(OPTIONS_ID, call.account, configurations)]
    shown, token = _shown(
        op, found, lambda r: r.dhcp_options_id, op.dhcp_options_ids, InvalidDhcpOptionsIDNotFound, "dopt",
        OPTIONS_FILTERS,
    )  # fmt: skip
    return ec2.DescribeDhcpOptionsResult(tuple(shown), token)


async def describe_network_interfaces(
    clc: "Clc", call: Call, op: ec2.DescribeNetworkInterfaces
) -> ec2.DescribeNetworkInterfacesResult:
    """One interface for each instance that has an address."""
    found = [
        _interface(clc, record)
        for record in clc.instances.of(call.account)
        if record.private_ip is not None and record.ended_at is None
    ]
    shown, token = _shown(
        op, found, lambda r: r.network_interface_id, op.network_interface_ids,
        InvalidNetworkInterfaceIDNotFound, "eni", INTERFACE_FILTERS,
    )  # fmt: skip
    return ec2.DescribeNetworkInterfacesResult(tuple(shown), token)


def _shown(
    op: Any,
    found: Sequence[T],
    key_of: Callable[[T], str],
    wanted: Iterable[str],
    absent: Callable[[str], ClientFault],
    prefix: str,
    getters: dict[str, Getter],
) -> tuple[Sequence[T], str | None]:
    """Ids, filters and paging, the same for every noun here. `op` has filters, max_results, next_token."""
    stop_if_dry_run(op.dry_run)
    wanted = [ids.checked(value, prefix) for value in wanted]
    known = {key_of(record) for record in found}
    for value in wanted:
        if value not in known:
            raise absent(value)
    if wanted:
        found = [record for record in found if key_of(record) in wanted]
    filters: tuple[Filter, ...] = op.filters
    return page(
        sorted(filtered(found, filters, getters), key=key_of),
        key_of,
        max_results=op.max_results,
        next_token=op.next_token,
        ids_given=bool(wanted),
    )


def _vpc(clc: "Clc", account: str) -> ec2.Vpc:
    association = ec2.VpcCidrBlockAssociation("vpc-cidr-assoc-00000001", clc.settings.vpc_cidr)
    return ec2.Vpc(clc.settings.vpc_id, account, clc.settings.vpc_cidr, OPTIONS_ID, (association,))


def _subnet(clc: "Clc", account: str, zone: zones.Zone) -> ec2.Subnet:
    settings = clc.settings
    size = IPv4Network(zone.subnet_cidr).num_addresses
    taken = sum(1 for record in clc.instances.all() if record.ended_at is None and record.zone == zone.name)
    return ec2.Subnet(
        subnet_id=zone.subnet_id,
        vpc_id=settings.vpc_id,
        owner_id=account,
        cidr_block=zone.subnet_cidr,
        availability_zone=zone.name,
        availability_zone_id=zone.id_in(settings.region),
        available_ip_address_count=max(size - RESERVED - taken, 0),
        subnet_arn=f"arn:aws:ec2:{settings.region}:{account}:subnet/{zone.subnet_id}",
    )


def _interface(clc: "Clc", record: Instance) -> ec2.NetworkInterfaceInfo:
    private_ip = record.private_ip or ""
    private_name = clc.views.names.private(private_ip)
    association = None
    if record.public_ip:
        name = clc.views.names.public(record.public_ip)
        association = ec2.InterfaceAssociation("amazon", record.public_ip, name)
        elastic = clc.views.elastic_address(record, record.public_ip)
        if elastic is not None:
            association = ec2.InterfaceAssociation(
                record.account,
                record.public_ip,
                name,
                elastic.allocation_id,
                elastic.association_id,
            )
    digits = record.instance_id.partition("-")[2]
    return ec2.NetworkInterfaceInfo(
        network_interface_id=f"eni-{digits}",
        owner_id=record.account,
        availability_zone=record.zone,
        mac_address=record.mac or ids.mac_of(record.instance_id),
        private_ip_address=private_ip,
        private_dns_name=private_name,
        subnet_id=zones.subnet_id_of(clc, record.zone),
        vpc_id=clc.settings.vpc_id,
        groups=clc.views.group_identifiers(record.group_ids),
        attachment=ec2.InterfaceAttachment(
            f"eni-attach-{digits}", record.instance_id, record.account, views.time_view(record.launch_time)
        ),
        private_ip_addresses=(
            ec2.InterfacePrivateAddress(private_ip, private_name, association=association),
        ),
        association=association,
    )
