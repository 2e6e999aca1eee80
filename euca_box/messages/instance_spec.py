"""Everything a cluster and a node need to run one instance; travels down with the wish to run it."""

from dataclasses import dataclass, replace

from euca_box.model.images import ImageData
from euca_box.model.instances import ExtraDisk, NodeState, Reason, VmType
from euca_box.model.volumes import VolumeReport, VolumeWish


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
    metadata_tags: str = "disabled"
    monitoring: bool = False
    wanted_private_ip: str | None = None
    wants_public_ip: bool = True
    tags: tuple[tuple[str, str], ...] = ()
    generation: int = 0  # of the wish: an older one undoes no newer one
    starts: int = 0  # how often it was started again, on the disk that it has
    shutdown_behavior: str = "terminate"
    extra_disks: tuple[ExtraDisk, ...] = ()
    boot_mode: str = ""  # legacy-bios, uefi, uefi-preferred; empty: BIOS
    product_codes: tuple[str, ...] = ()
    volumes: tuple[VolumeWish, ...] = ()  # that shall be attached
    boots_from_volume: bool = False  # that at root_device_name; there is no image to fetch
    request_id: str = ""  # of the user's call, for the logs

    @property
    def can_move(self) -> bool:
        """Whether it can start on any node: none has a disk of it."""
        return self.boots_from_volume and not self.extra_disks

    @property
    def all_disk_gib(self) -> int:
        return self.vm_type.disk_gib + -(-sum(disk.size_mib for disk in self.extra_disks) // 1024)


@dataclass(frozen=True)
class InstanceChanges:
    """What may change of an instance in its life. Its image may be gone by then, so it is no new spec."""

    instance_id: str
    generation: int
    starts: int
    vm_type: VmType
    launch_time: float
    group_ids: tuple[str, ...]
    group_names: tuple[str, ...]
    http_tokens: str
    http_endpoint: str
    hop_limit: int
    shutdown_behavior: str
    kernel_id: str | None = None
    kernel: ImageData | None = None  # None: the one that it has, if it still has this id
    ramdisk_id: str | None = None
    ramdisk: ImageData | None = None
    user_data: bytes = b""
    tags: tuple[tuple[str, str], ...] = ()
    metadata_tags: str = "disabled"
    monitoring: bool = False
    volumes: tuple[VolumeWish, ...] = ()
    request_id: str = ""


def changed_spec(spec: InstanceSpec, changes: InstanceChanges) -> InstanceSpec:
    """The newer spec. Its disks keep their sizes: they were made for the first VM type."""
    kernel = spec.kernel if changes.kernel_id == spec.kernel_id else changes.kernel
    ramdisk = spec.ramdisk if changes.ramdisk_id == spec.ramdisk_id else changes.ramdisk
    return replace(
        spec,
        generation=changes.generation,
        starts=changes.starts,
        vm_type=replace(changes.vm_type, disk_gib=spec.vm_type.disk_gib),
        launch_time=changes.launch_time,
        group_ids=changes.group_ids,
        group_names=changes.group_names,
        http_tokens=changes.http_tokens,
        http_endpoint=changes.http_endpoint,
        hop_limit=changes.hop_limit,
        metadata_tags=changes.metadata_tags,
        monitoring=changes.monitoring,
        shutdown_behavior=changes.shutdown_behavior,
        kernel_id=changes.kernel_id,
        kernel=kernel,
        ramdisk_id=changes.ramdisk_id,
        ramdisk=ramdisk,
        user_data=changes.user_data,
        tags=changes.tags,
        volumes=changes.volumes,
        request_id=changes.request_id or spec.request_id,
    )


@dataclass(frozen=True)
class Placement:
    """Where the cluster put an instance, and its addresses.

    `private_ip` is empty where the site gives it (mode SYSTEM). `network` and `tag` are those of its group in
    the MANAGED modes. `mac`: from the site's map (mode STATIC); empty: the one of its id.
    """

    node: str
    private_ip: str
    public_ip: str | None
    network: str = ""
    tag: int = 0
    mac: str = ""


@dataclass(frozen=True)
class RemoteInstance:
    """An instance on another node. `host`: that node's address on the network between the nodes."""

    instance_id: str
    mac: str
    private_ip: str
    group_ids: tuple[str, ...]
    host: str
    public_ip: str = ""
    tag: int = 0


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
    generation: int = 0  # of the newest wish that its node knows
    starts: int = 0
    health: str = ""  # what is wrong with one that runs
    volumes: tuple[VolumeReport, ...] = ()  # that it has, is to have, or has not let go of yet
    mac: str = ""  # when it is not the one of its id


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
