"""What policies users, groups and roles have: managed ones that are attached, and inline ones of their own.

IAM API reference 2010-05-08, AttachUserPolicy and PutUserPolicy with their neighbours. The three families
of actions differ in whose name they carry, and in nothing else.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from euca_box.messages import iam_grants as iam
from euca_box.messages.base import Call, Done
from euca_box.model.ec2_errors import LimitExceeded
from euca_box.model.iam_errors import NothingThere
from euca_box.roles.clc import iam_policies, users
from euca_box.roles.clc.identities import (
    GROUP,
    ROLE,
    USER,
    account_of,
    check_name,
    cut,
    find,
    write_or,
)
from euca_box.roles.clc.identities import POLICY as MANAGED
from euca_box.store.store import Row, Statement, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

MOST_ATTACHED = 10
# Characters of all inline policies (IAM quotas), by the table of the owner.
_LONGEST = {"user": 2048, "iam_group": 5120, "iam_role": 10_240}


async def _owner(clc: "Clc", call: Call, op: Any) -> tuple[Row, str]:
    """Whom the action names, and in which table that one stands."""
    for kind in (USER, GROUP, ROLE):
        name = getattr(op, f"{kind.noun}_name", None)
        if name is not None:
            return await find(clc, account_of(clc, call), kind, name), kind.table
    raise TypeError(f"{type(op).__name__} names nobody")


# Attached


async def attach(
    clc: "Clc", call: Call, op: iam.AttachUserPolicy | iam.AttachGroupPolicy | iam.AttachRolePolicy
) -> Done:
    """Twice is harmless. Raises NoSuchEntity, LimitExceeded."""
    owner, _ = await _owner(clc, call, op)
    policy = await iam_policies.find(clc, call, op.policy_arn)
    there = [
        Statement("SELECT 1 FROM managed_policy WHERE id = ?", (policy.row["id"],), expect=1)
        for _ in (policy.row,)
        if policy.row is not None
    ]
    await write_or(
        clc,
        LimitExceeded(f"Cannot exceed quota for PoliciesPerUser: {MOST_ATTACHED}"),
        *there,
        Statement(
            "INSERT INTO attached_policy (owner, policy_arn) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (owner["id"], policy.arn),
        ),
        Statement(
            "SELECT 1 WHERE (SELECT count(*) FROM attached_policy WHERE owner = ?) <= ?",
            (owner["id"], MOST_ATTACHED),
            expect=1,
        ),
    )
    await users.refresh_keyring(clc)
    return Done()


async def detach(
    clc: "Clc", call: Call, op: iam.DetachUserPolicy | iam.DetachGroupPolicy | iam.DetachRolePolicy
) -> Done:
    """Raises NoSuchEntity, also for what is not attached."""
    owner, _ = await _owner(clc, call, op)
    sql = "DELETE FROM attached_policy WHERE owner = ? AND policy_arn = ?"
    absent = NothingThere(f"Policy {op.policy_arn[:200]} was not found.")
    await write_or(clc, absent, Statement(sql, (owner["id"], op.policy_arn), expect=1))
    await users.refresh_keyring(clc)
    return Done()


async def _attached(clc: "Clc", call: Call, op: Any) -> tuple[tuple[iam.AttachedPolicy, ...], str | None]:
    owner, _ = await _owner(clc, call, op)
    rows = await clc.store.read("SELECT policy_arn FROM attached_policy WHERE owner = ?", owner["id"])
    prefix = op.path_prefix or "/"
    arns = [row["policy_arn"] for row in rows if row["policy_arn"].partition(":policy")[2].startswith(prefix)]
    shown, marker = cut(arns, op, lambda arn: str(arn))
    return tuple(iam.AttachedPolicy(arn.rpartition("/")[2], arn) for arn in shown), marker


async def list_attached_user_policies(
    clc: "Clc", call: Call, op: iam.ListAttachedUserPolicies
) -> iam.ListAttachedUserPoliciesResult:
    found, marker = await _attached(clc, call, op)
    return iam.ListAttachedUserPoliciesResult(found, marker is not None, marker)


async def list_attached_group_policies(
    clc: "Clc", call: Call, op: iam.ListAttachedGroupPolicies
) -> iam.ListAttachedGroupPoliciesResult:
    found, marker = await _attached(clc, call, op)
    return iam.ListAttachedGroupPoliciesResult(found, marker is not None, marker)


async def list_attached_role_policies(
    clc: "Clc", call: Call, op: iam.ListAttachedRolePolicies
) -> iam.ListAttachedRolePoliciesResult:
    found, marker = await _attached(clc, call, op)
    return iam.ListAttachedRolePoliciesResult(found, marker is not None, marker)


# Inline


async def put(clc: "Clc", call: Call, op: iam.PutUserPolicy | iam.PutGroupPolicy | iam.PutRolePolicy) -> Done:
    """A new one, or instead of that of the same name. Raises MalformedPolicyDocument, LimitExceeded."""
    owner, table = await _owner(clc, call, op)
    check_name(MANAGED, op.policy_name)
    longest = _LONGEST[table]
    document = iam_policies.check_document(op.policy_document, longest)
    row = {"owner": owner["id"], "name": op.policy_name, "document": document}
    await write_or(
        clc,
        LimitExceeded(f"Maximum policy size of {longest} bytes exceeded for {owner['name']}"),
        insert("inline_policy", {**row}, or_replace=True),
        Statement(
            "SELECT 1 WHERE (SELECT sum(length(document)) FROM inline_policy WHERE owner = ?) <= ?",
            (owner["id"], 4 * longest),
            expect=1,
        ),
    )
    await users.refresh_keyring(clc)
    return Done()


async def delete(
    clc: "Clc", call: Call, op: iam.DeleteUserPolicy | iam.DeleteGroupPolicy | iam.DeleteRolePolicy
) -> Done:
    """Raises NoSuchEntity."""
    owner, table = await _owner(clc, call, op)
    sql = "DELETE FROM inline_policy WHERE owner = ? AND name = ?"
    await write_or(
        clc, _absent(table, op.policy_name), Statement(sql, (owner["id"], op.policy_name), expect=1)
    )
    await users.refresh_keyring(clc)
    return Done()


def _absent(table: str, name: str) -> NothingThere:
    return NothingThere(f"The {table.removeprefix('iam_')} policy with name {name[:128]} cannot be found.")


async def _inline(clc: "Clc", call: Call, op: Any) -> tuple[str, str]:
    """The owner's name and the document. Raises NoSuchEntity."""
    owner, table = await _owner(clc, call, op)
    sql = "SELECT document FROM inline_policy WHERE owner = ? AND name = ?"
    row = one(await clc.store.read(sql, owner["id"], op.policy_name))
    if row is None:
        raise _absent(table, op.policy_name)
    return owner["name"], row["document"]


async def get_user_policy(clc: "Clc", call: Call, op: iam.GetUserPolicy) -> iam.GetUserPolicyResult:
    name, document = await _inline(clc, call, op)
    return iam.GetUserPolicyResult(name, op.policy_name, document)


async def get_group_policy(clc: "Clc", call: Call, op: iam.GetGroupPolicy) -> iam.GetGroupPolicyResult:
    name, document = await _inline(clc, call, op)
    return iam.GetGroupPolicyResult(name, op.policy_name, document)


async def get_role_policy(clc: "Clc", call: Call, op: iam.GetRolePolicy) -> iam.GetRolePolicyResult:
    name, document = await _inline(clc, call, op)
    return iam.GetRolePolicyResult(name, op.policy_name, document)


async def _names(clc: "Clc", call: Call, op: Any) -> tuple[tuple[str, ...], str | None]:
    owner, _ = await _owner(clc, call, op)
    rows = await clc.store.read("SELECT name FROM inline_policy WHERE owner = ?", owner["id"])
    names: Sequence[str] = [row["name"] for row in rows]
    shown, marker = cut(names, op, lambda name: name)
    return tuple(shown), marker


async def list_user_policies(clc: "Clc", call: Call, op: iam.ListUserPolicies) -> iam.ListUserPoliciesResult:
    names, marker = await _names(clc, call, op)
    return iam.ListUserPoliciesResult(names, marker is not None, marker)


async def list_group_policies(
    clc: "Clc", call: Call, op: iam.ListGroupPolicies
) -> iam.ListGroupPoliciesResult:
    names, marker = await _names(clc, call, op)
    return iam.ListGroupPoliciesResult(names, marker is not None, marker)


async def list_role_policies(clc: "Clc", call: Call, op: iam.ListRolePolicies) -> iam.ListRolePoliciesResult:
    names, marker = await _names(clc, call, op)
    return iam.ListRolePoliciesResult(names, marker is not None, marker)
