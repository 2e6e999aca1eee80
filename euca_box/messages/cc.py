"""What the CLC asks a cluster controller. Names as in Eucalyptus 1.6.2, with Cc before them."""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op
from euca_box.messages.bundling import BundleOrder, Bundling
from euca_box.messages.instance_spec import (
    GroupRules,
    GroupsInForce,
    InstanceChanges,
    InstanceReport,
    InstanceSpec,
    Placement,
)
from euca_box.messages.walrus import Caching
from euca_box.model.images import ImageData
from euca_box.model.metadata import RoleCredentials
from euca_box.model.nodes import NodeWish
from euca_box.model.traces import Step
from euca_box.model.usage import Counters


@dataclass(frozen=True)
class Available:
    """How many more instances of a type fit, and how many would if the cluster were empty."""

    instance_type: str
    available: int
    most: int


@dataclass(frozen=True)
class Node:
    name: str
    state: str  # of model/nodes.NodeCondition
    cores: int
    cores_free: float
    memory_mib: int
    memory_free_mib: int
    disk_gib: int
    disk_free_gib: int
    accelerator: str = ""
    detail: str = ""
    wish: str = "ENABLED"  # of model/nodes.NodeWish


@dataclass(frozen=True)
class ZoneNode:
    """A node of the zone: its address on the bus (nc@HOST), and what the operator wishes of it."""

    address: str
    wish: NodeWish = NodeWish.ENABLED


@dataclass(frozen=True)
class NodesInForce:
    """The version in force: newer than asked when the request was ignored."""

    version: int


@dataclass(frozen=True)
class CcSyncNodes(Op[NodesInForce], role="cc", timeout=20):
    """All nodes of the zone. Who is not named leaves it: its instances are seen no more, and are gone once
    they shall end. An older version is ignored, the same one again is harmless."""

    version: int
    nodes: tuple[ZoneNode, ...]


@dataclass(frozen=True)
class Resources:
    types: tuple[Available, ...]
    nodes: tuple[Node, ...]
    public_addresses: int = 0
    public_addresses_free: int = 0


@dataclass(frozen=True)
class CcDescribeResources(Op[Resources], role="cc", timeout=10):
    """Capacity for each of the types named, as (name, cpu, memory_mib, GiB of all disks), and the nodes."""

    types: tuple[tuple[str, int, int, int], ...] = ()
    nodes: bool = True


@dataclass(frozen=True)
class CcRunInstance(Op[Placement], role="cc", timeout=60, mutates=True):
    """Choose a node and addresses, and have it run. Twice gives the same placement.

    InsufficientInstanceCapacity when it fits nowhere; nothing is kept then.
    """

    spec: InstanceSpec


@dataclass(frozen=True)
class CcTerminateInstance(Op[Done], role="cc", timeout=60):
    """Have it ended; the report says when it is gone. Twice is harmless, unknown is harmless."""

    instance_id: str


@dataclass(frozen=True)
class CcStopInstance(Op[Done], role="cc", timeout=60):
    """Have it stopped: its disk and private address stay, capacity and automatic address become free.

    The report says when. An older generation than the one known is ignored, the same one is harmless.
    `force`: without asking the guest.
    """

    instance_id: str
    generation: int
    force: bool = False


@dataclass(frozen=True)
class CcStartInstance(Op[Placement], role="cc", timeout=60):
    """Have a stopped instance started again, on its node. An older generation is ignored.

    InsufficientInstanceCapacity when its node has no room for it; it stays stopped then.
    """

    changes: InstanceChanges


@dataclass(frozen=True)
class ChangeTaken:
    """`in_force`: the node has it. Else it is kept, and in force when the node is back."""

    in_force: bool


@dataclass(frozen=True)
class CcModifyInstance(Op[ChangeTaken], role="cc", timeout=60):
    """Change what may change while it runs: groups, metadata options. An older generation is ignored."""

    changes: InstanceChanges


@dataclass(frozen=True)
class CcSetCredentials(Op[Done], role="cc", timeout=20):
    """As NcSetCredentials, to the instance's node."""

    instance_id: str
    credentials: RoleCredentials | None = field(default=None, repr=False)


@dataclass(frozen=True)
class CcRebootInstance(Op[Done], role="cc", timeout=320):
    """`wait`: answer when it has been reset, or has done it itself; else at once."""

    instance_id: str
    wait: bool = False


@dataclass(frozen=True)
class CcHoldInstance(Op[Done], role="cc", timeout=30):
    """As NcHoldInstance, of the instance's node."""

    instance_id: str
    hold: bool


@dataclass(frozen=True)
class ConsoleOutput:
    output: bytes
    at: float


@dataclass(frozen=True)
class CcCreateImage(Op[Caching], role="cc", timeout=60):
    """As NcCreateImage, of the instance's node."""

    instance_id: str
    image_id: str
    no_reboot: bool = False
    wait_seconds: float = 0.0
    ticket: str = field(default="", repr=False)


@dataclass(frozen=True)
class CcBundleInstance(Op[Bundling], role="cc", timeout=60):
    """As NcBundleInstance, of the instance's node."""

    order: BundleOrder
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class CcSendManifest(Op[Done], role="cc", timeout=60):
    order: BundleOrder
    text: bytes
    signature: str


@dataclass(frozen=True)
class CcCancelBundleTask(Op[Done], role="cc", timeout=40):
    instance_id: str
    bundle_id: str


@dataclass(frozen=True)
class CcGetConsoleOutput(Op[ConsoleOutput], role="cc", timeout=20):
    instance_id: str


@dataclass(frozen=True)
class Screenshot:
    jpeg: bytes


@dataclass(frozen=True)
class CcGetConsoleScreenshot(Op[Screenshot], role="cc", timeout=20):
    instance_id: str
    wake_up: bool = False


@dataclass(frozen=True)
class Sample:
    """Counters at a time, in seconds since 1970."""

    at: float
    counters: Counters


@dataclass(frozen=True)
class Usage:
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True)
class InstanceUsage:
    """The last two samples of an instance that runs, or one, the newer last."""

    instance_id: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Usages:
    instances: tuple[InstanceUsage, ...]


@dataclass(frozen=True)
class CcListUsage(Op[Usages], role="cc", timeout=20):
    """What every instance of the cluster uses now; those of a node that does not answer are missing."""


@dataclass(frozen=True)
class CcGetUsage(Op[Usage], role="cc", timeout=20):
    """What was measured of the instance after a time."""

    instance_id: str
    after: float = 0.0


@dataclass(frozen=True)
class CachedImage:
    """A file of a node's image cache. `used_at`: seconds since 1970."""

    sha256: str
    size_bytes: int
    used_at: float
    in_use: bool


@dataclass(frozen=True)
class ImageCache:
    """What a node has in its cache. `missing`: images that were asked for and are still on their way."""

    node: str
    limit_bytes: int
    images: tuple[CachedImage, ...] = ()
    missing: tuple[str, ...] = ()  # SHA-256
    failed: tuple[tuple[str, str], ...] = ()  # SHA-256, and why it cannot be had


@dataclass(frozen=True)
class ImageCaches:
    caches: tuple[ImageCache, ...]


@dataclass(frozen=True)
class CcCacheImages(Op[ImageCaches], role="cc", timeout=40):
    """NcCacheImages at every node that is up."""

    images: tuple[ImageData, ...] = ()
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class Leftover:
    """Something on a node that belonged to no instance. `deed`: removed or kept."""

    node: str
    at: float
    kind: str
    name: str
    deed: str


@dataclass(frozen=True)
class Leftovers:
    found: tuple[Leftover, ...]


@dataclass(frozen=True)
class CcDescribeLeftovers(Op[Leftovers], role="cc", timeout=20):
    """What the nodes that are up found, the newest first."""


@dataclass(frozen=True)
class Traced:
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class CcTraceNetwork(Op[Traced], role="cc", timeout=40):
    """The way of a packet to the instance, or without one what every node needs. Changes nothing."""

    instance_id: str | None = None


@dataclass(frozen=True)
class Reports:
    """`version` is what to ask after next. `complete`: every node has answered lately.

    `partial`: only what changed after the version that was asked for.
    """

    version: int
    instances: tuple[InstanceReport, ...]
    complete: bool
    partial: bool = False


@dataclass(frozen=True)
class CcDescribeInstances(Op[Reports], role="cc", timeout=40):
    """Instances of the cluster: all, or those named, or those that changed after a version that this cluster
    controller told; then it waits up to wait_seconds until one does."""

    after: int = -1
    wait_seconds: float = 0.0
    instance_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class CcConfigureGroups(Op[GroupsInForce], role="cc", timeout=60):
    """The security groups that have instances here, all of them. An older version is ignored."""

    version: int
    groups: tuple[GroupRules, ...]


@dataclass(frozen=True)
class PublicAddress:
    public_ip: str


@dataclass(frozen=True)
class CcAllocateAddress(Op[PublicAddress], role="cc", timeout=20):
    """Take an address from the pool for an account: `public_ip`, or any. The same allocation id gives the
    same address.

    InvalidAddressNotFound when the one named is not free, InsufficientAddressCapacity when none is.
    """

    allocation_id: str
    public_ip: str | None = None


@dataclass(frozen=True)
class ElasticAddress:
    """Who holds an address, and which instance it shall lead to."""

    allocation_id: str
    public_ip: str
    instance_id: str | None = None


@dataclass(frozen=True)
class AddressesInForce:
    """The version in force: newer than asked when the request was ignored."""

    version: int


@dataclass(frozen=True)
class CcAssignAddresses(Op[AddressesInForce], role="cc", timeout=60):
    """All elastic addresses of the zone as they should be; in force on nodes that are up when answered.

    What is not named is released; an instance that lost its address gets an automatic one. An older
    version is ignored, the same one again is harmless.
    """

    version: int
    addresses: tuple[ElasticAddress, ...]
