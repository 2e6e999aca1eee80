"""IAM 2010-05-08: access keys.

Names, and which members are optional, are those of the API reference.
"""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op
from euca_box.messages.moments import Moment


@dataclass(frozen=True)
class AccessKey:
    user_name: str
    access_key_id: str
    status: str
    secret_access_key: str = field(repr=False)
    create_date: Moment | None = None


@dataclass(frozen=True)
class CreateAccessKeyResult:
    access_key: AccessKey


@dataclass(frozen=True)
class CreateAccessKey(Op[CreateAccessKeyResult], role="clc", mutates=True):
    user_name: str | None = None


@dataclass(frozen=True)
class AccessKeyMetadata:
    user_name: str | None = None
    access_key_id: str | None = None
    status: str | None = None
    create_date: Moment | None = None


@dataclass(frozen=True)
class ListAccessKeysResult:
    access_key_metadata: tuple[AccessKeyMetadata, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListAccessKeys(Op[ListAccessKeysResult], role="clc"):
    user_name: str | None = None
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class UpdateAccessKey(Op[Done], role="clc", mutates=True):
    access_key_id: str
    status: str
    user_name: str | None = None


@dataclass(frozen=True)
class DeleteAccessKey(Op[Done], role="clc", mutates=True):
    access_key_id: str
    user_name: str | None = None


@dataclass(frozen=True)
class AccessKeyLastUsed:
    service_name: str
    region: str
    last_used_date: Moment | None = None


@dataclass(frozen=True)
class GetAccessKeyLastUsedResult:
    user_name: str | None = None
    access_key_last_used: AccessKeyLastUsed | None = None


@dataclass(frozen=True)
class GetAccessKeyLastUsed(Op[GetAccessKeyLastUsedResult], role="clc"):
    access_key_id: str
