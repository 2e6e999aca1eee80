"""Users of an account. Its first one is its root: everything without a policy, and not to be deleted.

Source: IAM API reference 2010-05-08, CreateUser and its neighbours.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import iam_users as iam
from euca_box.messages.base import Call, Done
from euca_box.messages.moments import Moment
from euca_box.model.accounts import UserState
from euca_box.model.iam_errors import DeleteConflict
from euca_box.roles.clc import users
from euca_box.roles.clc.identities import (
    USER,
    account_of,
    add_tags,
    arn,
    checked_path,
    cut,
    find,
    keep_new,
    listed,
    remove,
    remove_tags,
    rename,
    tags_of,
    user_of,
)
from euca_box.store.store import Row, Statement

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

_MINE = "WHERE (account, user) = (SELECT account, name FROM user WHERE id = ?)"
_IN_THE_WAY = {
    f"SELECT 1 FROM access_key {_MINE}": "delete access keys",  # noqa: S608
    f"SELECT 1 FROM signing_certificate {_MINE}": "delete certificates",  # noqa: S608
    "SELECT 1 FROM user WHERE id = ? AND password_hash <> ''": "delete login profile",
    "SELECT 1 FROM attached_policy WHERE owner = ?": "detach all policies",
    "SELECT 1 FROM inline_policy WHERE owner = ?": "delete policies",
    "SELECT 1 FROM group_member WHERE user_id = ?": "remove users from group",
}


async def create_user(clc: "Clc", call: Call, op: iam.CreateUser) -> iam.CreateUserResult:
    """The user has no key, no password and no rights yet. Raises EntityAlreadyExists, ValidationError."""
    account = account_of(clc, call)
    values = {
        "account": account,
        "name": op.user_name,
        "path": checked_path(op.path),
        "canonical_id": await users.canonical_id_of(clc, account),
        "state": UserState.ACTIVE.value,
    }
    row = await keep_new(clc, USER, values, op.tags)
    return iam.CreateUserResult(await view(clc, row))


async def get_user(clc: "Clc", call: Call, op: iam.GetUser) -> iam.GetUserResult:
    return iam.GetUserResult(await view(clc, await user_of(clc, call, op.user_name)))


async def list_users(clc: "Clc", call: Call, op: iam.ListUsers) -> iam.ListUsersResult:
    rows = await listed(clc, account_of(clc, call), USER, op.path_prefix)
    shown, marker = cut(rows, op, lambda row: str(row["name"]))
    return iam.ListUsersResult(tuple(map(brief, shown)), marker is not None, marker)


async def update_user(clc: "Clc", call: Call, op: iam.UpdateUser) -> Done:
    """The keys, certificates and policies of the user stay his."""
    row = await find(clc, account_of(clc, call), USER, op.user_name)
    new = op.new_user_name or row["name"]
    owned = [
        Statement(
            f"UPDATE {table} SET user = ? WHERE account = ? AND user = ?",  # noqa: S608
            (new, row["account"], row["name"]),
        )
        for table in ("access_key", "signing_certificate")
    ]
    await rename(clc, USER, row, op.new_user_name, op.new_path, *owned)
    await users.refresh_keyring(clc)
    return Done()


async def delete_user(clc: "Clc", call: Call, op: iam.DeleteUser) -> Done:
    """Raises DeleteConflict, NoSuchEntity."""
    row = await find(clc, account_of(clc, call), USER, op.user_name)
    if row["root"]:
        raise DeleteConflict("delete the account of its first user")
    await remove(clc, USER, row, _IN_THE_WAY)
    return Done()


async def tag_user(clc: "Clc", call: Call, op: iam.TagUser) -> Done:
    await add_tags(clc, (await find(clc, account_of(clc, call), USER, op.user_name))["id"], op.tags)
    return Done()


async def untag_user(clc: "Clc", call: Call, op: iam.UntagUser) -> Done:
    await remove_tags(clc, (await find(clc, account_of(clc, call), USER, op.user_name))["id"], op.tag_keys)
    return Done()


async def list_user_tags(clc: "Clc", call: Call, op: iam.ListUserTags) -> iam.ListUserTagsResult:
    row = await find(clc, account_of(clc, call), USER, op.user_name)
    shown, marker = cut(await tags_of(clc, row["id"]), op, lambda tag: tag.key)
    return iam.ListUserTagsResult(tuple(shown), marker is not None, marker)


def brief(row: Row) -> iam.User:
    """Without the tags, as lists show it."""
    return iam.User(
        path=row["path"],
        user_name=row["name"],
        user_id=row["id"],
        arn=arn(USER, row),
        create_date=Moment(row["created_at"]),
        password_last_used=Moment(used) if (used := dict(row).get("password_used_at")) else None,
    )


async def view(clc: "Clc", row: Row) -> iam.User:
    return replace(brief(row), tags=await tags_of(clc, row["id"]))
