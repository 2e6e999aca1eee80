"""Instance profiles: a role in a box that an instance is started with.

IAM API reference 2010-05-08, CreateInstanceProfile and its neighbours. A profile has one role at most.
"""

from typing import TYPE_CHECKING

from euca_box.messages import iam_instance_profiles as iam
from euca_box.messages.base import Call, Done
from euca_box.messages.moments import Moment
from euca_box.model.ec2_errors import LimitExceeded, NoSuchEntity
from euca_box.roles.clc import iam_roles
from euca_box.roles.clc.identities import (
    PROFILE,
    ROLE,
    account_of,
    arn,
    checked_path,
    cut,
    find,
    keep_new,
    listed,
    remove,
    tags_of,
    write_or,
)
from euca_box.store.store import Row, Statement, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

_WITH_ROLE = "SELECT 1 FROM instance_profile WHERE id = ? AND role_id IS NOT NULL"
_IN_THE_WAY = {_WITH_ROLE: "remove roles from instance profile"}


async def create(clc: "Clc", call: Call, op: iam.CreateInstanceProfile) -> iam.CreateInstanceProfileResult:
    account, path = account_of(clc, call), checked_path(op.path)
    values = {"account": account, "name": op.instance_profile_name, "path": path, "role_id": None}
    row = await keep_new(clc, PROFILE, values, op.tags)
    return iam.CreateInstanceProfileResult(await view(clc, row))


async def get(clc: "Clc", call: Call, op: iam.GetInstanceProfile) -> iam.GetInstanceProfileResult:
    return iam.GetInstanceProfileResult(await view(clc, await _find(clc, call, op.instance_profile_name)))


async def list_all(clc: "Clc", call: Call, op: iam.ListInstanceProfiles) -> iam.ListInstanceProfilesResult:
    rows = await listed(clc, account_of(clc, call), PROFILE, op.path_prefix)
    shown, marker = cut(rows, op, lambda row: str(row["name"]))
    views = tuple([await view(clc, row) for row in shown])
    return iam.ListInstanceProfilesResult(views, marker is not None, marker)


async def list_for_role(
    clc: "Clc", call: Call, op: iam.ListInstanceProfilesForRole
) -> iam.ListInstanceProfilesForRoleResult:
    role = await find(clc, account_of(clc, call), ROLE, op.role_name)
    rows = await clc.store.read("SELECT * FROM instance_profile WHERE role_id = ?", role["id"])
    shown, marker = cut(rows, op, lambda row: str(row["name"]))
    views = tuple([await view(clc, row) for row in shown])
    return iam.ListInstanceProfilesForRoleResult(views, marker is not None, marker)


async def delete(clc: "Clc", call: Call, op: iam.DeleteInstanceProfile) -> Done:
    """Raises DeleteConflict, NoSuchEntity."""
    await remove(clc, PROFILE, await _find(clc, call, op.instance_profile_name), _IN_THE_WAY)
    return Done()


async def add_role(clc: "Clc", call: Call, op: iam.AddRoleToInstanceProfile) -> Done:
    """Raises LimitExceeded when there is one already."""
    row = await _find(clc, call, op.instance_profile_name)
    role = await find(clc, account_of(clc, call), ROLE, op.role_name)
    sql = "UPDATE instance_profile SET role_id = ? WHERE id = ? AND role_id IS NULL"
    full = LimitExceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
    await write_or(clc, full, Statement(sql, (role["id"], row["id"]), expect=1))
    clc.profiles_bell.ring()
    return Done()


async def remove_role(clc: "Clc", call: Call, op: iam.RemoveRoleFromInstanceProfile) -> Done:
    """Raises NoSuchEntity."""
    row = await _find(clc, call, op.instance_profile_name)
    role = await find(clc, account_of(clc, call), ROLE, op.role_name)
    sql = "UPDATE instance_profile SET role_id = NULL WHERE id = ? AND role_id = ?"
    absent = NoSuchEntity("role", op.role_name[:64])
    await write_or(clc, absent, Statement(sql, (row["id"], role["id"]), expect=1))
    clc.profiles_bell.ring()
    return Done()


async def _find(clc: "Clc", call: Call, name: str) -> Row:
    return await find(clc, account_of(clc, call), PROFILE, name)


async def view(clc: "Clc", row: Row) -> iam.InstanceProfile:
    role = one(await clc.store.read("SELECT * FROM iam_role WHERE id = ?", row["role_id"]))
    return iam.InstanceProfile(
        path=row["path"],
        instance_profile_name=row["name"],
        instance_profile_id=row["id"],
        arn=arn(PROFILE, row),
        create_date=Moment(row["created_at"]),
        roles=(iam_roles.brief(role),) if role is not None else (),
        tags=await tags_of(clc, row["id"]),
    )
