"""What a signature is checked against: the request as it was sent, and how a refusal is said.

Pure values and encodings shared by SigV4, SigV2 and the S3 signatures. A front end builds one
`SignedRequest` from what it routes by, so that the signed view and the used view cannot differ.
"""

import enum
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from euca_box.auth import sessions
from euca_box.auth.keyring import Keyring
from euca_box.model.accounts import AccessKey

MOST_PARAMETERS = 1000
LONGEST_KEPT = 128  # characters
SKEW_SECONDS = 15 * 60


class AuthKind(enum.StrEnum):
    """Why a request was refused; each front end has its own code for each kind."""

    MISSING = "missing"  # nothing in the request says who asks
    MALFORMED_HEADER = "malformed header"
    MALFORMED_QUERY = "malformed query"
    MALFORMED_FORM = "malformed form"
    AMBIGUOUS = "ambiguous"  # two signatures, or one parameter twice
    UNSUPPORTED = "unsupported"  # a signature version or method that is not accepted
    UNKNOWN_KEY = "unknown key"
    BAD_SIGNATURE = "bad signature"
    SKEWED = "skewed"
    EXPIRED = "expired"
    BAD_DATE = "bad date"
    UNSIGNED_HEADERS = "unsigned headers"
    SESSION_TOKEN = "session token"  # noqa: S105
    EXPIRED_TOKEN = "expired token"  # noqa: S105
    BAD_PAYLOAD = "bad payload"  # x-amz-content-sha256 is missing or is none of the known values
    BODY_MISMATCH = "body mismatch"  # the body is not the one that was signed
    INCOMPLETE_BODY = "incomplete body"
    MALFORMED_CHUNK = "malformed chunk"
    MALFORMED_TRAILER = "malformed trailer"


class AuthError(Exception):
    """The request is not believed. `details` are fields for the client (never a secret)."""

    def __init__(self, kind: AuthKind, message: str, details: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.details = dict(details or {})


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as sent: `raw_path` still percent-encoded, `query` decoded in order of sending,
    header names in lower case, header values as Latin-1 text (each byte one character).

    `by_name` is the same headers, given where none came twice."""

    method: str
    raw_path: bytes
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    body_sha256: str | None = None
    by_name: Mapping[str, str] | None = None

    def header(self, name: str) -> str | None:
        """The value of a header that may be given once. Raises AuthError(AMBIGUOUS) for two."""
        if self.by_name is not None:
            return self.by_name.get(name)
        return _only(self.headers, name)

    def parameter(self, name: str) -> str | None:
        """The value of a query parameter that may be given once. Raises AuthError(AMBIGUOUS) for two."""
        return _only(self.query, name) if self.query else None


def _only(pairs: Iterable[tuple[str, str]], name: str) -> str | None:
    found = [value for other, value in pairs if other == name]
    if len(found) > 1:
        raise AuthError(AuthKind.AMBIGUOUS, f"{name} is given more than once.")
    return found[0] if found else None


def parse_query(query_string: bytes) -> list[tuple[str, str]]:
    """Decoded parameters in order. Bytes that are not UTF-8 survive as surrogates.

    Raises AuthError(MALFORMED_QUERY) above MOST_PARAMETERS.
    """
    if not query_string:
        return []
    if query_string.count(b"&") >= MOST_PARAMETERS:
        raise AuthError(AuthKind.MALFORMED_QUERY, "There are too many query parameters.")
    pairs = []
    for item in query_string.split(b"&"):
        if item:
            name, _, value = item.partition(b"=")
            pairs.append((decode(name), decode(value)))
    return pairs


def decode(text: bytes) -> str:
    """One name or value of a query string; a plus is a blank, as in forms."""
    if b"%" in text or b"+" in text:
        text = unquote_to_bytes(text.replace(b"+", b"%20"))
    return text.decode("utf-8", "surrogateescape")


def encode(text: str) -> str:
    """RFC 3986 percent-encoding as AWS wants it: only A-Za-z0-9-_.~ stay as they are."""
    # Names and short values come again and again; long ones would let strangers fill the memory.
    return _encode_short(text) if len(text) <= LONGEST_KEPT else _encode(text)


def _encode(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="")


_encode_short = lru_cache(maxsize=4096)(_encode)


def canonical_query(pairs: Sequence[tuple[str, str]], *without: str) -> str:
    """Sorted by encoded name, then value, joined by & (SigV4 and SigV2 agree here)."""
    if not pairs:
        return ""
    encoded = sorted((encode(name), encode(value)) for name, value in pairs if name not in without)
    return "&".join(f"{name}={value}" for name, value in encoded)


def wire(text: str) -> bytes:
    """Header text back to the bytes that were sent."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def hmac_sha256(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, hashlib.sha256)


def is_same(expected: str, given: str) -> bool:
    """Equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))


def find_key(keyring: Keyring, access_key_id: str, token: str | None, now: datetime) -> AccessKey:
    """The key that may be used now; a temporary one only with its session token.

    Raises AuthError: UNKNOWN_KEY, SESSION_TOKEN, EXPIRED_TOKEN.
    """
    if token is not None:
        return _session_key(keyring, access_key_id, token, now)
    key = keyring.find(access_key_id)
    if key is None:
        raise AuthError(
            AuthKind.UNKNOWN_KEY,
            "The AWS Access Key Id you provided does not exist in our records.",
            {"AWSAccessKeyId": access_key_id},
        )
    return key


def _session_key(keyring: Keyring, access_key_id: str, token: str, now: datetime) -> AccessKey:
    refusal = AuthError(AuthKind.SESSION_TOKEN, "The provided token is malformed or otherwise invalid.")
    try:
        claim = sessions.open_token(keyring.session_key, access_key_id, token)
    except sessions.BadToken:
        raise refusal from None
    named = claim.parent_access_key_id
    parent = keyring.find_role(named) if claim.is_of_role else keyring.find(named)
    if parent is None:
        raise refusal
    if claim.expires_at <= now.timestamp():
        raise AuthError(AuthKind.EXPIRED_TOKEN, "The provided token has expired.")
    return claim.as_key(parent)
