"""Roles: rights that somebody puts on for a while.

IAM API reference 2010-05-08, CreateRole and its neighbours.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import iam_roles as iam
from euca_box.messages.base import Call, Done
from euca_box.messages.moments import Moment
from euca_box.model.errors import ValidationError
from euca_box.model.iam_errors import MalformedPolicyDocument
from euca_box.model.policies import PolicyError, parse_trust
from euca_box.roles.clc import users
from euca_box.roles.clc.identities import (
    ROLE,
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
    tags_of,
)
from euca_box.store.store import Row, Statement, Value

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

SHORTEST_SECONDS, LONGEST_SECONDS = 3600, 43_200
LONGEST_TRUST, LONGEST_DESCRIPTION = 2048, 1000
_IN_THE_WAY = {
    "SELECT 1 FROM instance_profile WHERE role_id = ?": "remove roles from instance profile",
    "SELECT 1 FROM attached_policy WHERE owner = ?": "detach all policies",
    "SELECT 1 FROM inline_policy WHERE owner = ?": "delete policies",
}


async def create_role(clc: "Clc", call: Call, op: iam.CreateRole) -> iam.CreateRoleResult:
    """Raises EntityAlreadyExists, MalformedPolicyDocument, ValidationError."""
    values: dict[str, Value] = {
        "account": account_of(clc, call),
        "name": op.role_name,
        "path": checked_path(op.path),
        "trust": _trust(op.assume_role_policy_document),
        "description": _description(op.description or ""),
        "longest_seconds": _seconds(op.max_session_duration),
    }
    row = await keep_new(clc, ROLE, values, op.tags)
    await users.refresh_keyring(clc)
    return iam.CreateRoleResult(await view(clc, row))


async def get_role(clc: "Clc", call: Call, op: iam.GetRole) -> iam.GetRoleResult:
    return iam.GetRoleResult(await view(clc, await _find(clc, call, op.role_name)))


async def list_roles(clc: "Clc", call: Call, op: iam.ListRoles) -> iam.ListRolesResult:
    rows = await listed(clc, account_of(clc, call), ROLE, op.path_prefix)
    shown, marker = cut(rows, op, lambda row: str(row["name"]))
    return iam.ListRolesResult(tuple(map(brief, shown)), marker is not None, marker)


async def update_role(clc: "Clc", call: Call, op: iam.UpdateRole) -> iam.UpdateRoleResult:
    row = await _find(clc, call, op.role_name)
    description = row["description"] if op.description is None else _description(op.description)
    seconds = row["longest_seconds"] if op.max_session_duration is None else _seconds(op.max_session_duration)
    sql = "UPDATE iam_role SET description = ?, longest_seconds = ? WHERE id = ?"
    await clc.store.write(Statement(sql, (description, seconds, row["id"])))
    return iam.UpdateRoleResult()


async def update_role_description(
    clc: "Clc", call: Call, op: iam.UpdateRoleDescription
) -> iam.UpdateRoleDescriptionResult:
    await update_role(clc, call, iam.UpdateRole(op.role_name, op.description))
    return iam.UpdateRoleDescriptionResult(await view(clc, await _find(clc, call, op.role_name)))


async def update_assume_role_policy(clc: "Clc", call: Call, op: iam.UpdateAssumeRolePolicy) -> Done:
    row = await _find(clc, call, op.role_name)
    sql = "UPDATE iam_role SET trust = ? WHERE id = ?"
    await clc.store.write(Statement(sql, (_trust(op.policy_document), row["id"])))
    return Done()


async def delete_role(clc: "Clc", call: Call, op: iam.DeleteRole) -> Done:
    """Its sessions end with it. Raises DeleteConflict, NoSuchEntity."""
    await remove(clc, ROLE, await _find(clc, call, op.role_name), _IN_THE_WAY)
    await users.refresh_keyring(clc)
    return Done()


async def tag_role(clc: "Clc", call: Call, op: iam.TagRole) -> Done:
    await add_tags(clc, (await _find(clc, call, op.role_name))["id"], op.tags)
    return Done()


async def untag_role(clc: "Clc", call: Call, op: iam.UntagRole) -> Done:
    await remove_tags(clc, (await _find(clc, call, op.role_name))["id"], op.tag_keys)
    return Done()


async def list_role_tags(clc: "Clc", call: Call, op: iam.ListRoleTags) -> iam.ListRoleTagsResult:
    row = await _find(clc, call, op.role_name)
    shown, marker = cut(await tags_of(clc, row["id"]), op, lambda tag: tag.key)
    return iam.ListRoleTagsResult(tuple(shown), marker is not None, marker)


async def _find(clc: "Clc", call: Call, name: str) -> Row:
    return await find(clc, account_of(clc, call), ROLE, name)


def _trust(document: str) -> str:
    """Who may put the role on: a policy with principals and without resources."""
    if len(document) > LONGEST_TRUST:
        raise MalformedPolicyDocument(f"A trust policy has at most {LONGEST_TRUST} characters.")
    try:
        parse_trust(document)
    except PolicyError as error:
        raise MalformedPolicyDocument(str(error)) from None
    return document


def _description(text: str) -> str:
    if len(text) > LONGEST_DESCRIPTION:
        raise ValidationError(f"A description has at most {LONGEST_DESCRIPTION} characters.")
    return text


def _seconds(given: int | None) -> int:
    seconds = SHORTEST_SECONDS if given is None else given
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise ValidationError(f"MaxSessionDuration must be from {SHORTEST_SECONDS} to {LONGEST_SECONDS}.")
    return seconds


def brief(row: Row) -> iam.Role:
    """Without the tags, as lists show it."""
    return iam.Role(
        path=row["path"],
        role_name=row["name"],
        role_id=row["id"],
        arn=arn(ROLE, row),
        create_date=Moment(row["created_at"]),
        assume_role_policy_document=row["trust"],
        description=row["description"] or None,
        max_session_duration=row["longest_seconds"],
    )


async def view(clc: "Clc", row: Row) -> iam.Role:
    return replace(brief(row), tags=await tags_of(clc, row["id"]))
