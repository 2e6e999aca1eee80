"""Groups: users that have policies together. IAM API reference 2010-05-08, CreateGroup and its neighbours."""

from typing import TYPE_CHECKING

from euca_box.messages import iam_groups as iam
from euca_box.messages.base import Call, Done
from euca_box.messages.moments import Moment
from euca_box.model.ec2_errors import LimitExceeded, NoSuchEntity
from euca_box.roles.clc import iam_users, users
from euca_box.roles.clc.identities import (
    GROUP,
    USER,
    account_of,
    arn,
    checked_path,
    cut,
    find,
    keep_new,
    listed,
    remove,
    rename,
    write_or,
)
from euca_box.store.store import Row, Statement

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

MOST_GROUPS_OF_A_USER = 10
_IN_THE_WAY = {
    "SELECT 1 FROM group_member WHERE group_id = ?": "remove users from group",
    "SELECT 1 FROM attached_policy WHERE owner = ?": "detach all policies",
    "SELECT 1 FROM inline_policy WHERE owner = ?": "delete policies",
}


async def create_group(clc: "Clc", call: Call, op: iam.CreateGroup) -> iam.CreateGroupResult:
    values = {"account": account_of(clc, call), "name": op.group_name, "path": checked_path(op.path)}
    return iam.CreateGroupResult(view(await keep_new(clc, GROUP, values)))


async def get_group(clc: "Clc", call: Call, op: iam.GetGroup) -> iam.GetGroupResult:
    row = await find(clc, account_of(clc, call), GROUP, op.group_name)
    members = await clc.store.read(
        "SELECT user.* FROM group_member JOIN user ON user.id = group_member.user_id "
        "WHERE group_member.group_id = ?",
        row["id"],
    )
    shown, marker = cut(members, op, lambda member: str(member["name"]))
    return iam.GetGroupResult(view(row), tuple(map(iam_users.brief, shown)), marker is not None, marker)


async def list_groups(clc: "Clc", call: Call, op: iam.ListGroups) -> iam.ListGroupsResult:
    rows = await listed(clc, account_of(clc, call), GROUP, op.path_prefix)
    shown, marker = cut(rows, op, lambda row: str(row["name"]))
    return iam.ListGroupsResult(tuple(map(view, shown)), marker is not None, marker)


async def list_groups_for_user(
    clc: "Clc", call: Call, op: iam.ListGroupsForUser
) -> iam.ListGroupsForUserResult:
    user = await find(clc, account_of(clc, call), USER, op.user_name)
    rows = await clc.store.read(
        "SELECT iam_group.* FROM group_member JOIN iam_group ON iam_group.id = group_member.group_id "
        "WHERE group_member.user_id = ?",
        user["id"],
    )
    shown, marker = cut(rows, op, lambda row: str(row["name"]))
    return iam.ListGroupsForUserResult(tuple(map(view, shown)), marker is not None, marker)


async def update_group(clc: "Clc", call: Call, op: iam.UpdateGroup) -> Done:
    row = await find(clc, account_of(clc, call), GROUP, op.group_name)
    await rename(clc, GROUP, row, op.new_group_name, op.new_path)
    return Done()


async def delete_group(clc: "Clc", call: Call, op: iam.DeleteGroup) -> Done:
    """Raises DeleteConflict, NoSuchEntity."""
    await remove(clc, GROUP, await find(clc, account_of(clc, call), GROUP, op.group_name), _IN_THE_WAY)
    return Done()


async def add_user_to_group(clc: "Clc", call: Call, op: iam.AddUserToGroup) -> Done:
    """Twice is harmless. Raises LimitExceeded, NoSuchEntity."""
    group, user = await _both(clc, call, op.group_name, op.user_name)
    await write_or(
        clc,
        LimitExceeded(f"Cannot exceed quota for GroupsPerUser: {MOST_GROUPS_OF_A_USER}"),
        Statement("INSERT INTO group_member VALUES (?, ?) ON CONFLICT DO NOTHING", (group["id"], user["id"])),
        Statement(
            "SELECT 1 WHERE (SELECT count(*) FROM group_member WHERE user_id = ?) <= ?",
            (user["id"], MOST_GROUPS_OF_A_USER),
            expect=1,
        ),
    )
    await users.refresh_keyring(clc)
    return Done()


async def remove_user_from_group(clc: "Clc", call: Call, op: iam.RemoveUserFromGroup) -> Done:
    """Raises NoSuchEntity, also for one who is no member."""
    group, user = await _both(clc, call, op.group_name, op.user_name)
    sql = "DELETE FROM group_member WHERE group_id = ? AND user_id = ?"
    await write_or(
        clc, NoSuchEntity("user", op.user_name), Statement(sql, (group["id"], user["id"]), expect=1)
    )
    await users.refresh_keyring(clc)
    return Done()


async def _both(clc: "Clc", call: Call, group_name: str, user_name: str) -> tuple[Row, Row]:
    account = account_of(clc, call)
    return await find(clc, account, GROUP, group_name), await find(clc, account, USER, user_name)


def view(row: Row) -> iam.Group:
    return iam.Group(row["path"], row["name"], row["id"], arn(GROUP, row), Moment(row["created_at"]))
