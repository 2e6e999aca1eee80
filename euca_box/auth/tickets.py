"""Tickets: the cloud controller's word that whoever shows it may have one thing.

They go down with the wish that needs them: an image with the instance that boots of it, a volume with its
attachment, an image's id with the order to make it. So a node can ask for what it was told to use and for
nothing else, and nobody has to know which instance is where. They name no node: a wish goes to one only.
"""

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from euca_box.auth.host_messages import HostKey

_FORM = "euca-box-ticket-1"
IMAGE, STORED, VOLUME, UPLOAD = "image", "stored", "volume", "upload"


def write(key: HostKey, kind: str, *names: str) -> str:
    return base64.b64encode(key.private.sign(_text(kind, names))).decode()


def is_valid(public: bytes, ticket: str, kind: str, *names: str) -> bool:
    try:
        signature = base64.b64decode(ticket, validate=True)
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _text(kind, names))
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def _text(kind: str, names: tuple[str, ...]) -> bytes:
    """Each part with its length, so that no two lists are the same bytes."""
    parts = (_FORM, kind, *names)
    return b"".join(f"{len(part.encode())}:".encode() + part.encode() for part in parts)
