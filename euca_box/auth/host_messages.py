"""Messages between hosts: which host signed this, for whom, when, and did it come before.

Each host has an Ed25519 key (RFC 8032). Signed are method, target, sender, receiver, time, nonce and the
digest of the body, so that a message is good for one receiver, for a minute, and once.
"""

import base64
import binascii
import hashlib
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from euca_box.model.hosts import host_id_of

SKEW_SECONDS = 60.0
MOST_NONCES = 1_000_000
_FORM = "euca-box-message-1"
SENDER, RECEIVER = "x-euca-sender", "x-euca-receiver"
TIME, NONCE, SIGNATURE = "x-euca-time", "x-euca-nonce", "x-euca-signature"


class NotTrusted(Exception):
    """Why the message is not believed. `skew_seconds`: how far the sender's clock is ahead, if that is it."""

    def __init__(self, message: str, skew_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.skew_seconds = skew_seconds


@dataclass(frozen=True)
class HostKey:
    """The private key of this host; its name among hosts follows from it."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """32 bytes, as others keep it."""
        return self.private.public_key().public_bytes_raw()

    @property
    def host_id(self) -> str:
        return host_id_of(self.public)


def load_or_make(path: Path) -> HostKey:
    """From the file, which is made 0600 when it is missing."""
    try:
        return HostKey(Ed25519PrivateKey.from_private_bytes(path.read_bytes()))
    except FileNotFoundError:
        made = Ed25519PrivateKey.generate()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(made.private_bytes_raw())
        file.flush()
        os.fsync(file.fileno())
    return HostKey(made)


def sign(key: HostKey, receiver: str, method: str, target: str, body: bytes, now: float) -> dict[str, str]:
    """The headers that say who sends this to whom. `now`: seconds since 1970."""
    headers = {
        SENDER: key.host_id,
        RECEIVER: receiver,
        TIME: f"{now:.3f}",
        NONCE: secrets.token_hex(16),
    }
    signature = key.private.sign(_signed_text(headers, method, target, body))
    return headers | {SIGNATURE: base64.b64encode(signature).decode()}


class Verifier:
    """For one receiver. `key_of` knows the public keys of hosts that are trusted now."""

    def __init__(
        self, host_id: str, key_of: Callable[[str], bytes | None], clock: Callable[[], float]
    ) -> None:
        self._host_id, self._key_of, self._clock = host_id, key_of, clock
        self._began = clock()
        self._seen: OrderedDict[str, float] = OrderedDict()  # nonce -> when it can be forgotten

    def verify(
        self, headers: Mapping[str, str], method: str, target: str, body: bytes, stranger: bytes | None = None
    ) -> str:
        """The sender's host id. `headers` with lower-case names. `stranger`: the key that one who has not
        joined yet says is its own. Raises NotTrusted."""
        try:
            sent = {name: headers[name] for name in (SENDER, RECEIVER, TIME, NONCE)}
            signature = base64.b64decode(headers[SIGNATURE], validate=True)
            at = float(sent[TIME])
        except (KeyError, ValueError, binascii.Error):
            raise NotTrusted("The message is not signed as messages between hosts are.") from None
        if sent[RECEIVER] != self._host_id:
            raise NotTrusted("The message is for another host.")
        public = self._key_of(sent[SENDER]) if stranger is None else stranger
        if public is None or host_id_of(public) != sent[SENDER]:
            raise NotTrusted("The host that sent this has not joined, or was removed.")
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(
                signature, _signed_text(sent, method, target, body)
            )
        except InvalidSignature:
            raise NotTrusted("The signature is not that of its sender.") from None
        self._check_time(at)
        self._check_nonce(sent[NONCE])
        return sent[SENDER]

    def _check_time(self, at: float) -> None:
        now = self._clock()
        if not abs(at - now) <= SKEW_SECONDS:  # so that it is also true of nan
            raise NotTrusted(
                f"The clocks of the hosts differ by {at - now:.0f} s; {SKEW_SECONDS:.0f} s are taken. "
                "Have both keep the time (timedatectl set-ntp true).",
                at - now,
            )
        if at < self._began - 0.001:  # times are sent in milliseconds
            raise NotTrusted("The message was signed before this host started; sign it anew.")

    def _check_nonce(self, nonce: str) -> None:
        now = self._clock()
        while self._seen and next(iter(self._seen.values())) < now:
            self._seen.popitem(last=False)
        if nonce in self._seen:
            raise NotTrusted("The message came before.")
        if len(self._seen) >= MOST_NONCES:
            raise NotTrusted("There are too many messages; try again.")
        self._seen[nonce] = now + 2 * SKEW_SECONDS


def _signed_text(sent: Mapping[str, str], method: str, target: str, body: bytes) -> bytes:
    digest = hashlib.sha256(body).hexdigest()
    lines = (_FORM, method, target, sent[SENDER], sent[RECEIVER], sent[TIME], sent[NONCE], digest)
    return "\n".join(lines).encode()
