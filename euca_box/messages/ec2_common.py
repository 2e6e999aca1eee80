"""Pieces that many EC2 messages share (EC2 2016-11-15): filters, tags, and what a reply may be.

Field names are the members of the EC2 model in snake case; `api/ec2/shapes.json` has their wire names.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Filter:
    """`Filter.1.Name=tag:env&Filter.1.Value.1=prod`: values are ORed, filters are ANDed."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tag:
    key: str
    value: str = ""


@dataclass(frozen=True)
class ProductCode:
    """What an image's owner calls a product that it holds. Whoever may run the image may not change it."""

    product_code_id: str
    product_code_type: str = "devpay"  # EC2 2016-11-15 ProductCodeValues


@dataclass(frozen=True)
class TagSpecification:
    """Tags for what the action makes: `resource_type` is `instance`, `image`, `key-pair`..."""

    resource_type: str
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class GroupIdentifier:
    group_name: str
    group_id: str


@dataclass(frozen=True)
class Returned:
    """`<return>true</return>`, for actions whose reply has that member."""

    return_: bool = True
