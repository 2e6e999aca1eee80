"""A small S3 client that says what it does not know: whether a request that broke off was done."""

import contextlib
import hashlib
import http.client
from datetime import UTC, datetime
from typing import Any

from euca_box.auth.sigv4_sign import sign_headers
from tests.api.s3_box import ALICE


class Unknown(Exception):
    """The connection ended before the answer came: the request was done, or not."""


class Client:
    def __init__(self, port: int) -> None:
        self.port = port
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, target: str, data: bytes = b"", **headers: str) -> tuple[int, bytes, Any]:
        """Status, body, headers. Raises Unknown."""
        url = f"http://127.0.0.1:{self.port}{target}"
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        signed = sign_headers(
            method, url, given, ALICE, datetime.now(UTC), payload_sha256=hashlib.sha256(data).hexdigest()
        )
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            self._connection.request(method, target, data, signed)
            answer = self._connection.getresponse()
            return answer.status, answer.read(), answer.headers
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unknown(str(error)) from error

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None
