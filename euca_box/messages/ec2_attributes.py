"""EC2 actions on the attributes of one instance (EC2 2016-11-15; the flat Attribute and Value of 2009)."""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op
from euca_box.messages.ec2_common import GroupIdentifier, ProductCode
from euca_box.messages.ec2_instances import InstanceBlockDeviceMapping, InstanceMetadataOptions


@dataclass(frozen=True)
class AttributeValue:
    value: str | None = None


@dataclass(frozen=True)
class AttributeBooleanValue:
    value: bool = False


@dataclass(frozen=True)
class BlobAttributeValue:
    value: bytes = b""


@dataclass(frozen=True)
class InstanceAttribute:
    """The one that was asked for; the others are None."""

    instance_id: str
    block_device_mappings: tuple[InstanceBlockDeviceMapping, ...] | None = None
    disable_api_termination: AttributeBooleanValue | None = None
    ena_support: AttributeBooleanValue | None = None
    ebs_optimized: AttributeBooleanValue | None = None
    instance_initiated_shutdown_behavior: AttributeValue | None = None
    instance_type: AttributeValue | None = None
    kernel_id: AttributeValue | None = None
    product_codes: tuple[ProductCode, ...] | None = None
    ramdisk_id: AttributeValue | None = None
    root_device_name: AttributeValue | None = None
    source_dest_check: AttributeBooleanValue | None = None
    sriov_net_support: AttributeValue | None = None
    user_data: AttributeValue | None = None
    disable_api_stop: AttributeBooleanValue | None = None
    groups: tuple[GroupIdentifier, ...] | None = None


@dataclass(frozen=True)
class DescribeInstanceAttribute(Op[InstanceAttribute], role="clc"):
    """`attribute` is instanceType, kernel, ramdisk, userData, disableApiTermination, groupSet..."""

    instance_id: str
    attribute: str
    dry_run: bool = False


@dataclass(frozen=True)
class EbsInstanceBlockDeviceSpecification:
    volume_id: str | None = None
    delete_on_termination: bool | None = None


@dataclass(frozen=True)
class InstanceBlockDeviceMappingSpecification:
    device_name: str | None = None
    ebs: EbsInstanceBlockDeviceSpecification | None = None


@dataclass(frozen=True)
class ModifyInstanceAttribute(Op[Done], role="clc", timeout=90):
    """One attribute. Groups, protections, shutdown behaviour and DeleteOnTermination of volumes at any time;
    type, user data, kernel and ramdisk of a stopped instance. Twice is harmless."""

    instance_id: str
    attribute: str | None = None
    value: str | None = None
    groups: tuple[str, ...] = ()
    disable_api_termination: AttributeBooleanValue | None = None
    disable_api_stop: AttributeBooleanValue | None = None
    instance_initiated_shutdown_behavior: AttributeValue | None = None
    instance_type: AttributeValue | None = None
    kernel: AttributeValue | None = None
    ramdisk: AttributeValue | None = None
    user_data: BlobAttributeValue | None = None
    source_dest_check: AttributeBooleanValue | None = None
    block_device_mappings: tuple[InstanceBlockDeviceMappingSpecification, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class ResetInstanceAttribute(Op[Done], role="clc"):
    """kernel or ramdisk of a stopped instance back to those of its image; sourceDestCheck to true."""

    instance_id: str
    attribute: str
    dry_run: bool = False


@dataclass(frozen=True)
class ModifyInstanceMetadataOptionsResult:
    instance_id: str
    instance_metadata_options: InstanceMetadataOptions


@dataclass(frozen=True)
class ModifyInstanceMetadataOptions(Op[ModifyInstanceMetadataOptionsResult], role="clc", timeout=90):
    """What is not named stays. In force on the node when this answers, or `pending`."""

    instance_id: str
    http_tokens: str | None = None
    http_put_response_hop_limit: int | None = None
    http_endpoint: str | None = None
    instance_metadata_tags: str | None = None
    dry_run: bool = False
