"""IAM 2010-05-08: roles and their tags.

Names, and which members are optional, are those of the API reference.
"""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op
from euca_box.messages.iam_users import Tag
from euca_box.messages.moments import Moment


@dataclass(frozen=True)
class Role:
    path: str
    role_name: str
    role_id: str
    arn: str
    create_date: Moment
    assume_role_policy_document: str | None = None
    description: str | None = None
    max_session_duration: int | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class CreateRoleResult:
    role: Role


@dataclass(frozen=True)
class CreateRole(Op[CreateRoleResult], role="clc", mutates=True):
    role_name: str
    assume_role_policy_document: str
    path: str | None = None
    description: str | None = None
    max_session_duration: int | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class GetRoleResult:
    role: Role


@dataclass(frozen=True)
class GetRole(Op[GetRoleResult], role="clc"):
    role_name: str


@dataclass(frozen=True)
class ListRolesResult:
    roles: tuple[Role, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListRoles(Op[ListRolesResult], role="clc"):
    path_prefix: str | None = None
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class UpdateRoleResult:
    pass


@dataclass(frozen=True)
class UpdateRole(Op[UpdateRoleResult], role="clc", mutates=True):
    role_name: str
    description: str | None = None
    max_session_duration: int | None = None


@dataclass(frozen=True)
class UpdateRoleDescriptionResult:
    role: Role | None = None


@dataclass(frozen=True)
class UpdateRoleDescription(Op[UpdateRoleDescriptionResult], role="clc", mutates=True):
    role_name: str
    description: str


@dataclass(frozen=True)
class UpdateAssumeRolePolicy(Op[Done], role="clc", mutates=True):
    role_name: str
    policy_document: str


@dataclass(frozen=True)
class DeleteRole(Op[Done], role="clc", mutates=True):
    role_name: str


@dataclass(frozen=True)
class TagRole(Op[Done], role="clc", mutates=True):
    role_name: str
    tags: tuple[Tag, ...]


@dataclass(frozen=True)
class UntagRole(Op[Done], role="clc", mutates=True):
    role_name: str
    tag_keys: tuple[str, ...]


@dataclass(frozen=True)
class ListRoleTagsResult:
    tags: tuple[Tag, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListRoleTags(Op[ListRoleTagsResult], role="clc"):
    role_name: str
    marker: str | None = None
    max_items: int | None = None
