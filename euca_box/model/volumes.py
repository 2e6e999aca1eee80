"""What a volume is: its states as EC2 shows them, its record at the CLC, its attachment to an instance.

EC2 2016-11-15 VolumeState, VolumeAttachmentState. That a volume is `in-use` stands in no row of its own: an
instance's record lists what is attached to it, so that wish and attachment are committed at once.
"""

import enum
from dataclasses import dataclass, field
from typing import Literal

from euca_box.model.machine import Machine

VOLUME_TYPES = ("standard", "gp2", "gp3")  # names that clients ask for; one kind of storage is behind them
DEFAULT_TYPE = "standard"


class VolumeState(enum.StrEnum):
    CREATING = "creating"
    AVAILABLE = "available"  # or in-use, when it is attached
    DELETING = "deleting"
    ERROR = "error"


IN_USE = "in-use"


class VolumeEvent(enum.StrEnum):
    MADE = "complete"
    GIVEN_UP = "give up"
    DELETE = "delete"


VOLUME = Machine(
    noun="volume",
    start=VolumeState.CREATING,
    moves={
        (VolumeState.CREATING, VolumeEvent.MADE): VolumeState.AVAILABLE,
        (VolumeState.CREATING, VolumeEvent.GIVEN_UP): VolumeState.ERROR,
        (VolumeState.CREATING, VolumeEvent.DELETE): VolumeState.DELETING,
        (VolumeState.AVAILABLE, VolumeEvent.GIVEN_UP): VolumeState.ERROR,
        (VolumeState.AVAILABLE, VolumeEvent.DELETE): VolumeState.DELETING,
        (VolumeState.ERROR, VolumeEvent.DELETE): VolumeState.DELETING,
        (VolumeState.DELETING, VolumeEvent.DELETE): VolumeState.DELETING,
        (VolumeState.DELETING, VolumeEvent.GIVEN_UP): VolumeState.ERROR,
    },
)


class ModificationState(enum.StrEnum):
    """EC2 2016-11-15 VolumeModificationState."""

    MODIFYING = "modifying"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True)
class Modification:
    """The last change of a volume's size or type."""

    state: ModificationState
    started_at: float
    original_gib: int
    target_gib: int
    original_type: str
    target_type: str
    deadline: float
    ended_at: float | None = None
    message: str = ""


@dataclass(frozen=True)
class Volume:
    """One volume, as the CLC keeps it. `attaches` counts its attachments: the number of the newest one."""

    volume_id: str
    account: str
    size_gib: int
    zone: str
    state: VolumeState
    created_at: float
    deadline: float
    snapshot_id: str = ""
    volume_type: str = DEFAULT_TYPE
    encrypted: bool = False
    attaches: int = 0
    auto_enable_io: bool = False
    reason: str = ""  # why it is in error, or why it could not be attached
    client_token: str = ""
    modification: Modification | None = None
    sealed_key: str = field(default="", repr=False)  # of an encrypted one
    sealed_source_key: str = field(default="", repr=False)  # of an encrypted snapshot that it is made of
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def is_modified(self) -> bool:
        """Just now."""
        return self.modification is not None and self.modification.state is ModificationState.MODIFYING


class AttachmentState(enum.StrEnum):
    ATTACHING = "attaching"
    ATTACHED = "attached"
    DETACHING = "detaching"
    BUSY = "busy"  # detaching, and the guest does not let go of it


class AttachmentEvent(enum.StrEnum):
    TAKEN = "call attached"  # its node says so
    DETACH = "detach"
    HELD = "call busy"


ATTACHMENT = Machine(
    noun="attachment",
    start=AttachmentState.ATTACHING,
    moves={
        (AttachmentState.ATTACHING, AttachmentEvent.TAKEN): AttachmentState.ATTACHED,
        (AttachmentState.ATTACHED, AttachmentEvent.TAKEN): AttachmentState.ATTACHED,
        (AttachmentState.ATTACHING, AttachmentEvent.DETACH): AttachmentState.DETACHING,
        (AttachmentState.ATTACHED, AttachmentEvent.DETACH): AttachmentState.DETACHING,
        (AttachmentState.DETACHING, AttachmentEvent.DETACH): AttachmentState.DETACHING,
        (AttachmentState.BUSY, AttachmentEvent.DETACH): AttachmentState.DETACHING,
        (AttachmentState.DETACHING, AttachmentEvent.HELD): AttachmentState.BUSY,
        (AttachmentState.BUSY, AttachmentEvent.HELD): AttachmentState.BUSY,
    },
)


@dataclass(frozen=True)
class Attachment:
    """A volume of an instance.

    `number`: which attachment of the volume it is; an older holder is cut off by it. `generation`: of the
    instance's wish that made or ended it.
    """

    volume_id: str
    device: str  # as the user gave it
    state: AttachmentState
    number: int
    at: float
    generation: int
    deadline: float
    delete_on_termination: bool = False
    force: bool = False

    @property
    def wanted(self) -> bool:
        return self.state in (AttachmentState.ATTACHING, AttachmentState.ATTACHED)


@dataclass(frozen=True)
class VolumeWish:
    """A volume that a node shall attach to an instance. One that grew is the same wish."""

    volume_id: str
    device: str
    number: int
    size_gib: int = field(default=0, compare=False)
    ticket: str = field(default="", repr=False, compare=False)  # with which its node may have it


@dataclass(frozen=True)
class VolumeReport:
    """What a node says of a volume. `reason`: why it is not attached yet, or not let go of yet."""

    volume_id: str
    number: int
    state: Literal["attaching", "attached", "detaching", "busy"]
    reason: str = ""
