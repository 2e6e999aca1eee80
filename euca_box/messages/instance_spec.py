"""Everything a cluster and a node need to run one instance; travels down with the wish to run it."""

from dataclasses import dataclass

from euca_box.model.images import ImageData
from euca_box.model.instances import NodeState, Reason, VmType


@dataclass(frozen=True)
class InstanceSpec:
    instance_id: str
    reservation_id: str
    account: str
    vm_type: VmType
    launch_index: int
    launch_time: float
    image_id: str
    image: ImageData
    group_ids: tuple[str, ...]
    group_names: tuple[str, ...]
    kernel_id: str | None = None
    kernel: ImageData | None = None
    ramdisk_id: str | None = None
    ramdisk: ImageData | None = None
    key_name: str | None = None
    public_key: str = ""
    user_data: bytes = b""
    root_device_name: str = "/dev/sda1"
    zone: str = ""
    region: str = ""
    vpc_id: str = ""
    subnet_id: str = ""
    http_tokens: str = "optional"
    http_endpoint: str = "enabled"
    hop_limit: int = 1
    wants_public_ip: bool = True
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Placement:
    """Where the cluster put an instance, and its addresses."""

    node: str
    private_ip: str
    public_ip: str | None


@dataclass(frozen=True)
class InstanceReport:
    """What is true of an instance below. `gone`: nothing of it is left, its addresses are free."""

    instance_id: str
    state: NodeState
    node: str = ""
    private_ip: str | None = None
    public_ip: str | None = None
    reason: Reason | None = None
    gone: bool = False
    step: str = ""  # what a pending instance is waiting for, in words


@dataclass(frozen=True)
class Rule:
    """A permission of a security group, as the network takes it."""

    protocol: str
    from_port: int
    to_port: int
    cidr: str | None = None
    group_id: str | None = None


@dataclass(frozen=True)
class GroupsInForce:
    """The version of the security groups that is in force below: newer than asked when it was ignored."""

    version: int


@dataclass(frozen=True)
class GroupRules:
    group_id: str
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]
