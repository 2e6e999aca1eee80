"""Temporary credentials: STS GetSessionToken, and the key that seals their tokens."""

import os
from typing import TYPE_CHECKING

from euca_box.auth import secrets, sessions
from euca_box.messages import sts
from euca_box.messages.base import Call
from euca_box.model.errors import AccessDeniedByPolicy, ValidationError
from euca_box.store.store import Statement

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

_META = "session_key"
SHORTEST_SECONDS, LONGEST_SECONDS = 900, 129_600  # STS API reference, GetSessionToken
_ADMIN_LONGEST_SECONDS = 3600  # the same: credentials of an account's root


async def get_session_token(clc: "Clc", call: Call, op: sts.GetSessionToken) -> sts.Credentials:
    """Credentials for some hours that may do what the caller may.

    Raises AccessDenied when the caller has temporary ones himself, or gives an MFA code (nobody has a
    device), ValidationError for a duration out of bounds.
    """
    parent = clc.keyring.find(call.access_key_id)
    if parent is None:
        raise AccessDeniedByPolicy("Cannot call GetSessionToken with session credentials")
    if op.serial_number or op.token_code:
        raise AccessDeniedByPolicy(
            "MultiFactorAuthentication failed, unable to validate MFA code. No user here has an MFA device."
        )
    seconds = op.duration_seconds
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise ValidationError(
            f"DurationSeconds must be from {SHORTEST_SECONDS} to {LONGEST_SECONDS}, not {seconds}."
        )
    if parent.principal.admin:
        seconds = min(seconds, _ADMIN_LONGEST_SECONDS)
    claim = sessions.Claim(
        secrets.new_access_key_id("ASIA"),
        secrets.new_secret(),
        parent.access_key_id,
        int(clc.now()) + seconds,
    )
    token = sessions.new_token(clc.keyring.session_key, claim)
    return sts.Credentials(claim.access_key_id, claim.secret_access_key, token, claim.expires_at)


async def session_key(clc: "Clc") -> bytes:
    """The key of this cloud, made at the first start and kept sealed."""
    fresh = clc.sealer.seal(os.urandom(sessions.KEY_BYTES).hex(), _META)
    await clc.store.write(
        Statement("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", (_META, fresh))
    )
    [row] = await clc.store.read("SELECT value FROM meta WHERE name = ?", _META)
    return bytes.fromhex(clc.sealer.open(row["value"], _META))
