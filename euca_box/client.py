"""A small client of our own API: what the commands use, and the first start to register its image.

Only the standard library and our SigV4, so that a command starts fast.
"""

import hashlib
import http.client
import ssl
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from euca_box.auth.sigv4_sign import sign_headers
from euca_box.model.accounts import AccessKey, Principal

PART_BYTES = 64 * 1024 * 1024
VERSION = "2016-11-15"
SECONDS = 620.0  # RegisterImage reads the whole image

Progress = Callable[[int], object]


class ClientError(Exception):
    """The API refused: `code` is the AWS code, the text is its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code = code


@dataclass(frozen=True)
class Client:
    endpoint: str
    access_key_id: str
    secret_access_key: str
    region: str = "us-east-1"
    ca_file: str | None = None

    def ec2(self, action: str, **parameters: str) -> ET.Element:
        """The reply document, without namespaces. Raises ClientError."""
        pairs = {
            "Action": action,
            "Version": VERSION,
            **{k.replace("__", "."): v for k, v in parameters.items()},
        }
        body = urllib.parse.urlencode(pairs).encode()
        kind = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        return _parsed(self._send("POST", "/", kind, body, "ec2")[1])

    def make_bucket(self, bucket: str) -> None:
        """One that is ours already is fine."""
        try:
            self._send("PUT", f"/{bucket}", {}, b"", "s3")
        except ClientError as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise

    def put_file(self, bucket: str, key: str, path: Path, progress: Progress) -> None:
        """Upload; above PART_BYTES in parts. `progress` gets the bytes of each step."""
        target = f"/{bucket}/{urllib.parse.quote(key, safe='/~')}"
        with path.open("rb") as file:
            if path.stat().st_size <= PART_BYTES:
                self._put(target, file.read(), progress)
            else:
                self._put_parts(target, file, progress)

    def get(self, bucket: str, key: str) -> bytes:
        """A small object. Raises ClientError."""
        return self._send("GET", f"/{bucket}/{urllib.parse.quote(key, safe='/~')}", {}, b"", "s3")[1]

    def delete(self, bucket: str, key: str) -> None:
        """An absent one is fine. Raises ClientError."""
        self._send("DELETE", f"/{bucket}/{urllib.parse.quote(key, safe='/~')}", {}, b"", "s3")

    def _put(self, target: str, data: bytes, progress: Progress) -> str:
        headers, _ = self._send("PUT", target, {}, data, "s3")
        progress(len(data))
        return headers.get("etag", "")

    def _put_parts(self, target: str, file: BinaryIO, progress: Progress) -> None:
        _, started = self._send("POST", target + "?uploads=", {}, b"", "s3")
        upload = _parsed(started).findtext("UploadId") or ""
        quoted = urllib.parse.quote(upload, safe="")
        try:
            etags: list[str] = []
            while data := file.read(PART_BYTES):
                number = len(etags) + 1
                etags.append(self._put(f"{target}?partNumber={number}&uploadId={quoted}", data, progress))
            parts = "".join(
                f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>"
                for n, etag in enumerate(etags, start=1)
            )
            document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
            self._send("POST", f"{target}?uploadId={quoted}", {}, document, "s3")
        except BaseException:
            self._send("DELETE", f"{target}?uploadId={quoted}", {}, b"", "s3")
            raise

    def _send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, service: str
    ) -> tuple[Mapping[str, str], bytes]:
        signed = sign_headers(
            method, self.endpoint + target, headers, self._key(), datetime.now(UTC),
            region=self.region, service=service, payload_sha256=hashlib.sha256(body).hexdigest(),
        )  # fmt: skip
        connection = self._connection()
        try:
            connection.request(method, target, body, signed)
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ClientError("", f"{self.endpoint} does not answer: {error}") from None
        finally:
            connection.close()
        if answer.status >= 300:
            raise _refusal(answer.status, data)
        return {name.lower(): value for name, value in answer.getheaders()}, data

    def _connection(self) -> http.client.HTTPConnection:
        parts = urllib.parse.urlsplit(self.endpoint)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca_file)
            return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
        return http.client.HTTPConnection(host, port, timeout=SECONDS)

    def _key(self) -> AccessKey:
        nobody = Principal("", "", "", "")
        return AccessKey(self.access_key_id, self.secret_access_key, nobody)


def import_image(
    client: Client, files: Iterable[tuple[str, Path]], name: str, bucket: str, progress: Progress
) -> str:
    """Upload and register: `files` are (kind, path) with kinds kernel, ramdisk, machine, in this order.

    The id of the last one, which refers to the others. Raises ClientError.
    """
    client.make_bucket(bucket)
    ids: dict[str, str] = {}
    for kind, path in files:
        prefix = {"kernel": "vmlinuz-", "ramdisk": "initrd-", "machine": ""}[kind]
        key = f"{prefix}{name}"
        client.put_file(bucket, key, path, progress)
        more = {}
        if kind == "machine":
            more = {f"{k.capitalize()}Id": v for k, v in ids.items()}
        label = name if kind == "machine" else f"{name} {kind}"
        reply = client.ec2("RegisterImage", ImageLocation=f"{bucket}/{key}", Name=label, **more)
        ids[kind] = reply.findtext("imageId") or ""
    return ids["machine"] if "machine" in ids else next(reversed(ids.values()))


def _parsed(data: bytes) -> ET.Element:
    root = ET.fromstring(data)  # noqa: S314 - our own server's answer
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _refusal(status: int, data: bytes) -> ClientError:
    try:
        root = _parsed(data)
    except ET.ParseError:
        return ClientError(str(status), data.decode(errors="replace")[:200])
    error = root if root.tag == "Error" else root.find(".//Error")
    if error is None:
        return ClientError(str(status), "the answer is no error document")
    return ClientError(error.findtext("Code") or "", error.findtext("Message") or "")
