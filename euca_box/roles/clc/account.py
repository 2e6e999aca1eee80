"""What an account may have: its limits and its network, as clients ask before they launch."""

from typing import TYPE_CHECKING

from euca_box.messages import ec2_account as ec2
from euca_box.messages.base import Call
from euca_box.model.ec2_errors import InvalidReservedInstancesId, InvalidReservedInstancesOfferingId
from euca_box.model.errors import InvalidParameterValue
from euca_box.roles.clc.rules import stop_if_dry_run

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


async def describe_account_attributes(
    clc: "Clc", call: Call, op: ec2.DescribeAccountAttributes
) -> ec2.DescribeAccountAttributesResult:
    """`supported-platforms` is VPC alone: requests without a subnet go into the default VPC."""
    stop_if_dry_run(op.dry_run)
    settings = clc.settings
    # An administrator is not counted; the number is what others may have.
    values = {
        "supported-platforms": "VPC",
        "default-vpc": settings.vpc_id,
        "max-instances": str(settings.max_instances),
        "vpc-max-security-groups-per-interface": str(settings.max_security_groups),
        "max-elastic-ips": str(settings.max_addresses),
        "vpc-max-elastic-ips": str(settings.max_addresses),
    }
    for name in op.attribute_names:
        if name not in values:
            raise InvalidParameterValue(
                f"The account attribute '{name[:64]}' is not one of {', '.join(values)}."
            )
    wanted = dict.fromkeys(op.attribute_names) or values
    return ec2.DescribeAccountAttributesResult(
        tuple(ec2.AccountAttribute(name, (ec2.AccountAttributeValue(values[name]),)) for name in wanted)
    )


async def describe_reserved_instances(
    clc: "Clc", call: Call, op: ec2.DescribeReservedInstances
) -> ec2.DescribeReservedInstancesResult:
    for reserved in op.reserved_instances_ids:
        raise InvalidReservedInstancesId(reserved[:64])
    stop_if_dry_run(op.dry_run)
    return ec2.DescribeReservedInstancesResult()


async def describe_reserved_instances_offerings(
    clc: "Clc", call: Call, op: ec2.DescribeReservedInstancesOfferings
) -> ec2.DescribeReservedInstancesOfferingsResult:
    for offering in op.reserved_instances_offering_ids:
        raise InvalidReservedInstancesOfferingId(offering[:64])
    stop_if_dry_run(op.dry_run)
    return ec2.DescribeReservedInstancesOfferingsResult()
