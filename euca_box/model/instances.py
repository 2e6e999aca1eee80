"""What an instance is: its states as EC2 shows them, its record at the CLC, its states at the node.

EC2 2016-11-15 InstanceState; the node's words are those of Eucalyptus (Pending, Extant, Teardown).
"""

import enum
from dataclasses import dataclass

from euca_box.model.machine import Machine
from euca_box.model.volumes import Attachment


class InstanceState(enum.StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def code(self) -> int:
        return _CODES[self]


_CODES = {
    InstanceState.PENDING: 0,
    InstanceState.RUNNING: 16,
    InstanceState.SHUTTING_DOWN: 32,
    InstanceState.TERMINATED: 48,
    InstanceState.STOPPING: 64,
    InstanceState.STOPPED: 80,
}


class InstanceEvent(enum.StrEnum):
    STARTED = "start"
    TERMINATE = "terminate"  # a user wishes it, or the launch is given up, or the guest switched itself off
    GONE = "forget"  # nothing of it is left on any node
    STOP = "stop"  # a user wishes it, or the guest switched itself off, or it could not be started again
    HALTED = "call stopped"  # its node says that nothing of it runs
    START_AGAIN = "start again"
    RECOVER = "recover"  # its node is lost, and its root is a volume that another node can have


INSTANCE = Machine(
    noun="instance",
    start=InstanceState.PENDING,
    moves={
        (InstanceState.PENDING, InstanceEvent.STARTED): InstanceState.RUNNING,
        (InstanceState.PENDING, InstanceEvent.TERMINATE): InstanceState.SHUTTING_DOWN,
        (InstanceState.RUNNING, InstanceEvent.TERMINATE): InstanceState.SHUTTING_DOWN,
        (InstanceState.SHUTTING_DOWN, InstanceEvent.TERMINATE): InstanceState.SHUTTING_DOWN,
        (InstanceState.SHUTTING_DOWN, InstanceEvent.GONE): InstanceState.TERMINATED,
        (InstanceState.TERMINATED, InstanceEvent.TERMINATE): InstanceState.TERMINATED,
        (InstanceState.PENDING, InstanceEvent.STOP): InstanceState.STOPPING,
        (InstanceState.RUNNING, InstanceEvent.STOP): InstanceState.STOPPING,
        (InstanceState.STOPPING, InstanceEvent.STOP): InstanceState.STOPPING,
        (InstanceState.STOPPED, InstanceEvent.STOP): InstanceState.STOPPED,
        (InstanceState.STOPPING, InstanceEvent.HALTED): InstanceState.STOPPED,
        (InstanceState.STOPPED, InstanceEvent.START_AGAIN): InstanceState.PENDING,
        (InstanceState.PENDING, InstanceEvent.START_AGAIN): InstanceState.PENDING,
        (InstanceState.RUNNING, InstanceEvent.START_AGAIN): InstanceState.RUNNING,
        (InstanceState.RUNNING, InstanceEvent.RECOVER): InstanceState.PENDING,
        (InstanceState.STOPPING, InstanceEvent.TERMINATE): InstanceState.SHUTTING_DOWN,
        (InstanceState.STOPPED, InstanceEvent.TERMINATE): InstanceState.SHUTTING_DOWN,
    },
)


class NodeState(enum.StrEnum):
    """What a node says of an instance."""

    PENDING = "Pending"  # its disks are being made, or it starts
    EXTANT = "Extant"  # its domain is there
    STOPPED = "Stopped"  # nothing of it runs; its disk is kept
    TEARDOWN = "Teardown"  # it ended, or is ending; `gone` says that nothing is left of it


@dataclass(frozen=True)
class Reason:
    """StateReason: a code and a sentence (EC2 2016-11-15 StateReason)."""

    code: str
    message: str


USER_REQUEST = Reason("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
GUEST_SHUTDOWN = Reason(
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
)

MOVED = Reason("Server.InternalError", "Server.InternalError: The instance was started on another node")
NODE_RESTARTED = Reason(
    "Server.InternalError", "Server.InternalError: The instance was gone when its node started again"
)


CRASHED = Reason("Server.InternalError", "Server.InternalError: The virtual machine ended unexpectedly")

# What may be wrong with an instance that runs: `health` of its report and its record.
DISK_FAILS = "its disk cannot be read or written; it is paused and goes on when it can"
NO_ANSWER = "its virtual machine does not answer"


def server_error(text: str) -> Reason:
    return Reason("Server.InternalError", f"Server.InternalError: {text}")


@dataclass(frozen=True)
class VmType:
    name: str
    cpu: int
    memory_mib: int
    disk_gib: int  # the root disk
    ephemeral_gib: int = 0  # more disks, that an instance of this type gets empty
    swap_mib: int = 0

    @property
    def all_disk_gib(self) -> int:
        return self.disk_gib + self.ephemeral_gib + -(-self.swap_mib // 1024)


@dataclass(frozen=True)
class ExtraDisk:
    """A disk beside the root: `virtual_name` is ephemeral0 or swap, `device_name` its name for users."""

    virtual_name: str
    device_name: str
    size_mib: int


@dataclass(frozen=True)
class ProfileAssociation:
    """The instance profile of an instance. `ending`: it was taken away, and its node does not know yet."""

    association_id: str
    profile_id: str
    profile_arn: str
    at: float
    ending: bool = False


@dataclass(frozen=True)
class Instance:
    """One instance, as the CLC keeps it. Times are seconds since the epoch."""

    instance_id: str
    reservation_id: str
    account: str
    image_id: str
    instance_type: str
    zone: str
    state: InstanceState
    launch_time: float
    launch_index: int
    deadline: float
    group_ids: tuple[str, ...]
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    key_name: str | None = None
    public_key: str = ""
    client_token: str = ""
    root_device_name: str = "/dev/sda1"
    http_tokens: str = "optional"
    http_endpoint: str = "enabled"
    hop_limit: int = 1
    metadata_tags: str = "disabled"  # or enabled: the guest sees its tags
    monitoring: bool = False  # measured each minute instead of each five
    wanted_private_ip: str | None = None
    wants_public_ip: bool = True
    mac: str = ""  # when it is not the one of its id
    generation: int = 0  # grows with every wish that a node must hear of; an older one undoes no newer one
    starts: int = 0  # how often it was started again; a pending one with a start has its disk already
    stop_forced: bool = False
    shutdown_behavior: str = "terminate"  # or stop: what happens when the guest switches itself off
    disable_api_termination: bool = False
    disable_api_stop: bool = False
    placed: bool = False  # a cluster has taken it; from then on its reports count
    node: str | None = None
    private_ip: str | None = None
    public_ip: str | None = None
    elastic: bool = False  # the public address is one that the account holds
    reason: Reason | None = None
    transition: str = ""  # "User initiated (2026-01-02 03:04:05 GMT)"
    ended_at: float | None = None
    extra_disks: tuple[ExtraDisk, ...] = ()
    boot_mode: str = ""  # of its image
    product_codes: tuple[str, ...] = ()  # of its image
    volumes: tuple[Attachment, ...] = ()
    boots_from_volume: bool = False  # its root is the volume at root_device_name
    profile: ProfileAssociation | None = None
    health: str = ""  # what is wrong with it while it runs, in words; empty: nothing that its node saw
    tags: tuple[tuple[str, str], ...] = ()
    request_id: str = ""  # of the newest wish; what every role logs of it has it
    cut_off: tuple[tuple[str, int], ...] = ()  # volumes and numbers that nobody may have when it starts again

    @property
    def can_move(self) -> bool:
        """Whether it can start on any node: none has a disk of it."""
        return self.boots_from_volume and not self.extra_disks

    @property
    def root_volume(self) -> Attachment | None:
        return next((a for a in self.volumes if a.device == self.root_device_name), None)
