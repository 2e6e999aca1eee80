"""What an image is: an object in Walrus with a kind, checked when it was registered."""

import enum
from dataclasses import dataclass


class ImageType(enum.StrEnum):
    MACHINE = "machine"
    KERNEL = "kernel"
    RAMDISK = "ramdisk"

    @property
    def prefix(self) -> str:
        return {"machine": "emi", "kernel": "eki", "ramdisk": "eri"}[self.value]


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

    @property
    def location(self) -> str:
        return f"{self.bucket}/{self.key}"


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

    def may_run(self, account: str) -> bool:
        """Whether the account may see and run it."""
        return self.public or account == self.account or account in self.launch_users
