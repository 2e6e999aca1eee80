"""STS 2011-06-15: who am I, and credentials for a while."""

from dataclasses import dataclass, field

from euca_box.messages.base import Op
from euca_box.messages.moments import Moment


@dataclass(frozen=True)
class GetCallerIdentityResult:
    user_id: str
    account: str
    arn: str


@dataclass(frozen=True)
class GetCallerIdentity(Op[GetCallerIdentityResult], role="clc"):
    """Needs no permission. Clients call it to learn the account."""


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expiration: Moment = Moment(0.0)


@dataclass(frozen=True)
class GetSessionTokenResult:
    credentials: Credentials


@dataclass(frozen=True)
class GetSessionToken(Op[GetSessionTokenResult], role="clc"):
    duration_seconds: int = 43_200
    serial_number: str = ""
    token_code: str = ""


@dataclass(frozen=True)
class PolicyDescriptorType:
    """A managed policy that narrows a session."""

    arn: str | None = field(default=None, metadata={"wire": "arn"})


@dataclass(frozen=True)
class AssumedRoleUser:
    assumed_role_id: str
    arn: str


@dataclass(frozen=True)
class AssumeRoleResult:
    credentials: Credentials
    assumed_role_user: AssumedRoleUser
    packed_policy_size: int | None = None


@dataclass(frozen=True)
class AssumeRole(Op[AssumeRoleResult], role="clc"):
    role_arn: str
    role_session_name: str
    policy_arns: tuple[PolicyDescriptorType, ...] = ()
    policy: str | None = None
    duration_seconds: int | None = None
    external_id: str | None = None


@dataclass(frozen=True)
class FederatedUser:
    federated_user_id: str
    arn: str


@dataclass(frozen=True)
class GetFederationTokenResult:
    credentials: Credentials
    federated_user: FederatedUser
    packed_policy_size: int | None = None


@dataclass(frozen=True)
class GetFederationToken(Op[GetFederationTokenResult], role="clc"):
    name: str
    policy: str | None = None
    policy_arns: tuple[PolicyDescriptorType, ...] = ()
    duration_seconds: int = 43_200


@dataclass(frozen=True)
class GetAccessKeyInfoResult:
    account: str | None = None


@dataclass(frozen=True)
class GetAccessKeyInfo(Op[GetAccessKeyInfoResult], role="clc"):
    access_key_id: str
