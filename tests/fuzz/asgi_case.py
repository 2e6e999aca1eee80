"""One request as an ASGI server would hand it on, run to its end without a loop.

The parts under test wait for nothing but `receive`, which answers at once; a coroutine that does wait
would be noticed here.
"""

import os
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from hypothesis import settings
from hypothesis import strategies as st

from euca_box.auth.keyring import Keyring
from euca_box.model.accounts import AccessKey, Principal

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ALICE = AccessKey("AKIAALICE", "alice-secret", Principal("000000000002", "alice", "a" * 64, "alice"))
Headers = list[tuple[bytes, bytes]]

# A few seconds for each test. For a longer hunt: EUCA_BOX_FUZZ_EXAMPLES=20000 pytest tests/fuzz
bounded = settings(max_examples=int(os.environ.get("EUCA_BOX_FUZZ_EXAMPLES", "300")), deadline=None)

# Text of all kinds, and the characters that mean something to a parser of this project.
pieces = st.one_of(
    st.text(max_size=12),
    st.text(alphabet="%&=+.;/,: \t\n\r\0aA01é€\U0001f600", max_size=12),
    st.sampled_from(
        ["%00", "%ff", "%", "%zz", "..", "//", "\ud800", "-1", "0", "1", "9" * 30, "true", "nan"]
    ),
)
wild_bytes = st.one_of(
    st.binary(max_size=200),
    st.lists(pieces, max_size=12).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass")),
)


def keyring_of(*keys: AccessKey) -> Keyring:
    keyring = Keyring()
    keyring.replace(1, keys)
    return keyring


def scope_of(
    method: str = "POST", raw_path: bytes = b"/", query_string: bytes = b"", headers: Iterable[Any] = ()
) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"),
        "raw_path": raw_path,
        "query_string": query_string,
        "headers": [(n, v) for n, v in headers],
        "client": ("192.0.2.1", 4711),
    }


@dataclass
class Sent:
    """What the application sent, and how many messages of the body it took."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    received: int = 0


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    coroutine.close()
    raise AssertionError("it waits for something")


def exchange(app: Any, scope: dict[str, Any], body: Iterable[bytes] = (b"",)) -> Sent:
    """The whole answer of an application to the request; `body` arrives piece by piece."""
    sent = Sent()
    waiting = iter(body)

    async def receive() -> dict[str, Any]:
        sent.received += 1
        piece = next(waiting, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            sent.status, sent.headers = message["status"], list(message["headers"])
        else:
            sent.body += message.get("body", b"")

    finish(app(scope, receive, send))
    return sent
