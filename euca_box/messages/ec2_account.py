"""EC2 actions on the account as such (EC2 2016-11-15)."""

from dataclasses import dataclass

from euca_box.messages.base import Op


@dataclass(frozen=True)
class AccountAttributeValue:
    attribute_value: str


@dataclass(frozen=True)
class AccountAttribute:
    attribute_name: str
    attribute_values: tuple[AccountAttributeValue, ...] = ()


@dataclass(frozen=True)
class DescribeAccountAttributesResult:
    account_attributes: tuple[AccountAttribute, ...] = ()


@dataclass(frozen=True)
class DescribeAccountAttributes(Op[DescribeAccountAttributesResult], role="clc"):
    """Limits and the kind of network; all of them, or those that are named."""

    attribute_names: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeReservedInstancesResult:
    """`reserved_instances` has none: nothing is sold here."""

    reserved_instances: tuple[str, ...] = ()


@dataclass(frozen=True)
class DescribeReservedInstances(Op[DescribeReservedInstancesResult], role="clc"):
    """None, as in Eucalyptus 1.6.2."""

    reserved_instances_ids: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeReservedInstancesOfferingsResult:
    reserved_instances_offerings: tuple[str, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeReservedInstancesOfferings(Op[DescribeReservedInstancesOfferingsResult], role="clc"):
    """None, as in Eucalyptus 1.6.2."""

    reserved_instances_offering_ids: tuple[str, ...] = ()
    dry_run: bool = False
