"""IAM 2010-05-08: instance profiles: the role that an instance gets credentials of.

Names, and which members are optional, are those of the API reference.
"""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op
from euca_box.messages.iam_roles import Role
from euca_box.messages.iam_users import Tag
from euca_box.messages.moments import Moment


@dataclass(frozen=True)
class InstanceProfile:
    path: str
    instance_profile_name: str
    instance_profile_id: str
    arn: str
    create_date: Moment
    roles: tuple[Role, ...]
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class CreateInstanceProfileResult:
    instance_profile: InstanceProfile


@dataclass(frozen=True)
class CreateInstanceProfile(Op[CreateInstanceProfileResult], role="clc", mutates=True):
    instance_profile_name: str
    path: str | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class GetInstanceProfileResult:
    instance_profile: InstanceProfile


@dataclass(frozen=True)
class GetInstanceProfile(Op[GetInstanceProfileResult], role="clc"):
    instance_profile_name: str


@dataclass(frozen=True)
class ListInstanceProfilesResult:
    instance_profiles: tuple[InstanceProfile, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListInstanceProfiles(Op[ListInstanceProfilesResult], role="clc"):
    path_prefix: str | None = None
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class DeleteInstanceProfile(Op[Done], role="clc", mutates=True):
    instance_profile_name: str


@dataclass(frozen=True)
class AddRoleToInstanceProfile(Op[Done], role="clc", mutates=True):
    instance_profile_name: str
    role_name: str


@dataclass(frozen=True)
class RemoveRoleFromInstanceProfile(Op[Done], role="clc", mutates=True):
    instance_profile_name: str
    role_name: str


@dataclass(frozen=True)
class ListInstanceProfilesForRoleResult:
    instance_profiles: tuple[InstanceProfile, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListInstanceProfilesForRole(Op[ListInstanceProfilesForRoleResult], role="clc"):
    role_name: str
    marker: str | None = None
    max_items: int | None = None
