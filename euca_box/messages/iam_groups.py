"""IAM 2010-05-08: groups of users.

Names, and which members are optional, are those of the API reference.
"""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op
from euca_box.messages.iam_users import User
from euca_box.messages.moments import Moment


@dataclass(frozen=True)
class Group:
    path: str
    group_name: str
    group_id: str
    arn: str
    create_date: Moment


@dataclass(frozen=True)
class CreateGroupResult:
    group: Group


@dataclass(frozen=True)
class CreateGroup(Op[CreateGroupResult], role="clc", mutates=True):
    group_name: str
    path: str | None = None


@dataclass(frozen=True)
class GetGroupResult:
    group: Group
    users: tuple[User, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class GetGroup(Op[GetGroupResult], role="clc"):
    group_name: str
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class ListGroupsResult:
    groups: tuple[Group, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListGroups(Op[ListGroupsResult], role="clc"):
    path_prefix: str | None = None
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class UpdateGroup(Op[Done], role="clc", mutates=True):
    group_name: str
    new_path: str | None = None
    new_group_name: str | None = None


@dataclass(frozen=True)
class DeleteGroup(Op[Done], role="clc", mutates=True):
    group_name: str


@dataclass(frozen=True)
class AddUserToGroup(Op[Done], role="clc", mutates=True):
    group_name: str
    user_name: str


@dataclass(frozen=True)
class RemoveUserFromGroup(Op[Done], role="clc", mutates=True):
    group_name: str
    user_name: str


@dataclass(frozen=True)
class ListGroupsForUserResult:
    groups: tuple[Group, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListGroupsForUser(Op[ListGroupsForUserResult], role="clc"):
    user_name: str
    marker: str | None = None
    max_items: int | None = None
