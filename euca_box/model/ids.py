"""Ids of resources: a prefix and 8 lower-case hex digits, as Eucalyptus wrote them, or 17 by setting.

AWS writes 17 digits today; clients take both. Ids are looked up in any case (1.6.2 wrote upper case).
"""

import random
import re
from collections.abc import Callable

from euca_box.model.ec2_errors import InvalidIDMalformed

DIGITS = 8
LONG_DIGITS = 17

# What AWS answers for an id that does not even look like one; the rest use Invalid<Kind>ID.Malformed.
MALFORMED = {
    "i": "InvalidInstanceID.Malformed",
    "emi": "InvalidAMIID.Malformed",
    "sg": "InvalidGroupId.Malformed",
    "sgr": "InvalidSecurityGroupRuleId.Malformed",
    "eipalloc": "InvalidAllocationID.Malformed",
    "eipassoc": "InvalidAssociationID.Malformed",
    "vol": "InvalidVolumeID.Malformed",
    "snap": "InvalidSnapshotID.Malformed",
    "vpc": "InvalidVpcID.Malformed",
    "subnet": "InvalidSubnetID.Malformed",
    "key": "InvalidKeyPairID.Malformed",
    "igw": "InvalidInternetGatewayId.Malformed",
    "rtb": "InvalidRouteTableId.Malformed",
    "acl": "InvalidNetworkAclId.Malformed",
    "dopt": "InvalidDhcpOptionsId.Malformed",
    "eni": "InvalidNetworkInterfaceId.Malformed",
}

IMAGES = {"ami": "emi", "aki": "eki", "ari": "eri"}  # AWS's prefix -> Eucalyptus's

_SHAPE = re.compile(r"([a-z]+)-([0-9a-f]{8}|[0-9a-f]{17})")

NewId = Callable[[str], str]


def id_maker(randomness: random.Random, digits: int = DIGITS) -> NewId:
    """A function `new_id("i") -> "i-4e9f08a1"`. A clash with a row is a
    Conflict of the store; `unused` makes it rarer still."""

    def new_id(prefix: str) -> str:
        return f"{prefix}-{randomness.getrandbits(4 * digits):0{digits}x}"

    return new_id


def unused(new_id: NewId, prefix: str, taken: Callable[[str], object | None]) -> str:
    """An id that `taken` does not know."""
    while taken(found := new_id(prefix)) is not None:
        pass
    return found


def checked_image(value: str) -> str:
    """The id of an image in lower case, as we keep it: clients of AWS may write ami-, aki-, ari-."""
    prefix, _, digits = checked(value, *IMAGES.values(), *IMAGES).partition("-")
    return f"{IMAGES.get(prefix, prefix)}-{digits}"


def image_names(image_id: str | None) -> list[str]:
    """Both names of an image, for filters: as we write it and as AWS would."""
    if image_id is None:
        return []
    prefix, _, digits = image_id.partition("-")
    return [image_id, *(f"{theirs}-{digits}" for theirs, ours in IMAGES.items() if ours == prefix)]


def checked(value: str, *prefixes: str) -> str:
    """The id in lower case, if it has the shape of one of the prefixes.

    Raises InvalidIDMalformed with the code of the first prefix.
    """
    match = _SHAPE.fullmatch(value.strip().lower())
    if match is None or match[1] not in prefixes:
        raise InvalidIDMalformed(MALFORMED.get(prefixes[0], "InvalidParameterValue"), value)
    return match[0]


def wire_digits(instance_id: str) -> str:
    """The digits by which a network knows an instance: all of a short id, the last 8 of a long one.

    An interface name and a MAC have room for no more, so no two instances may share them.
    """
    return instance_id.partition("-")[2][-DIGITS:].rjust(DIGITS, "0")


def mac_of(instance_id: str) -> str:
    """d0:0d and four bytes of the instance id, as Eucalyptus made it."""
    digits = wire_digits(instance_id)
    return ":".join(["d0", "0d", *(digits[i : i + 2] for i in range(0, DIGITS, 2))])
