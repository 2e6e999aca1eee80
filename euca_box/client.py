"""A small client of our own API, for the commands and the first start.

Only the standard library and our SigV4, so that a command starts fast.
"""

import hashlib
import http.client
import ssl
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from euca_box.auth.sigv4 import UNSIGNED
from euca_box.auth.sigv4_sign import sign_headers
from euca_box.model.accounts import AccessKey, Principal

VERSION = "2016-11-15"
SECONDS = 620.0  # RegisterImage reads the whole image

Body = bytes | memoryview
NO_HEADERS: Mapping[str, str] = {}


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
    s3_endpoint: str = ""  # where that is another one

    def ec2(self, action: str, **parameters: str) -> ET.Element:
        """The reply document, without namespaces. Raises ClientError."""
        pairs = {
            "Action": action,
            "Version": VERSION,
            **{k.replace("__", "."): v for k, v in parameters.items()},
        }
        body = urllib.parse.urlencode(pairs).encode()
        kind = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        return parsed(self._send("POST", "/", kind, body, "ec2")[1])

    def make_bucket(self, bucket: str) -> None:
        """One that is ours already is fine."""
        try:
            self.s3("PUT", f"/{bucket}")
        except ClientError as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise

    def get(self, bucket: str, key: str) -> bytes:
        """A small object. Raises ClientError."""
        return self.s3("GET", path_of(bucket, key))[1]

    def delete(self, bucket: str, key: str) -> None:
        """An absent one is fine. Raises ClientError."""
        self.s3("DELETE", path_of(bucket, key))

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """Of all objects below the prefix. Raises ClientError."""
        found: list[str] = []
        token = ""
        while True:
            query = {"list-type": "2", "prefix": prefix} | ({"continuation-token": token} if token else {})
            target = (
                f"/{bucket}?{urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote)}"
            )
            root = parsed(self.s3("GET", target)[1])
            found += [str(e.findtext("Key")) for e in root.findall("Contents")]
            token = root.findtext("NextContinuationToken") or ""
            if not token:
                return found

    def s3(
        self, method: str, target: str, headers: Mapping[str, str] = NO_HEADERS, body: Body = b"",
        *, checked: bool = False,
    ) -> tuple[Mapping[str, str], bytes]:  # fmt: skip
        """Headers (lower case) and body of the answer. `checked`: a header holds a checksum of the body, so
        the signature need not cover it. Raises ClientError."""
        return self._send(method, target, headers, body, "s3", UNSIGNED if checked else None)

    def opened(self, bucket: str, key: str, first_byte: int = 0) -> http.client.HTTPResponse:
        """The answer to a GET, to be read. Raises ClientError."""
        ranged = {"range": f"bytes={first_byte}-"} if first_byte else {}
        return self._answer("GET", path_of(bucket, key), ranged, b"", "s3", None)[1]

    def _send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Body,
        service: str,
        payload_sha256: str | None = None,
    ) -> tuple[Mapping[str, str], bytes]:
        connection, answer = self._answer(method, target, headers, body, service, payload_sha256)
        try:
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ClientError("", f"{self._endpoint(service)} does not answer: {error}") from None
        finally:
            connection.close()
        return {name.lower(): value for name, value in answer.getheaders()}, data

    def _answer(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Body,
        service: str,
        payload_sha256: str | None,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Its body is not read yet. Raises ClientError, also for an answer that refuses."""
        url = self._endpoint(service) + target
        signed = sign_headers(
            method, url, headers, self._key(), datetime.now(UTC), region=self.region,
            service=service, payload_sha256=payload_sha256 or hashlib.sha256(body).hexdigest(),
        )  # fmt: skip
        connection = self._connection(service)
        try:
            connection.request(method, target, body, signed)
            answer = connection.getresponse()
            if answer.status < 300:
                return connection, answer
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ClientError("", f"{self._endpoint(service)} does not answer: {error}") from None
        connection.close()
        raise _refusal(answer.status, data)

    def _endpoint(self, service: str) -> str:
        return self.s3_endpoint if service == "s3" and self.s3_endpoint else self.endpoint

    def _connection(self, service: str) -> http.client.HTTPConnection:
        parts = urllib.parse.urlsplit(self._endpoint(service))
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca_file)
            return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
        return http.client.HTTPConnection(host, port, timeout=SECONDS)

    def _key(self) -> AccessKey:
        nobody = Principal("", "", "", "")
        return AccessKey(self.access_key_id, self.secret_access_key, nobody)


def path_of(bucket: str, key: str) -> str:
    return f"/{bucket}/{urllib.parse.quote(key, safe='/~')}"


def parsed(data: bytes) -> ET.Element:
    """An answer of ours, without namespaces."""
    root = ET.fromstring(data)  # noqa: S314 - our own server's answer
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _refusal(status: int, data: bytes) -> ClientError:
    try:
        root = parsed(data)
    except ET.ParseError:
        return ClientError(str(status), data.decode(errors="replace")[:200])
    error = root if root.tag == "Error" else root.find(".//Error")
    if error is None:
        return ClientError(str(status), "the answer is no error document")
    return ClientError(error.findtext("Code") or "", error.findtext("Message") or "")
