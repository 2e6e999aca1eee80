"""What other roles ask Walrus. Bytes never travel in these messages."""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op
from euca_box.model.accounts import AccessKey, Principal
from euca_box.model.images import ImageData, ImageType
from euca_box.model.rights import Grants


@dataclass(frozen=True)
class CheckedImage:
    type: ImageType
    data: ImageData
    architecture: str | None


@dataclass(frozen=True)
class CheckImage(Op[CheckedImage], role="walrus", timeout=590):
    """Read the object as the caller may, and say what kind of image it is.

    InvalidManifest when it is missing, not readable for the caller, no image, or one that could make a
    hypervisor open other files (backing file, data file, foreign formats).
    """

    bucket: str
    key: str


@dataclass(frozen=True)
class ImageUrl:
    """A signed GET URL, good for an hour, for the object with exactly this ETag."""

    url: str
    etag: str
    ca_file: str = ""


@dataclass(frozen=True)
class GetImageUrl(Op[ImageUrl], role="walrus", timeout=10):
    bucket: str
    key: str
    etag: str
    ticket: str = field(default="", repr=False)


@dataclass(frozen=True)
class ManifestText:
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class GetManifest(Op[ManifestText], role="walrus", timeout=30):
    """The manifest of a bundle as the caller may read it. InvalidManifest when it is absent or too long."""

    bucket: str
    key: str


@dataclass(frozen=True)
class Bundle:
    """What must be known to unpack a bundle. `parts` are keys of the bucket with their SHA-1."""

    bucket: str
    parts: tuple[tuple[str, str], ...]
    type: ImageType
    size_bytes: int
    bundled_bytes: int


@dataclass(frozen=True)
class KeepBundle(Op[Done], role="walrus", timeout=120):
    """Remember a bundle, whose parts the caller may read, under the id of its image. Twice is harmless.

    InvalidManifest when a part is missing, not readable for the caller, or of another size.
    """

    image_id: str
    bundle: Bundle
    key: bytes = field(repr=False)
    iv: bytes = field(repr=False)


@dataclass(frozen=True)
class Caching:
    """`image` is there when nothing is left to do."""

    percent: int
    image: CheckedImage | None = None


@dataclass(frozen=True)
class CacheImage(Op[Caching], role="walrus", timeout=60):
    """Have the image of a bundle unpacked, and look how far it is, for up to wait_seconds.

    InvalidManifest when it cannot be; asked again, it is tried again. Many may ask; it is done once.
    """

    image_id: str
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class GetDecryptedImage(Op[ImageUrl], role="walrus", timeout=1800):
    """As GetImageUrl, for an image that Walrus made: unpacks it again when it was flushed meanwhile."""

    image_id: str
    etag: str
    ticket: str = field(default="", repr=False)


@dataclass(frozen=True)
class BucketUrl:
    """Where nodes send forms for the bucket."""

    url: str
    ca_file: str = ""


@dataclass(frozen=True)
class GetBucketUrl(Op[BucketUrl], role="walrus", timeout=10):
    bucket: str


@dataclass(frozen=True)
class FindStoredImage(Op[Caching], role="walrus", timeout=30):
    """The image if Walrus has it whole; nothing is begun for it. Unknown ones are at 0 %."""

    image_id: str


@dataclass(frozen=True)
class CopyStoredImage(Op[Caching], role="walrus", timeout=1800):
    """A copy of an image that was registered, under the id of a new one; it shares the blocks on the disk.

    InvalidManifest when the object was replaced or deleted. Twice is harmless.
    """

    image_id: str
    data: ImageData


@dataclass(frozen=True)
class ImageUpload:
    """Where a node sends an image: parts of this many bytes, the last one smaller."""

    upload_id: str
    part_bytes: int
    ca_file: str = ""


@dataclass(frozen=True)
class BeginImageUpload(Op[ImageUpload], role="walrus", timeout=30):
    """An earlier upload for this id is given up. Unavailable when so many bytes do not fit."""

    image_id: str
    size_bytes: int
    ticket: str = field(default="", repr=False)


@dataclass(frozen=True)
class PartUrl:
    """A signed PUT URL, good for an hour."""

    url: str = field(repr=False)


@dataclass(frozen=True)
class GetPartUrl(Op[PartUrl], role="walrus", timeout=10):
    image_id: str
    upload_id: str
    number: int
    ticket: str = field(default="", repr=False)


@dataclass(frozen=True)
class EndImageUpload(Op[Caching], role="walrus", timeout=590):
    """The parts are the image, looked at as one that a user registers. InvalidManifest when it is none."""

    image_id: str
    upload_id: str
    etags: tuple[str, ...]
    ticket: str = field(default="", repr=False)


@dataclass(frozen=True)
class FlushCachedImage(Op[Done], role="walrus", timeout=30):
    """Remove what was made for the image, and forget it. An unknown one is fine."""

    image_id: str


@dataclass(frozen=True)
class StoredImages:
    image_ids: tuple[str, ...]


@dataclass(frozen=True)
class ListStoredImages(Op[StoredImages], role="walrus", timeout=30):
    """The images that Walrus keeps or could make again, known for at least that long."""

    older_than_seconds: float = 0.0


@dataclass(frozen=True)
class HiddenUrls:
    """One for each key, in their order, good for an hour."""

    urls: tuple[str, ...]
    ca_file: str = ""


@dataclass(frozen=True)
class GetHiddenUrls(Op[HiddenUrls], role="walrus", timeout=20):
    """Signed URLs for up to 1000 objects of a hidden bucket, which is made when there is none.

    A URL is good for one method and one object: to GET it, whole or in ranges, or to PUT it, in place of
    an earlier one of that name. InvalidParameterValue for what is no name of a hidden bucket.
    """

    bucket: str
    keys: tuple[str, ...]
    for_writing: bool = False


@dataclass(frozen=True)
class HiddenObject:
    key: str
    size_bytes: int
    etag: str
    modified_ms: int


@dataclass(frozen=True)
class HiddenPage:
    """`after` is where the next page begins; None at the end."""

    objects: tuple[HiddenObject, ...]
    after: str | None = None


@dataclass(frozen=True)
class ListHidden(Op[HiddenPage], role="walrus", timeout=20):
    """Objects of a hidden bucket by key, up to 1000 beyond `after`. An absent bucket has none."""

    bucket: str
    prefix: str = ""
    after: str = ""


@dataclass(frozen=True)
class DeleteHidden(Op[Done], role="walrus", timeout=60):
    """Delete up to 1000 objects of a hidden bucket for good. Absent ones are fine; twice is harmless."""

    bucket: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class DamagedVersion:
    """A version that is not given out. `file` is below walrus/objects; empty for bytes in the database."""

    bucket: str
    key: str
    version_id: str
    file: str
    offset_bytes: int
    found_at: float


@dataclass(frozen=True)
class ScrubReport:
    """The round that goes on, or the last one (0: there was none), and all that is damaged by now."""

    started_at: float
    is_done: bool
    checked_bytes: int
    damaged: int
    stored_bytes: int
    quarantine: tuple[DamagedVersion, ...]


@dataclass(frozen=True)
class GetScrub(Op[ScrubReport], role="walrus", timeout=30):
    """How far the scrub is, and all versions that are damaged as far as is known."""


@dataclass(frozen=True)
class HoldRemovals(Op[Done], role="walrus"):
    """Remove no bytes of deleted objects for so long, while a backup is made; 0: go on with it now. A later
    one counts instead of an earlier one."""

    hold_seconds: float


@dataclass(frozen=True)
class BeginScrub(Op[Done], role="walrus", timeout=30):
    """Begin a round now. One that goes on goes on."""


@dataclass(frozen=True)
class SyncPrincipals(Op[Done], role="walrus", timeout=20):
    """Every access key and role of the cloud and their policies, pushed down by the CLC. An older version
    is ignored."""

    version: int
    keys: tuple[AccessKey, ...]
    session_key: bytes = field(default=b"", repr=False)  # opens the session tokens of STS
    roles: tuple[Principal, ...] = ()
    grants: Grants = field(default_factory=Grants)
