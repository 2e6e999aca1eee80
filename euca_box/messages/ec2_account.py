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
