"""IAM 2010-05-08: passwords.

Names, and which members are optional, are those of the API reference.
"""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op
from euca_box.messages.moments import Moment


@dataclass(frozen=True)
class LoginProfile:
    user_name: str
    create_date: Moment
    password_reset_required: bool | None = None


@dataclass(frozen=True)
class CreateLoginProfileResult:
    login_profile: LoginProfile


@dataclass(frozen=True)
class CreateLoginProfile(Op[CreateLoginProfileResult], role="clc", mutates=True):
    user_name: str | None = None
    password: str | None = field(default=None, repr=False)
    password_reset_required: bool | None = None


@dataclass(frozen=True)
class GetLoginProfileResult:
    login_profile: LoginProfile


@dataclass(frozen=True)
class GetLoginProfile(Op[GetLoginProfileResult], role="clc"):
    user_name: str | None = None


@dataclass(frozen=True)
class UpdateLoginProfile(Op[Done], role="clc", mutates=True):
    user_name: str
    password: str | None = field(default=None, repr=False)
    password_reset_required: bool | None = None


@dataclass(frozen=True)
class DeleteLoginProfile(Op[Done], role="clc", mutates=True):
    user_name: str | None = None


@dataclass(frozen=True)
class ChangePassword(Op[Done], role="clc", mutates=True):
    old_password: str = field(repr=False)
    new_password: str = field(repr=False)
