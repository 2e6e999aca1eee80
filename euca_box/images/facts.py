"""What the project knows about an image file once it has looked inside, and how it says no."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

# Reads count bytes at an offset, fewer at the end of the file: works on a file, and on an object of a store.
ReadAt = Callable[[int, int], bytes]

ImageFormat = Literal["raw", "qcow2"]
Content = Literal["disk", "filesystem", "kernel", "ramdisk", "unknown"]


class ImageRefused(Exception):
    """The image is not taken; the text says why in plain words, for the person who made it."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    format: ImageFormat
    virtual_size_bytes: int  # what a guest sees
    content: Content
    architecture: str | None = None  # x86_64, i386, arm64; known for kernels only
