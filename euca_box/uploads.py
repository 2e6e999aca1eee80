"""Uploads of large files to our own S3: parts at once, each with its checksum, taken up again after a break.

A part that is there already, by its CRC64NVME, is not sent again. An upload that broke off is left for the
next try, which finds it by its key.
"""

import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import BoundedSemaphore
from typing import BinaryIO
from urllib.parse import quote

from euca_box.client import Client, ClientError, parsed, path_of

PART_BYTES = 32 << 20
PIECE_BYTES = 1 << 20
AT_ONCE = 3
CRC = "x-amz-checksum-crc64nvme"

Progress = Callable[[int], object]
Known = dict[int, tuple[str, str]]  # number of a part -> its ETag, its CRC


def upload_file(client: Client, bucket: str, key: str, path: Path, progress: Progress) -> None:
    """`progress` gets the bytes of each step. Raises ClientError, OSError."""
    with path.open("rb") as file:
        upload(client, bucket, key, _read(file, progress))


def upload(client: Client, bucket: str, key: str, pieces: Iterable[bytes]) -> None:
    """Store the pieces as one object. Raises ClientError, and what the pieces raise: then there is none."""
    parts = _cut(pieces)
    first = next(parts, b"")
    if len(first) < PART_BYTES:
        client.s3("PUT", path_of(bucket, key), {CRC: _crc(first)}, first, checked=True)
        return
    _Upload(client, bucket, key).send(first, parts)


def import_image(
    client: Client, files: Iterable[tuple[str, Path]], name: str, bucket: str, progress: Progress
) -> str:
    """Upload and register: `files` are (kind, path) with kinds kernel, ramdisk, machine, in this order.

    The id of the last one, which refers to the others. Raises ClientError.
    """
    client.make_bucket(bucket)
    ids: dict[str, str] = {}
    for kind, path in files:
        key = key_of(kind, name)
        upload_file(client, bucket, key, path, progress)
        ids[kind] = register(client, kind, f"{bucket}/{key}", name, ids)
    return next(reversed(ids.values()))


def key_of(kind: str, name: str) -> str:
    """1.6.2 knew kernels and ramdisks by such names."""
    return {"kernel": "vmlinuz-", "ramdisk": "initrd-", "machine": ""}[kind] + name


def register(client: Client, kind: str, location: str, name: str, ids: dict[str, str]) -> str:
    """The image's id; a machine gets the kernel and the ramdisk of `ids`. Raises ClientError."""
    more = {f"{k.capitalize()}Id": v for k, v in ids.items()} if kind == "machine" else {}
    label = name if kind == "machine" else f"{name} {kind}"
    reply = client.ec2("RegisterImage", ImageLocation=location, Name=label, **more)
    return reply.findtext("imageId") or ""


@dataclass
class _Upload:
    client: Client
    bucket: str
    key: str

    def send(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._id, known = self._begun()
        try:
            etags, crc = self._sent(chain([first], rest), known)
        except (ClientError, OSError, KeyboardInterrupt):
            raise  # the next try goes on
        except BaseException:
            self.client.s3("DELETE", f"{path_of(self.bucket, self.key)}?uploadId={self._quoted}")
            raise
        self._complete(etags, crc)

    def _sent(self, parts: Iterable[bytes], known: Known) -> tuple[list[str], int]:
        """Their ETags, and the CRC of all."""
        sent: list[Future[str]] = []
        crc, places = 0, BoundedSemaphore(AT_ONCE + 1)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for number, part in enumerate(parts, start=1):
                for one in sent:
                    if one.done():
                        one.result()  # no more is sent when one was refused
                places.acquire()
                crc = _crc_of(part, crc)
                sent.append(pool.submit(self._part, number, part, known, places))
        return [one.result() for one in sent], crc

    def _part(self, number: int, part: bytes, known: Known, places: BoundedSemaphore) -> str:
        try:
            crc = _crc(part)
            etag, there = known.get(number, ("", ""))
            if there != crc:
                target = f"{path_of(self.bucket, self.key)}?partNumber={number}&uploadId={self._quoted}"
                headers, _ = self.client.s3("PUT", target, {CRC: crc}, part, checked=True)
                etag = headers.get("etag", "")
            return etag
        finally:
            places.release()

    @property
    def _quoted(self) -> str:
        return quote(self._id, safe="")

    def _begun(self) -> tuple[str, Known]:
        """The newest upload of this key that is open, and its parts; a new one when there is none."""
        listing = self._get(f"/{self.bucket}?prefix={quote(self.key, safe='')}&uploads=")
        open_ones = [
            (row.findtext("Initiated") or "", row.findtext("UploadId") or "")
            for row in listing.iterfind("Upload")
            if row.findtext("Key") == self.key and row.findtext("ChecksumAlgorithm") == "CRC64NVME"
        ]
        if open_ones:
            upload_id = max(open_ones)[1]
            return upload_id, self._parts(upload_id)
        wish = {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "FULL_OBJECT"}
        _, begun = self.client.s3("POST", path_of(self.bucket, self.key) + "?uploads=", wish)
        return parsed(begun).findtext("UploadId") or "", {}

    def _parts(self, upload_id: str) -> Known:
        known: Known = {}
        marker = "0"
        while marker:
            page = self._get(
                f"{path_of(self.bucket, self.key)}?part-number-marker={marker}"
                f"&uploadId={quote(upload_id, safe='')}"
            )
            for row in page.iterfind("Part"):
                crc = row.findtext("ChecksumCRC64NVME") or ""
                known[int(row.findtext("PartNumber") or 0)] = (row.findtext("ETag") or "", crc)
            truncated = page.findtext("IsTruncated") == "true"
            marker = (page.findtext("NextPartNumberMarker") or "") if truncated else ""
        return known

    def _get(self, target: str) -> ET.Element:
        return parsed(self.client.s3("GET", target)[1])

    def _complete(self, etags: list[str], whole: int) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(etags, start=1)
        )
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        headers = {CRC: _encoded(whole), "x-amz-checksum-type": "FULL_OBJECT"}
        self.client.s3("POST", f"{path_of(self.bucket, self.key)}?uploadId={self._quoted}", headers, document)


def _read(file: BinaryIO, progress: Progress) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        progress(len(piece))
        yield piece


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    length = 0
    for piece in pieces:
        view = memoryview(piece)
        while length + len(view) >= PART_BYTES:
            taken = PART_BYTES - length
            waiting.append(view[:taken])  # type: ignore[arg-type]
            yield b"".join(waiting)
            view, waiting, length = view[taken:], [], 0
        if len(view):
            waiting.append(view)  # type: ignore[arg-type]
            length += len(view)
    if waiting:
        yield b"".join(waiting)


def _crc_of(data: bytes, before: int = 0) -> int:
    from euca_box.objects.crcs import CRCS  # takes a while, and most commands do not upload

    return CRCS["CRC64NVME"](data, before)


def _crc(data: bytes) -> str:
    return _encoded(_crc_of(data))


def _encoded(crc: int) -> str:
    return b64encode(crc.to_bytes(8, "big")).decode()
