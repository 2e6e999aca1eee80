"""`euca-box image import`: sources become objects, objects become images."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from euca_box.cli import common
from euca_box.cli.progress import progress
from euca_box.cli.sources import SUFFIX, Source, SourceError, open_source
from euca_box.client import Client
from euca_box.datadir import DataDir
from euca_box.images.convert import convert_to_raw
from euca_box.images.inspect import open_image
from euca_box.images.packed import is_packed, unpacked
from euca_box.uploads import key_of, register, upload

BUCKET = "euca-box-images"
NOBODY = 65534  # whom the conversion runs as


def label_of(source: str) -> str:
    """The name of an image, from that of its file."""
    name = source.partition("?")[0].rpartition("/")[2]
    return SUFFIX.sub("", name) or "image"


def bucket_of(data: DataDir, user: str) -> str:
    """A name is taken once in the cloud: other accounts have one with their number."""
    account = common.ask(data, "GetUserKeys", name=user)["account_id"]
    admin = common.ask(data, "GetUserKeys")["account_id"]
    return BUCKET if account == admin else f"{BUCKET}-{account}"


@dataclass
class Import:
    """One image with its kernel and ramdisk: add them in this order."""

    client: Client
    bucket: str
    label: str
    most_bytes: int
    raw: bool = False
    ids: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, text: str, sha256: str | None = None) -> str:
        """The image's id. Raises SourceError, PackedError, ImageRefused, ConvertError, ClientError."""
        source = open_source(text, self.client, sha256)
        location = source.location
        pieces = source.pieces
        if location and sha256 is None:
            first = next(pieces, b"")
            pieces = chain([first], pieces)
            if not is_packed(first):
                return self._register(kind, location)  # it is there already
        if source.path is None:
            return self._upload(kind, source, pieces)
        facts = open_image(source.path)  # what is refused is not uploaded first
        if self.raw and facts.format == "qcow2":
            with _raw(source.path, self.most_bytes) as made:
                return self._upload(kind, made, made.pieces)
        return self._upload(kind, source, pieces)

    def publish(self) -> None:
        """Let every account run them."""
        for image_id in self.ids.values():
            everybody = {"LaunchPermission__Add__1__Group": "all"}
            self.client.ec2("ModifyImageAttribute", ImageId=image_id, **everybody)

    def _upload(self, kind: str, source: Source, pieces: Iterator[bytes]) -> str:
        key = key_of(kind, self.label)
        words = f"uploading {self.label}" + ("" if kind == "machine" else f" ({kind})")
        with progress(words, source.size_bytes) as step:
            told = _telling(pieces, step)
            upload(
                self.client, self.bucket, key, unpacked(told, self.most_bytes) if kind == "machine" else told
            )
        return self._register(kind, f"{self.bucket}/{key}")

    def _register(self, kind: str, location: str) -> str:
        self.ids[kind] = register(self.client, kind, location, self.label, self.ids)
        return self.ids[kind]


def _telling(pieces: Iterator[bytes], step: Callable[[int], object]) -> Iterator[bytes]:
    for piece in pieces:
        step(len(piece))
        yield piece


@contextmanager
def _raw(path: Path, most_bytes: int) -> Iterator[Source]:
    """The qcow2 file as a raw one, for a while."""
    if os.geteuid() != 0:
        raise SourceError("--raw needs root: the conversion runs in a jail")
    import trio

    with tempfile.TemporaryDirectory(prefix="euca-box-", dir="/var/tmp") as folder:
        target = Path(folder) / "disk.raw"

        async def convert() -> None:
            await convert_to_raw(path, "qcow2", target, most_bytes, uid=NOBODY, gid=NOBODY)

        trio.run(convert)
        with target.open("rb") as file:
            yield Source(path.name, target.stat().st_size, iter(lambda: file.read(1 << 20), b""))
