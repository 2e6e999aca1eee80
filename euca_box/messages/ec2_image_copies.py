"""EC2 actions that make images of instances and of images (EC2 2016-11-15)."""

from dataclasses import dataclass

from euca_box.messages.base import Op
from euca_box.messages.ec2_common import TagSpecification


@dataclass(frozen=True)
class CreateImageResult:
    image_id: str


@dataclass(frozen=True)
class CreateImage(Op[CreateImageResult], role="clc"):
    """Make an image of the root disk of an instance that runs or is stopped; it is pending meanwhile.

    One that runs is rebooted, and its disk read before it comes up again; with `no_reboot` it is read as it
    is at one moment, as if the power had failed. Disks are not mapped anew: there are no snapshots.
    """

    instance_id: str
    name: str
    description: str | None = None
    no_reboot: bool = False
    tag_specifications: tuple[TagSpecification, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class CopyImageResult:
    image_id: str


@dataclass(frozen=True)
class CopyImage(Op[CopyImageResult], role="clc"):
    """Make an image of one's own of an image that one may run. The same client token makes one image."""

    name: str
    source_image_id: str
    source_region: str
    description: str | None = None
    client_token: str | None = None
    copy_image_tags: bool = False
    tag_specifications: tuple[TagSpecification, ...] = ()
    dry_run: bool = False
