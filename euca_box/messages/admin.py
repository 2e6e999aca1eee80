"""What the operator asks the CLC, through the admin socket."""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op
from euca_box.messages.cc import Node


@dataclass(frozen=True)
class UserKeys:
    """A user with one working access key."""

    account_id: str
    account_name: str
    user_name: str
    canonical_id: str
    display_name: str
    email: str
    state: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class AddUser(Op[UserKeys], role="clc"):
    """Make a user and its first access key. Without an account it gets one of its own name."""

    name: str
    account: str | None = None
    email: str = ""


@dataclass(frozen=True)
class GetUserKeys(Op[UserKeys], role="clc"):
    """A user's newest active access key; `name` is NAME or ACCOUNT/NAME."""

    name: str = "admin"


@dataclass(frozen=True)
class UserRow:
    account_id: str
    account_name: str
    user_name: str
    email: str
    state: str
    admin: bool


@dataclass(frozen=True)
class Users:
    users: tuple[UserRow, ...]


@dataclass(frozen=True)
class ListUsers(Op[Users], role="clc"):
    pass


@dataclass(frozen=True)
class SetUserState(Op[Done], role="clc"):
    """`active` or `disabled`: a disabled user's keys are refused at once."""

    name: str
    state: str


@dataclass(frozen=True)
class SetPassword(Op[Done], role="clc"):
    name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class CloudStatus:
    region: str
    zone: str
    instances: int
    images: int
    users: int
    nodes: tuple[Node, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class DescribeCloud(Op[CloudStatus], role="clc"):
    """What the status page and `euca-box status` show."""
