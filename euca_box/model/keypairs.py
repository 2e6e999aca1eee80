"""What a key pair is, as the CLC keeps it: the public half only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeyPair:
    key_pair_id: str
    account: str
    name: str
    fingerprint: str
    key_type: str  # rsa or ed25519
    public_key: str  # OpenSSH form, one line
    created_at: float
    tags: tuple[tuple[str, str], ...] = ()
