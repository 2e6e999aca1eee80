"""EC2 actions on instances (EC2 2016-11-15; RunInstancesType of WSDL 2009-04-04 for older clients)."""

from dataclasses import dataclass
from datetime import datetime

from euca_box.messages.base import Done, Op
from euca_box.messages.ec2_common import Filter, GroupIdentifier, ProductCode, Tag, TagSpecification


@dataclass(frozen=True)
class Placement:
    availability_zone: str | None = None
    group_name: str | None = None
    tenancy: str | None = None


@dataclass(frozen=True)
class RunInstancesMonitoringEnabled:
    enabled: bool = False


@dataclass(frozen=True)
class InstanceMetadataOptionsRequest:
    http_tokens: str | None = None
    http_put_response_hop_limit: int | None = None
    http_endpoint: str | None = None
    instance_metadata_tags: str | None = None


@dataclass(frozen=True)
class InstanceNetworkInterfaceSpecification:
    """The one interface of an instance, asked for in words of its own: subnet, groups and addresses."""

    device_index: int | None = None
    subnet_id: str | None = None
    groups: tuple[str, ...] = ()
    private_ip_address: str | None = None
    associate_public_ip_address: bool | None = None
    delete_on_termination: bool | None = None
    network_interface_id: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class EbsBlockDevice:
    """A volume to make: of zeros, or of a snapshot."""

    snapshot_id: str | None = None
    volume_size: int | None = None
    volume_type: str | None = None
    delete_on_termination: bool | None = None
    encrypted: bool | None = None


@dataclass(frozen=True)
class BlockDeviceMapping:
    """`virtual_name`: ephemeral0 or swap, as the VM type has them; `no_device`, empty: leave it out."""

    device_name: str | None = None
    virtual_name: str | None = None
    no_device: str | None = None
    ebs: EbsBlockDevice | None = None


@dataclass(frozen=True)
class IamInstanceProfileSpecification:
    """By ARN or by name."""

    arn: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class IamInstanceProfile:
    arn: str
    id: str


@dataclass(frozen=True)
class InstanceState:
    code: int
    name: str


@dataclass(frozen=True)
class StateReason:
    code: str
    message: str


@dataclass(frozen=True)
class Monitoring:
    state: str = "disabled"


@dataclass(frozen=True)
class InstanceMetadataOptions:
    state: str = "applied"
    http_tokens: str = "optional"
    http_put_response_hop_limit: int = 1
    http_endpoint: str = "enabled"
    instance_metadata_tags: str = "disabled"


@dataclass(frozen=True)
class InstancePlacement:
    availability_zone: str
    group_name: str = ""
    tenancy: str = "default"


@dataclass(frozen=True)
class NetworkInterfaceAssociation:
    ip_owner_id: str
    public_dns_name: str
    public_ip: str


@dataclass(frozen=True)
class NetworkInterface:
    """The one interface of an instance, as the default VPC shows it."""

    network_interface_id: str
    mac_address: str
    owner_id: str
    private_ip_address: str
    private_dns_name: str
    subnet_id: str
    vpc_id: str
    groups: tuple[GroupIdentifier, ...] = ()
    association: NetworkInterfaceAssociation | None = None
    status: str = "in-use"
    source_dest_check: bool = True


@dataclass(frozen=True)
class EbsInstanceBlockDevice:
    attach_time: datetime
    delete_on_termination: bool
    status: str
    volume_id: str


@dataclass(frozen=True)
class InstanceBlockDeviceMapping:
    device_name: str
    ebs: EbsInstanceBlockDevice


@dataclass(frozen=True)
class Instance:
    instance_id: str
    image_id: str
    state: InstanceState
    private_dns_name: str
    public_dns_name: str
    state_transition_reason: str
    ami_launch_index: int
    instance_type: str
    launch_time: datetime
    placement: InstancePlacement
    key_name: str | None = None
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    monitoring: Monitoring = Monitoring()
    subnet_id: str | None = None
    vpc_id: str | None = None
    private_ip_address: str | None = None
    public_ip_address: str | None = None
    architecture: str = "x86_64"
    root_device_type: str = "instance-store"
    root_device_name: str = "/dev/sda1"
    block_device_mappings: tuple[InstanceBlockDeviceMapping, ...] = ()
    virtualization_type: str = "hvm"
    hypervisor: str = "xen"  # EC2 knows ovm and xen, and says xen of KVM too
    client_token: str = ""
    ebs_optimized: bool = False
    source_dest_check: bool = True
    state_reason: StateReason | None = None
    tags: tuple[Tag, ...] = ()
    security_groups: tuple[GroupIdentifier, ...] = ()
    network_interfaces: tuple[NetworkInterface, ...] = ()
    product_codes: tuple[ProductCode, ...] = ()
    metadata_options: InstanceMetadataOptions = InstanceMetadataOptions()
    boot_mode: str | None = None
    iam_instance_profile: IamInstanceProfile | None = None


@dataclass(frozen=True)
class Reservation:
    reservation_id: str
    owner_id: str
    groups: tuple[GroupIdentifier, ...] = ()
    instances: tuple[Instance, ...] = ()


@dataclass(frozen=True)
class RunInstances(Op[Reservation], role="clc"):
    """Start between min_count and max_count instances. The same client_token gives the same reservation."""

    image_id: str
    min_count: int
    max_count: int
    instance_type: str | None = None
    key_name: str | None = None
    security_groups: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    user_data: str | None = None
    addressing_type: str | None = None
    placement: Placement | None = None
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    subnet_id: str | None = None
    private_ip_address: str | None = None
    network_interfaces: tuple[InstanceNetworkInterfaceSpecification, ...] = ()
    block_device_mappings: tuple[BlockDeviceMapping, ...] = ()
    client_token: str | None = None
    additional_info: str | None = None
    ebs_optimized: bool = False
    monitoring: RunInstancesMonitoringEnabled | None = None
    instance_initiated_shutdown_behavior: str | None = None
    disable_api_termination: bool = False
    disable_api_stop: bool = False
    metadata_options: InstanceMetadataOptionsRequest | None = None
    iam_instance_profile: IamInstanceProfileSpecification | None = None
    tag_specifications: tuple[TagSpecification, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeInstancesResult:
    reservations: tuple[Reservation, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeInstances(Op[DescribeInstancesResult], role="clc"):
    instance_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class InstanceStateChange:
    instance_id: str
    current_state: InstanceState
    previous_state: InstanceState


@dataclass(frozen=True)
class TerminateInstancesResult:
    terminating_instances: tuple[InstanceStateChange, ...]


@dataclass(frozen=True)
class TerminateInstances(Op[TerminateInstancesResult], role="clc"):
    """Wish the instances gone. Twice is harmless; one unknown id refuses all."""

    instance_ids: tuple[str, ...]
    dry_run: bool = False


@dataclass(frozen=True)
class StopInstancesResult:
    stopping_instances: tuple[InstanceStateChange, ...]


@dataclass(frozen=True)
class StopInstances(Op[StopInstancesResult], role="clc"):
    """Wish the instances stopped: `force` and `skip_os_shutdown` pull the plug at once. Twice is harmless."""

    instance_ids: tuple[str, ...]
    force: bool = False
    skip_os_shutdown: bool = False
    hibernate: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class StartInstancesResult:
    starting_instances: tuple[InstanceStateChange, ...]


@dataclass(frozen=True)
class StartInstances(Op[StartInstancesResult], role="clc"):
    """Start stopped instances again, on their disks. Twice is harmless."""

    instance_ids: tuple[str, ...]
    dry_run: bool = False


@dataclass(frozen=True)
class RebootInstances(Op[Done], role="clc"):
    """Ask the guests to restart; one that does not react is reset by the node."""

    instance_ids: tuple[str, ...]
    dry_run: bool = False


@dataclass(frozen=True)
class GetConsoleOutputResult:
    """`output` is base64, as it stands in the reply."""

    instance_id: str
    timestamp: datetime
    output: str | None


@dataclass(frozen=True)
class GetConsoleOutput(Op[GetConsoleOutputResult], role="clc"):
    """The last 64 KiB of the serial console."""

    instance_id: str
    latest: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class GetConsoleScreenshotResult:
    """`image_data` is a JPEG in base64."""

    instance_id: str
    image_data: str


@dataclass(frozen=True)
class GetConsoleScreenshot(Op[GetConsoleScreenshotResult], role="clc"):
    """The screen of a running instance. `wake_up` presses a key first, because a text console goes blank."""

    instance_id: str
    wake_up: bool = False
    dry_run: bool = False
