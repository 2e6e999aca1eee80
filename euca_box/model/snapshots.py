"""What a snapshot is at the CLC: its states, its record, and who may make volumes of it.

EC2 2016-11-15 SnapshotState; one that is being deleted is no longer shown.
"""

import enum
from dataclasses import dataclass, field

from euca_box.model.machine import Machine


class SnapshotState(enum.StrEnum):
    PENDING = "pending"
    COMPLETED = "completed"
    ERROR = "error"
    DELETING = "deleting"


class SnapshotEvent(enum.StrEnum):
    STORED = "complete"
    GIVEN_UP = "give up"
    DELETE = "delete"


SNAPSHOT = Machine(
    noun="snapshot",
    start=SnapshotState.PENDING,
    moves={
        (SnapshotState.PENDING, SnapshotEvent.STORED): SnapshotState.COMPLETED,
        (SnapshotState.PENDING, SnapshotEvent.GIVEN_UP): SnapshotState.ERROR,
        (SnapshotState.PENDING, SnapshotEvent.DELETE): SnapshotState.DELETING,
        (SnapshotState.COMPLETED, SnapshotEvent.DELETE): SnapshotState.DELETING,
        (SnapshotState.ERROR, SnapshotEvent.DELETE): SnapshotState.DELETING,
        (SnapshotState.DELETING, SnapshotEvent.DELETE): SnapshotState.DELETING,
    },
)


@dataclass(frozen=True)
class Snapshot:
    """One snapshot. `source_id`: of a copy, the snapshot whose bytes it has."""

    snapshot_id: str
    account: str
    volume_id: str
    size_gib: int
    state: SnapshotState
    started_at: float
    deadline: float
    description: str = ""
    encrypted: bool = False
    source_id: str = ""
    public: bool = False
    users: tuple[str, ...] = ()  # accounts that may make volumes of it beside the owner
    reason: str = ""  # why it is in error
    used_bytes: int = 0
    sealed_key: str = field(default="", repr=False)  # of an encrypted one
    zone: str = ""  # whose storage controller took it; empty: the configured one's
    tags: tuple[tuple[str, str], ...] = ()

    def may_use(self, account: str) -> bool:
        """Whether the account may see it and make volumes of it."""
        return self.public or account == self.account or account in self.users
