"""EC2 actions on images (EC2 2016-11-15). Attributes are in ec2_image_attributes."""

from dataclasses import dataclass

from euca_box.messages.base import Op
from euca_box.messages.ec2_common import Filter, ProductCode, Returned, Tag, TagSpecification
from euca_box.messages.ec2_instances import BlockDeviceMapping, StateReason


@dataclass(frozen=True)
class Image:
    image_id: str
    image_location: str
    state: str
    owner_id: str
    public: bool
    architecture: str
    image_type: str
    creation_date: str
    name: str = ""
    description: str | None = None
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    root_device_type: str = "instance-store"
    root_device_name: str = "/dev/sda1"
    virtualization_type: str = "hvm"
    hypervisor: str = "xen"  # EC2 knows ovm and xen, and says xen of KVM too
    state_reason: StateReason | None = None
    tags: tuple[Tag, ...] = ()
    boot_mode: str | None = None
    block_device_mappings: tuple[BlockDeviceMapping, ...] = ()
    imds_support: str | None = None
    product_codes: tuple[ProductCode, ...] = ()
    source_instance_id: str | None = None
    source_image_id: str | None = None
    source_image_region: str | None = None


@dataclass(frozen=True)
class RegisterImageResult:
    image_id: str


@dataclass(frozen=True)
class RegisterImage(Op[RegisterImageResult], role="clc", timeout=600):
    """Make an image of an object in Walrus: `image_location` is `bucket/key`.

    Of a bundle it is the manifest, `*.manifest.xml`; the image is pending until it is unpacked.

    Without an object: of a snapshot that is mapped to the root device; instances boot from a volume of it.

    What the object is (kernel, ramdisk, root file system, whole disk) is read from its first bytes;
    a name that begins with `vmlinuz` or `initrd` must agree, as 1.6.2 went by the name.
    """

    image_location: str | None = None
    block_device_mappings: tuple[BlockDeviceMapping, ...] = ()
    name: str | None = None
    description: str | None = None
    architecture: str | None = None
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    root_device_name: str | None = None
    virtualization_type: str | None = None
    ena_support: bool | None = None
    sriov_net_support: str | None = None
    tag_specifications: tuple[TagSpecification, ...] = ()
    boot_mode: str | None = None
    imds_support: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class DeregisterImage(Op[Returned], role="clc"):
    """Take the image from the list. Instances that run from it go on."""

    image_id: str
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeImagesResult:
    images: tuple[Image, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeImages(Op[DescribeImagesResult], role="clc"):
    image_ids: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    executable_users: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    include_deprecated: bool = False
    include_disabled: bool = False
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False
