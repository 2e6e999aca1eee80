"""What a cluster controller asks a node controller. Names as in Eucalyptus' NC (ncRunInstance)."""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op
from euca_box.messages.bundling import BundleOrder, Bundling
from euca_box.messages.cc import (
    ConsoleOutput,
    ImageCache,
    Leftovers,
    Reports,
    Screenshot,
    Traced,
    Usage,
    Usages,
)
from euca_box.messages.instance_spec import (
    GroupRules,
    GroupsInForce,
    InstanceSpec,
    Placement,
    RemoteInstance,
)
from euca_box.messages.walrus import Caching
from euca_box.model.images import ImageData
from euca_box.model.metadata import InstanceMetadata, RoleCredentials


@dataclass(frozen=True)
class NcRunInstance(Op[Done], role="nc", timeout=30, mutates=True):
    """Take the instance; its disks and its start follow. Twice is harmless.

    IncorrectState when the id was terminated here before: ids never come back.
    """

    spec: InstanceSpec
    placement: Placement


@dataclass(frozen=True)
class NcTerminateInstance(Op[Done], role="nc", timeout=30):
    """End it and leave nothing. An unknown id is remembered, so that a late NcRunInstance is refused."""

    instance_id: str


@dataclass(frozen=True)
class NcReleaseInstance(Op[Done], role="nc", timeout=30):
    """It was started on another node, with this number of starts: leave nothing of it here. It may come back
    with a later start. Twice is harmless, unknown is harmless."""

    instance_id: str
    starts: int


@dataclass(frozen=True)
class NcStopInstance(Op[Done], role="nc", timeout=30):
    """Press the power button, after a grace pull the plug (`force`: at once), take it from the network.

    Disk and metadata stay. The report says when it is done. An older generation is ignored.
    """

    instance_id: str
    generation: int
    force: bool = False


@dataclass(frozen=True)
class NcStartInstance(Op[Done], role="nc", timeout=30):
    """Take a newer spec. With more `starts` than known it is started again, on its disk; one that runs gets
    its groups and metadata options, in force when this answers. An older generation is ignored."""

    spec: InstanceSpec
    placement: Placement


@dataclass(frozen=True)
class NcSetCredentials(Op[Done], role="nc", timeout=20):
    """What the instance's metadata tells of its role from now on; None: nothing. Kept in memory only: who
    sends it sends it again and again."""

    instance_id: str
    credentials: RoleCredentials | None = field(default=None, repr=False)


@dataclass(frozen=True)
class NcRebootInstance(Op[Done], role="nc", timeout=300):
    """`wait`: answer when it has been reset, or has done it itself; else at once."""

    instance_id: str
    wait: bool = False


@dataclass(frozen=True)
class NcHoldInstance(Op[Done], role="nc", timeout=20):
    """Let the guest stand still, or go on (`hold` false). It goes on by itself after ten seconds.

    IncorrectInstanceState when it does not run.
    """

    instance_id: str
    hold: bool


@dataclass(frozen=True)
class NcCreateImage(Op[Caching], role="nc", timeout=50):
    """Have the root disk of the instance copied and sent to Walrus under the image's id; waits for that up to
    wait_seconds, and tells how far it is. Many may ask; it is done once, and anew when it had failed.

    IncorrectInstanceState when the instance neither runs nor is stopped.
    """

    instance_id: str
    image_id: str
    no_reboot: bool = False
    wait_seconds: float = 0.0
    ticket: str = field(default="", repr=False)


@dataclass(frozen=True)
class NcBundleInstance(Op[Bundling], role="nc", timeout=50):
    """Have the root disk copied, bundled and sent; waits for that up to wait_seconds. Done once for many who
    ask. BundleRefused when Walrus refuses a part."""

    order: BundleOrder
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class NcSendManifest(Op[Done], role="nc", timeout=50):
    """Send the signed manifest behind the parts. Twice is harmless."""

    order: BundleOrder
    text: bytes
    signature: str


@dataclass(frozen=True)
class NcCancelBundleTask(Op[Done], role="nc", timeout=30):
    """Give it up; parts that were sent stay. An unknown one is fine."""

    bundle_id: str


@dataclass(frozen=True)
class NcGetConsoleOutput(Op[ConsoleOutput], role="nc", timeout=10):
    instance_id: str


@dataclass(frozen=True)
class NcGetConsoleScreenshot(Op[Screenshot], role="nc", timeout=15):
    """What the guest's screen shows now. `wake_up`: press Shift first."""

    instance_id: str
    wake_up: bool = False


@dataclass(frozen=True)
class NcGetUsage(Op[Usage], role="nc", timeout=10):
    instance_id: str
    after: float = 0.0


@dataclass(frozen=True)
class NcListUsage(Op[Usages], role="nc", timeout=10):
    """What every instance of the node uses now."""


@dataclass(frozen=True)
class NcCacheImages(Op[ImageCache], role="nc", timeout=40):
    """Fetch these images before an instance needs them; answers when all are there, at the latest after
    wait_seconds, and goes on fetching. Twice is harmless."""

    images: tuple[ImageData, ...] = ()
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class NcDescribeLeftovers(Op[Leftovers], role="nc", timeout=10):
    """The ledger of the sweep, the newest first."""


@dataclass(frozen=True)
class NcDescribeInstances(Op[Reports], role="nc", timeout=40):
    """All instances of the node; waits up to wait_seconds for something newer than `after`."""

    after: int = -1
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class NcTraceNetwork(Op[Traced], role="nc", timeout=20):
    """The way of a packet through this node, to the instance or in general. Changes nothing."""

    instance_id: str | None = None


@dataclass(frozen=True)
class NodeResources:
    cores: int
    memory_mib: int
    disk_gib: int
    accelerator: str
    detail: str
    tunnel_address: str = ""  # on the network between the nodes; empty: it has none
    wake_mac: str = ""  # of the interface that a magic packet wakes
    sleeps: bool = False  # it can put itself to sleep


@dataclass(frozen=True)
class NcDescribeResource(Op[NodeResources], role="nc", timeout=10):
    """What the node offers in all; what is taken, the cluster knows."""


@dataclass(frozen=True)
class NcPowerDown(Op[Done], role="nc", timeout=20):
    """Have the host sleep, a moment after the answer. IncorrectState while it has instances, or cannot."""


@dataclass(frozen=True)
class NcConfigureGroups(Op[GroupsInForce], role="nc", timeout=30):
    version: int
    groups: tuple[GroupRules, ...]


@dataclass(frozen=True)
class NcConfigureNetwork(Op[Done], role="nc", timeout=30):
    """The other nodes of the zone, by their addresses, and the instances on them: all, or what changed after
    the version `since`, and what is `gone` since then.

    An older version than the one known is ignored, the same one is harmless. IncorrectState when the node
    does not know `since`.
    """

    version: int
    hosts: tuple[str, ...]
    remotes: tuple[RemoteInstance, ...]
    since: int | None = None
    gone: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetadataAnswer:
    metadata: InstanceMetadata | None


@dataclass(frozen=True)
class NcDescribeMetadata(Op[MetadataAnswer], role="nc", timeout=5):
    """The metadata of the instance that owns this private address on this node."""

    private_ip: str


@dataclass(frozen=True)
class NcAssignAddress(Op[Done], role="nc", timeout=30):
    """Lead this public address (None: no address) to the instance, instead of the one it has. Twice is
    harmless."""

    instance_id: str
    public_ip: str | None
