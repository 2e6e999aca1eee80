"""IAM 2010-05-08: users and their tags.

Names, and which members are optional, are those of the API reference.
"""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op
from euca_box.messages.moments import Moment


@dataclass(frozen=True)
class Tag:
    key: str
    value: str


@dataclass(frozen=True)
class User:
    path: str
    user_name: str
    user_id: str
    arn: str
    create_date: Moment
    password_last_used: Moment | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class CreateUserResult:
    user: User | None = None


@dataclass(frozen=True)
class CreateUser(Op[CreateUserResult], role="clc", mutates=True):
    user_name: str
    path: str | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class GetUserResult:
    user: User


@dataclass(frozen=True)
class GetUser(Op[GetUserResult], role="clc"):
    user_name: str | None = None


@dataclass(frozen=True)
class ListUsersResult:
    users: tuple[User, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListUsers(Op[ListUsersResult], role="clc"):
    path_prefix: str | None = None
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class UpdateUser(Op[Done], role="clc", mutates=True):
    user_name: str
    new_path: str | None = None
    new_user_name: str | None = None


@dataclass(frozen=True)
class DeleteUser(Op[Done], role="clc", mutates=True):
    user_name: str


@dataclass(frozen=True)
class TagUser(Op[Done], role="clc", mutates=True):
    user_name: str
    tags: tuple[Tag, ...]


@dataclass(frozen=True)
class UntagUser(Op[Done], role="clc", mutates=True):
    user_name: str
    tag_keys: tuple[str, ...]


@dataclass(frozen=True)
class ListUserTagsResult:
    tags: tuple[Tag, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListUserTags(Op[ListUserTagsResult], role="clc"):
    user_name: str
    marker: str | None = None
    max_items: int | None = None
