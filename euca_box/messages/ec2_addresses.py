"""EC2 actions on elastic addresses (EC2 2016-11-15); clients of 2009 name them by PublicIp only."""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op
from euca_box.messages.ec2_common import Filter, Tag, TagSpecification


@dataclass(frozen=True)
class AllocateAddressResult:
    allocation_id: str
    public_ip: str
    domain: str
    network_border_group: str = ""
    public_ipv4_pool: str = "amazon"


@dataclass(frozen=True)
class AllocateAddress(Op[AllocateAddressResult], role="clc"):
    """Take an address of the pool, or the one that `address` names, for the account to keep."""

    domain: str | None = None
    address: str | None = None
    tag_specifications: tuple[TagSpecification, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class ReleaseAddress(Op[Done], role="clc"):
    """Give it back. By `allocation_id` only while it is not associated; by `public_ip` in any case."""

    allocation_id: str | None = None
    public_ip: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class AssociateAddressResult:
    association_id: str


@dataclass(frozen=True)
class AssociateAddress(Op[AssociateAddressResult], role="clc"):
    """Lead the address to an instance; the automatic address that it had goes back to the pool.

    The same again gives the same association. `allow_reassociation=False` refuses to take the address
    from another instance.
    """

    allocation_id: str | None = None
    public_ip: str | None = None
    instance_id: str | None = None
    network_interface_id: str | None = None
    private_ip_address: str | None = None
    allow_reassociation: bool | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class DisassociateAddress(Op[Done], role="clc"):
    """The instance gets a fresh automatic address. By `public_ip`, twice is harmless."""

    association_id: str | None = None
    public_ip: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Address:
    public_ip: str
    allocation_id: str
    domain: str
    public_ipv4_pool: str = "amazon"
    network_border_group: str = ""
    association_id: str | None = None
    instance_id: str | None = None
    network_interface_id: str | None = None
    network_interface_owner_id: str | None = None
    private_ip_address: str | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class DescribeAddressesResult:
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True)
class DescribeAddresses(Op[DescribeAddressesResult], role="clc"):
    allocation_ids: tuple[str, ...] = ()
    public_ips: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    dry_run: bool = False
