"""STS 2011-06-15: who am I?"""

from dataclasses import dataclass

from euca_box.messages.base import Op


@dataclass(frozen=True)
class GetCallerIdentityResult:
    arn: str
    user_id: str
    account: str


@dataclass(frozen=True)
class GetCallerIdentity(Op[GetCallerIdentityResult], role="clc"):
    """Needs no permission. Clients call it to learn the account."""
