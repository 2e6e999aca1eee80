"""Where backups are kept: a folder, or a bucket of any S3. The list of contents is written last, so that a
backup is there whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from euca_box.backup.contents import BLOCK_BYTES, CONTENTS, Contents, blocks_of, decoded, make_private
from euca_box.backup.point import BackupError
from euca_box.client import Client, ClientError, path_of

LARGEST_PUT_BYTES = 5 << 30  # S3 API, PutObject


class Place(Protocol):
    def put(self, name: str, path: str, source: Path) -> None:
        """Take a file of the backup. Raises BackupError, OSError."""

    def finish(self, contents: Contents) -> None:
        """The backup is whole."""

    def names(self) -> list[str]:
        """Of the backups that are whole, the oldest first."""

    def contents(self, name: str) -> Contents: ...

    def read(self, name: str, path: str) -> Iterator[bytes]:
        """The bytes of a file. Raises BackupError, OSError."""

    def remove(self, name: str) -> None: ...


class Folder:
    """`path/NAME/files...`; readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, name: str, path: str, source: Path) -> None:
        target = self._path / name / path
        make_private(target.parent)
        source.replace(target)

    def staging(self, name: str) -> Path:
        """A folder on the same file system, from which `put` only renames."""
        folder = self._path / f".{name}.partial"
        make_private(folder)
        return folder

    def finish(self, contents: Contents) -> None:
        folder = self._path / contents.name
        folder.chmod(0o700)
        fresh = folder / f"{CONTENTS}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(contents.encoded())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(folder / CONTENTS)
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    def names(self) -> list[str]:
        return sorted(path.parent.name for path in self._path.glob(f"*/{CONTENTS}"))

    def contents(self, name: str) -> Contents:
        try:
            return decoded((self._path / name / CONTENTS).read_bytes())
        except FileNotFoundError:
            raise BackupError(f"there is no backup {name} in {self._path}") from None

    def read(self, name: str, path: str) -> Iterator[bytes]:
        return blocks_of(self._path / name / path)

    def remove(self, name: str) -> None:
        (self._path / name / CONTENTS).unlink(missing_ok=True)
        shutil.rmtree(self._path / name, ignore_errors=True)


class Bucket:
    """`s3://BUCKET/PREFIX`, by the credentials of the environment as other tools have them."""

    def __init__(self, client: Client, bucket: str, prefix: str) -> None:
        self._client, self._bucket = client, bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def put(self, name: str, path: str, source: Path) -> None:
        size = source.stat().st_size
        if size > LARGEST_PUT_BYTES:
            raise BackupError(f"{path} has {size >> 30} GiB, more than S3 takes at once: back up to a folder")
        self._put(f"{name}/{path}", source.read_bytes())

    def finish(self, contents: Contents) -> None:
        self._put(f"{contents.name}/{CONTENTS}", contents.encoded())

    def names(self) -> list[str]:
        try:
            listed = self._client.keys(self._bucket, self._prefix)
        except ClientError as error:
            raise BackupError(f"{self._bucket}: {error}") from None
        ends = (key.removeprefix(self._prefix) for key in listed if key.endswith(f"/{CONTENTS}"))
        return sorted(key.removesuffix(f"/{CONTENTS}") for key in ends)

    def contents(self, name: str) -> Contents:
        return decoded(b"".join(self.read(name, CONTENTS)))

    def read(self, name: str, path: str) -> Iterator[bytes]:
        try:
            with closing(self._client.opened(self._bucket, f"{self._prefix}{name}/{path}")) as answer:
                while block := answer.read(BLOCK_BYTES):
                    yield block
        except ClientError as error:
            raise BackupError(f"{name}/{path}: {error}") from None

    def remove(self, name: str) -> None:
        prefix = f"{self._prefix}{name}/"
        for key in sorted(self._client.keys(self._bucket, prefix), key=lambda k: not k.endswith(CONTENTS)):
            self._client.delete(self._bucket, key)

    def _put(self, key: str, data: bytes) -> None:
        try:
            self._client.s3("PUT", path_of(self._bucket, self._prefix + key), {}, data)
        except ClientError as error:
            raise BackupError(f"{key} was not taken by {self._bucket}: {error}") from None


def place_of(text: str, endpoint: str = "", ca_file: str | None = None) -> Folder | Bucket:
    """`/a/folder` or `s3://bucket/prefix`. Raises BackupError."""
    if not text.startswith("s3://"):
        return Folder(Path(text).absolute())
    parts = urlsplit(text)
    key, secret = (os.environ.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3", "") or os.environ.get("AWS_ENDPOINT_URL", "")
    if not (key and secret and endpoint):
        raise BackupError(
            "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL_S3 (or --endpoint) for the S3 "
            "that shall keep the backup; another one than the cloud's own"
        )
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    client = Client(endpoint.rstrip("/"), key, secret, region, ca_file or os.environ.get("AWS_CA_BUNDLE"))
    return Bucket(client, parts.netloc, parts.path)
