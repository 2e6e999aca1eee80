"""What the CLC and the nodes ask a storage controller. Names as in Eucalyptus' SC, with Sc before them."""

from dataclasses import dataclass, field
from typing import Literal

from euca_box.messages.base import Done, Op


@dataclass(frozen=True)
class Storage:
    """What a storage controller has. `max_total_gib` 0: no limit but the disk."""

    volumes: int
    volumes_gib: int
    max_volume_gib: int
    max_total_gib: int
    free_bytes: int


@dataclass(frozen=True)
class ScDescribeStorage(Op[Storage], role="sc", timeout=10):
    """Sizes and limits."""


@dataclass(frozen=True)
class StoredVolume:
    """A volume as the storage controller has it. `generation`: of its newest attachment.

    `filling`: all of it can be read; what came of its snapshot so far is `percent`. `reason`: why no more
    comes, or what of it cannot be read."""

    volume_id: str
    size_gib: int
    state: Literal["making", "ready", "failed", "deleting"]
    percent: int = 100
    reason: str = ""
    exported: bool = False
    generation: int = 0
    filling: bool = False


@dataclass(frozen=True)
class ScCreateVolume(Op[StoredVolume], role="sc", timeout=50):
    """Have the volume, of zeros or of a snapshot (usable before all its bytes are here).

    Waits for it up to wait_seconds. Twice is harmless.

    IncorrectState for an id that was deleted here; InsufficientVolumeCapacity where it does not fit.
    """

    volume_id: str
    size_gib: int
    snapshot_id: str = ""
    wait_seconds: float = 0.0
    key: str = field(default="", repr=False)  # 64 hexadecimal digits: it is encrypted at rest
    source_key: str = field(default="", repr=False)  # of an encrypted snapshot


@dataclass(frozen=True)
class ScDeleteVolume(Op[Done], role="sc", timeout=60):
    """Cut off its holder and free its bytes: done when this answers. An unknown id is remembered, so that a
    late ScCreateVolume is refused."""

    volume_id: str


@dataclass(frozen=True)
class TakenSnapshot:
    """A snapshot as the storage controller has it; `stored`: Walrus has it, whole."""

    snapshot_id: str
    state: Literal["taking", "copying", "sending", "stored", "failed", "deleting"]
    percent: int = 0
    reason: str = ""


@dataclass(frozen=True)
class ScCreateSnapshot(Op[TakenSnapshot], role="sc", timeout=50):
    """Take the snapshot: its moment has passed when this answers the first time. It is sent to Walrus
    afterwards; waits for that up to wait_seconds. Twice is harmless.

    IncorrectState for an id that was deleted, InvalidVolumeNotFound, InsufficientVolumeCapacity.
    """

    snapshot_id: str
    volume_id: str
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class ScDeleteSnapshot(Op[Done], role="sc", timeout=60):
    """Give it up, and keep nothing of it here; what Walrus has stays. An unknown id is remembered."""

    snapshot_id: str


@dataclass(frozen=True)
class ScGrowVolume(Op[StoredVolume], role="sc", timeout=40):
    """Make it larger, by zeros; who has it is cut off for a moment. A size that it has already is fine.

    IncorrectState, InvalidVolumeNotFound, InsufficientVolumeCapacity; Unavailable while it is copied.
    """

    volume_id: str
    size_gib: int


@dataclass(frozen=True)
class StoredVolumes:
    volumes: tuple[StoredVolume, ...]


@dataclass(frozen=True)
class ScDescribeVolumes(Op[StoredVolumes], role="sc", timeout=20):
    """All volumes of the zone."""


@dataclass(frozen=True)
class DamagedPlace:
    volume_id: str
    offset_bytes: int
    length_bytes: int


@dataclass(frozen=True)
class ScScrubReport:
    """A round reads all volumes. `unreadable`: what the disk could not read, of all rounds."""

    started_at: float
    is_done: bool
    checked_bytes: int
    volumes: int
    unreadable: tuple[DamagedPlace, ...]


@dataclass(frozen=True)
class ScGetScrub(Op[ScScrubReport], role="sc", timeout=30):
    """How far volumes were read, and what of them cannot be."""


@dataclass(frozen=True)
class ScBeginScrub(Op[Done], role="sc", timeout=30):
    """Begin a round now. One that goes on goes on."""


@dataclass(frozen=True)
class VolumeConnection:
    """An NBD export by its name: behind a unix socket of this host, or at an address of another one, by TLS
    with this authority and this certificate of the key that was shown (PEM)."""

    socket: str
    export: str
    address: str = ""
    port: int = 0
    authority: str = ""
    certificate: str = ""


@dataclass(frozen=True)
class ScExportVolume(Op[VolumeConnection], role="sc", timeout=40):
    """Export it to the attachment of this generation, for a QEMU of this user on this host, or for the
    storage daemon of another host, which has the key of `request` (RFC 2986, PEM).

    Twice is harmless. An older holder is cut off first. IncorrectState when a newer one has it,
    InvalidVolumeNotFound, UnsupportedOperation for another host when the storage controller has no address.
    """

    volume_id: str
    generation: int
    uid: int | None = None
    host: str = ""  # empty: the storage controller's
    ticket: str = field(default="", repr=False)
    request: str = ""


@dataclass(frozen=True)
class ScUnexportVolume(Op[Done], role="sc", timeout=40):
    """Cut off the holder of this generation; a newer one is left alone. Twice is harmless.

    `fence`: this generation never gets it again.
    """

    volume_id: str
    generation: int
    fence: bool = False
    ticket: str = field(default="", repr=False)
