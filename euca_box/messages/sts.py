"""STS 2011-06-15: who am I, and credentials for a while."""

from dataclasses import dataclass, field

from euca_box.messages.base import Op


@dataclass(frozen=True)
class GetCallerIdentityResult:
    arn: str
    user_id: str
    account: str


@dataclass(frozen=True)
class GetCallerIdentity(Op[GetCallerIdentityResult], role="clc"):
    """Needs no permission. Clients call it to learn the account."""


@dataclass(frozen=True)
class Credentials:
    """`expires_at` is in seconds since 1970."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expires_at: int = 0


@dataclass(frozen=True)
class GetSessionToken(Op[Credentials], role="clc"):
    duration_seconds: int = 43_200
    serial_number: str = ""
    token_code: str = ""
