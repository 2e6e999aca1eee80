"""EC2 action name -> message: what the front ends may ask the CLC for. The coverage table reads it."""

from typing import Any

from euca_box.messages import (
    ec2_account,
    ec2_addresses,
    ec2_attributes,
    ec2_bundle_tasks,
    ec2_groups,
    ec2_image_attributes,
    ec2_image_copies,
    ec2_images,
    ec2_instances,
    ec2_keypairs,
    ec2_places,
    ec2_profiles,
    ec2_snapshots,
    ec2_statuses,
    ec2_tags,
    ec2_volumes,
    ec2_vpcs,
)
from euca_box.messages.base import Op

_MODULES = (
    ec2_account,
    ec2_addresses,
    ec2_attributes,
    ec2_instances,
    ec2_image_attributes,
    ec2_image_copies,
    ec2_images,
    ec2_bundle_tasks,
    ec2_snapshots,
    ec2_keypairs,
    ec2_groups,
    ec2_places,
    ec2_profiles,
    ec2_statuses,
    ec2_tags,
    ec2_volumes,
    ec2_vpcs,
)

EC2_ACTIONS: dict[str, type[Op[Any]]] = {
    name: kind
    for module in _MODULES
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Op) and kind is not Op
}
