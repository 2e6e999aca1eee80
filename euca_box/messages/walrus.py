"""What other roles ask Walrus. Bytes never travel in these messages."""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op
from euca_box.model.accounts import AccessKey
from euca_box.model.images import ImageData, ImageType


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


@dataclass(frozen=True)
class SyncPrincipals(Op[Done], role="walrus", timeout=20):
    """Every access key of the cloud, pushed down by the CLC. An older version is ignored."""

    version: int
    keys: tuple[AccessKey, ...]
    session_key: bytes = field(default=b"", repr=False)  # opens the session tokens of STS
