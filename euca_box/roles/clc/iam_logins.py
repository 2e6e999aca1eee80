"""Passwords of users, for the console: argon2id. IAM API reference 2010-05-08, CreateLoginProfile."""

from typing import TYPE_CHECKING

import trio

from euca_box.auth import passwords
from euca_box.messages import iam_logins as iam
from euca_box.messages.base import Call, Done
from euca_box.messages.moments import Moment
from euca_box.model.ec2_errors import EntityAlreadyExists
from euca_box.model.errors import AccessDeniedByPolicy
from euca_box.model.iam_errors import InvalidUserType, NothingThere, PasswordPolicyViolation
from euca_box.roles.clc.identities import user_of, write_or
from euca_box.store.store import Row, Statement, Value, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

SHORTEST, LONGEST = 8, 128


async def create(clc: "Clc", call: Call, op: iam.CreateLoginProfile) -> iam.CreateLoginProfileResult:
    """Raises EntityAlreadyExists, PasswordPolicyViolation, NoSuchEntity."""
    user = await user_of(clc, call, op.user_name)
    if op.password is None:
        raise PasswordPolicyViolation("A password must be given.")
    hashed, now = await hash_of(user, op.password), clc.now()
    await write_or(
        clc,
        EntityAlreadyExists("Login Profile for user", user["name"]),
        _change(user, hashed, now, bool(op.password_reset_required), only=" AND password_hash = ''"),
    )
    made = iam.LoginProfile(user["name"], Moment(now), bool(op.password_reset_required))
    return iam.CreateLoginProfileResult(made)


async def get(clc: "Clc", call: Call, op: iam.GetLoginProfile) -> iam.GetLoginProfileResult:
    """Raises NoSuchEntity."""
    user = await user_of(clc, call, op.user_name)
    if not user["password_hash"]:
        raise _absent(user)
    at = Moment(user["password_at"] or user["created_at"])
    return iam.GetLoginProfileResult(iam.LoginProfile(user["name"], at, bool(user["password_reset"])))


async def update(clc: "Clc", call: Call, op: iam.UpdateLoginProfile) -> Done:
    """What is not given stays. Sessions that were begun with the old password end."""
    user = await user_of(clc, call, op.user_name)
    hashed = user["password_hash"] if op.password is None else await hash_of(user, op.password)
    reset = user["password_reset"] if op.password_reset_required is None else op.password_reset_required
    at = clc.now() if op.password is not None else user["password_at"]
    change = _change(user, hashed, at, bool(reset), only=" AND password_hash <> ''")
    await write_or(clc, _absent(user), change)
    return Done()


async def delete(clc: "Clc", call: Call, op: iam.DeleteLoginProfile) -> Done:
    """Raises NoSuchEntity."""
    user = await user_of(clc, call, op.user_name)
    change = _change(user, "", clc.now(), False, only=" AND password_hash <> ''")
    await write_or(clc, _absent(user), change)
    return Done()


async def change_password(clc: "Clc", call: Call, op: iam.ChangePassword) -> Done:
    """The caller's own. Raises InvalidUserType (no password), AccessDenied (a wrong old one)."""
    row = one(await clc.store.read("SELECT * FROM user WHERE id = ?", call.principal.identity))
    if row is None or not row["password_hash"]:
        raise InvalidUserType("Only a user with a password may change it.")
    if not await trio.to_thread.run_sync(passwords.is_right, op.old_password, row["password_hash"]):
        raise AccessDeniedByPolicy("The old password was incorrect.")
    hashed = await hash_of(row, op.new_password)
    only = " AND password_hash = ?"
    await write_or(clc, _absent(row), _change(row, hashed, clc.now(), False, row["password_hash"], only=only))
    return Done()


async def hash_of(user: Row, password: str) -> str:
    """Raises PasswordPolicyViolation."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordPolicyViolation(f"A password has {SHORTEST} to {LONGEST} characters.")
    if password.lower() == user["name"].lower():
        raise PasswordPolicyViolation("The password must be another than the user name.")
    return await trio.to_thread.run_sync(passwords.hashed, password)


def _change(user: Row, hashed: str, at: float, reset: bool, *more: Value, only: str) -> Statement:
    sql = f"UPDATE user SET password_hash = ?, password_at = ?, password_reset = ? WHERE id = ?{only}"  # noqa: S608
    return Statement(sql, (hashed, at, int(reset), user["id"], *more), expect=1)


def _absent(user: Row) -> NothingThere:
    return NothingThere(f"Login Profile for User {user['name']} cannot be found.")
