"""What an image is: bytes in Walrus with a kind, checked before anybody may run it."""

import enum
from dataclasses import dataclass, field

from euca_box.model.machine import Machine
from euca_box.model.volumes import DEFAULT_TYPE


class ImageType(enum.StrEnum):
    MACHINE = "machine"
    KERNEL = "kernel"
    RAMDISK = "ramdisk"

    @property
    def prefix(self) -> str:
        return {"machine": "emi", "kernel": "eki", "ramdisk": "eri"}[self.value]


class ImageState(enum.StrEnum):
    """EC2 2016-11-15 ImageState; what it does not name here no image has."""

    PENDING = "pending"  # its bytes are being made: unpacked, copied, read from an instance
    AVAILABLE = "available"
    FAILED = "failed"


class ImageEvent(enum.StrEnum):
    MADE = "complete"
    GIVEN_UP = "give up"


IMAGE = Machine(
    noun="image",
    start=ImageState.PENDING,
    moves={
        (ImageState.PENDING, ImageEvent.MADE): ImageState.AVAILABLE,
        (ImageState.PENDING, ImageEvent.GIVEN_UP): ImageState.FAILED,
    },
)


@dataclass(frozen=True)
class ImageData:
    """The bytes of an image: where they are, and how to know them. `etag` is Walrus's, without quotes."""

    bucket: str
    key: str
    etag: str
    sha256: str
    size_bytes: int
    format: str  # raw or qcow2
    virtual_size_bytes: int
    bootable: bool  # a whole disk with a boot record; else a file system that needs a kernel
    stored: str = ""  # Walrus's name of it, when Walrus made it and may have to make it again
    ticket: str = field(default="", repr=False, compare=False)  # with which a node may have it

    @property
    def location(self) -> str:
        return f"{self.bucket}/{self.key}"


NO_DATA = ImageData("", "", "", "", 0, "raw", 0, bootable=False)  # of an image that is not available


@dataclass(frozen=True)
class Origin:
    """Where the bytes of an image come from that is not simply an object: one of these."""

    bundle: str = ""  # its manifest, BUCKET/KEY
    instance_id: str = ""  # whose disk it is a copy of
    image_id: str = ""  # of the image whose bytes it is a copy of
    no_reboot: bool = False
    image: ImageData | None = None  # which it is a copy of
    client_token: str = ""  # of the request for it
    snapshots: bool = False  # its bytes are snapshots of volumes: it is there when they are


IMDS_SUPPORT = "v2.0"  # EC2 2016-11-15 ImdsSupportValues
BOOT_MODES = ("legacy-bios", "uefi", "uefi-preferred")  # EC2 2016-11-15 BootModeValues


@dataclass(frozen=True)
class ImageVolume:
    """A volume that an instance gets; of zeros where no snapshot is named."""

    device: str
    size_gib: int
    snapshot_id: str = ""
    delete_on_termination: bool = True
    volume_type: str = DEFAULT_TYPE
    encrypted: bool = False


@dataclass(frozen=True)
class Image:
    """One image, as the CLC keeps it."""

    image_id: str
    account: str
    type: ImageType
    name: str
    description: str | None
    architecture: str
    created_at: float
    data: ImageData
    public: bool = True  # as rows of older versions are read; what is registered now says it
    launch_users: tuple[str, ...] = ()  # accounts that may run it beside the owner
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    root_device_name: str = "/dev/sda1"
    tags: tuple[tuple[str, str], ...] = ()
    state: ImageState = ImageState.AVAILABLE
    reason: str = ""  # why it failed
    deadline: float = 0.0  # when a pending one is given up
    origin: Origin | None = None
    volumes: tuple[ImageVolume, ...] = ()  # that each instance gets; one may be its root
    boot_mode: str = ""  # one of BOOT_MODES; empty: nobody said, and it boots by BIOS
    imds_support: str = ""  # or v2.0: its instances ask the metadata service with tokens only
    product_codes: tuple[str, ...] = ()
    last_launched: float = 0.0  # of an instance that is forgotten by now; 0: none

    @property
    def location(self) -> str:
        """BUCKET/KEY, as its owner knows it; of an image without an object, its owner and name."""
        if self.origin is None:
            return self.data.location
        return self.origin.bundle or f"{self.account}/{self.name}"

    @property
    def boots_from_volume(self) -> bool:
        return any(volume.device == self.root_device_name for volume in self.volumes)

    def may_run(self, account: str) -> bool:
        """Whether the account may see and run it."""
        return self.public or account == self.account or account in self.launch_users
