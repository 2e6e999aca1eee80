"""Query requests byte by byte, and signers that are not ours: botocore's for V4, the manual's for V2."""

import base64
import hashlib
import hmac
import http.client
import urllib.parse
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

FORM = "application/x-www-form-urlencoded; charset=utf-8"
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def root(self) -> ET.Element:
        return ET.fromstring(self.body)

    @property
    def code(self) -> str:
        """The error code, or nothing."""
        return self.find("Code") or ""

    def find(self, name: str) -> str | None:
        """The text of the first element of this name, whatever its namespace."""
        found = next((e for e in self.root.iter() if e.tag.rpartition("}")[2] == name), None)
        return None if found is None else found.text or ""


def send(
    port: int, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, target, body or None, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def pairs_of(action: str, **parameters: str) -> Pairs:
    """`Filter__1__Name` is Filter.1.Name."""
    named = [(name.replace("__", "."), value) for name, value in parameters.items()]
    return [("Action", action), ("Version", "2016-11-15"), *named]


def quoted(pairs: Pairs) -> str:
    """RFC 3986: only unreserved characters stay (General Reference, Signature Version 2)."""
    return "&".join(
        f"{urllib.parse.quote(n, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}" for n, v in pairs
    )


@dataclass(frozen=True)
class Raw:
    """Sends signed requests of one user."""

    box: Any
    user: str = "alice"
    secret: str = ""  # in place of the user's own

    def v4(
        self,
        pairs: Pairs,
        *,
        path: str = "/",
        service: str = "ec2",
        region: str = "us-east-1",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """POST with the signature in the header."""
        data = quoted(pairs).encode() if body is None else body
        request = AWSRequest(
            "POST", self.box.url + path, headers={"Content-Type": FORM, **(headers or {})}, data=data
        )
        SigV4Auth(self._credentials(), service, region).add_auth(request)
        return send(self.box.port, "POST", path, data, dict(request.headers))

    def v4_query(self, pairs: Pairs, *, path: str = "/", service: str = "ec2") -> Answer:
        """GET of a presigned URL."""
        request = AWSRequest("GET", f"{self.box.url}{path}?{quoted(pairs)}")
        SigV4QueryAuth(self._credentials(), service, "us-east-1", expires=60).add_auth(request)
        parts = urllib.parse.urlsplit(request.url)
        return send(self.box.port, "GET", f"{parts.path}?{parts.query}", b"", {"Host": parts.netloc})

    def v2(
        self,
        pairs: Pairs,
        *,
        method: str = "POST",
        path: str = "/",
        algorithm: str = "HmacSHA256",
        at: timedelta = timedelta(0),
        expires: bool = False,
        version: str = "2",
    ) -> Answer:
        """As boto 2 and euca2ools sign: the host with its port, all parameters sorted by their bytes."""
        key, secret = self.box.credentials(self.user)
        moment = (datetime.now(UTC) + at).strftime("%Y-%m-%dT%H:%M:%SZ")
        pairs = [
            *pairs,
            ("AWSAccessKeyId", key),
            ("SignatureVersion", version),
            ("SignatureMethod", algorithm),
            ("Expires" if expires else "Timestamp", moment),
        ]
        host = f"127.0.0.1:{self.box.port}"
        ordered = sorted(pairs, key=lambda pair: pair[0].encode())
        text = f"{method}\n{host}\n{path}\n{quoted(ordered)}"
        digest = {"HmacSHA256": hashlib.sha256, "HmacSHA1": hashlib.sha1}[algorithm]
        mac = hmac.new((self.secret or secret).encode(), text.encode(), digest).digest()
        signed = quoted([*pairs, ("Signature", base64.b64encode(mac).decode())])
        if method == "GET":
            return send(self.box.port, "GET", f"{path}?{signed}")
        return send(self.box.port, "POST", path, signed.encode(), {"Content-Type": FORM})

    def _credentials(self) -> Credentials:
        key, secret = self.box.credentials(self.user)
        return Credentials(key, self.secret or secret)
