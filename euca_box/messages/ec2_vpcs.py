"""The default VPC as EC2 clients look for it (EC2 2016-11-15): one for each account, one subnet a zone.

It describes the network that really exists; making others is not supported.
"""

from dataclasses import dataclass
from datetime import datetime

from euca_box.messages.base import Op
from euca_box.messages.ec2_common import Filter, GroupIdentifier, Tag


@dataclass(frozen=True)
class CidrBlockState:
    state: str = "associated"


@dataclass(frozen=True)
class VpcCidrBlockAssociation:
    association_id: str
    cidr_block: str
    cidr_block_state: CidrBlockState = CidrBlockState()


@dataclass(frozen=True)
class Vpc:
    vpc_id: str
    owner_id: str
    cidr_block: str
    dhcp_options_id: str
    cidr_block_association_set: tuple[VpcCidrBlockAssociation, ...]
    state: str = "available"
    instance_tenancy: str = "default"
    is_default: bool = True
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class DescribeVpcsResult:
    vpcs: tuple[Vpc, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeVpcs(Op[DescribeVpcsResult], role="clc"):
    vpc_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class AttributeBooleanValue:
    value: bool


@dataclass(frozen=True)
class DescribeVpcAttributeResult:
    vpc_id: str
    enable_dns_hostnames: AttributeBooleanValue | None = None
    enable_dns_support: AttributeBooleanValue | None = None
    enable_network_address_usage_metrics: AttributeBooleanValue | None = None


@dataclass(frozen=True)
class DescribeVpcAttribute(Op[DescribeVpcAttributeResult], role="clc"):
    vpc_id: str
    attribute: str
    dry_run: bool = False


@dataclass(frozen=True)
class Subnet:
    subnet_id: str
    vpc_id: str
    owner_id: str
    cidr_block: str
    availability_zone: str
    availability_zone_id: str
    available_ip_address_count: int
    subnet_arn: str
    state: str = "available"
    default_for_az: bool = True
    map_public_ip_on_launch: bool = True
    assign_ipv6_address_on_creation: bool = False
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class DescribeSubnetsResult:
    subnets: tuple[Subnet, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeSubnets(Op[DescribeSubnetsResult], role="clc"):
    subnet_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class InternetGatewayAttachment:
    vpc_id: str
    state: str = "available"


@dataclass(frozen=True)
class InternetGateway:
    internet_gateway_id: str
    owner_id: str
    attachments: tuple[InternetGatewayAttachment, ...]
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class DescribeInternetGatewaysResult:
    internet_gateways: tuple[InternetGateway, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeInternetGateways(Op[DescribeInternetGatewaysResult], role="clc"):
    internet_gateway_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class AssociationState:
    state: str = "associated"


@dataclass(frozen=True)
class RouteTableAssociation:
    main: bool
    route_table_association_id: str
    route_table_id: str
    association_state: AssociationState = AssociationState()


@dataclass(frozen=True)
class Route:
    destination_cidr_block: str
    gateway_id: str
    origin: str
    state: str = "active"


@dataclass(frozen=True)
class RouteTable:
    route_table_id: str
    vpc_id: str
    owner_id: str
    associations: tuple[RouteTableAssociation, ...]
    routes: tuple[Route, ...]
    propagating_vgws: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class DescribeRouteTablesResult:
    route_tables: tuple[RouteTable, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeRouteTables(Op[DescribeRouteTablesResult], role="clc"):
    route_table_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class NetworkAclAssociation:
    network_acl_association_id: str
    network_acl_id: str
    subnet_id: str


@dataclass(frozen=True)
class NetworkAclEntry:
    rule_number: int
    rule_action: str
    egress: bool
    cidr_block: str = "0.0.0.0/0"
    protocol: str = "-1"


@dataclass(frozen=True)
class NetworkAcl:
    network_acl_id: str
    vpc_id: str
    owner_id: str
    associations: tuple[NetworkAclAssociation, ...]
    entries: tuple[NetworkAclEntry, ...]
    is_default: bool = True
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class DescribeNetworkAclsResult:
    network_acls: tuple[NetworkAcl, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeNetworkAcls(Op[DescribeNetworkAclsResult], role="clc"):
    network_acl_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class AttributeValue:
    value: str


@dataclass(frozen=True)
class DhcpConfiguration:
    key: str
    values: tuple[AttributeValue, ...]


@dataclass(frozen=True)
class DhcpOptions:
    dhcp_options_id: str
    owner_id: str
    dhcp_configurations: tuple[DhcpConfiguration, ...]
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class DescribeDhcpOptionsResult:
    dhcp_options: tuple[DhcpOptions, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeDhcpOptions(Op[DescribeDhcpOptionsResult], role="clc"):
    dhcp_options_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class InterfaceAssociation:
    ip_owner_id: str
    public_dns_name: str
    public_ip: str
    allocation_id: str | None = None
    association_id: str | None = None


@dataclass(frozen=True)
class InterfaceAttachment:
    attachment_id: str
    instance_id: str
    instance_owner_id: str
    attach_time: datetime
    device_index: int = 0
    delete_on_termination: bool = True
    status: str = "attached"


@dataclass(frozen=True)
class InterfacePrivateAddress:
    private_ip_address: str
    private_dns_name: str
    primary: bool = True
    association: InterfaceAssociation | None = None


@dataclass(frozen=True)
class NetworkInterfaceInfo:
    network_interface_id: str
    owner_id: str
    availability_zone: str
    mac_address: str
    private_ip_address: str
    private_dns_name: str
    subnet_id: str
    vpc_id: str
    groups: tuple[GroupIdentifier, ...]
    attachment: InterfaceAttachment
    private_ip_addresses: tuple[InterfacePrivateAddress, ...]
    association: InterfaceAssociation | None = None
    description: str = ""
    interface_type: str = "interface"
    requester_managed: bool = False
    source_dest_check: bool = True
    status: str = "in-use"
    tag_set: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class DescribeNetworkInterfacesResult:
    network_interfaces: tuple[NetworkInterfaceInfo, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeNetworkInterfaces(Op[DescribeNetworkInterfacesResult], role="clc"):
    network_interface_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False
