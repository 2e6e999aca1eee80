"""Managed policies and their versions, beside those that every account finds there (`model/aws_policies.py`).

IAM API reference 2010-05-08, CreatePolicy and its neighbours. Changes of the default version act at once.
"""

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from euca_box.messages import iam_policies as iam
from euca_box.messages.base import Call, Done
from euca_box.messages.moments import Moment
from euca_box.model import aws_policies
from euca_box.model.ec2_errors import LimitExceeded
from euca_box.model.errors import AccessDeniedByPolicy, ValidationError
from euca_box.model.iam_errors import DeleteConflict, MalformedPolicyDocument, NothingThere
from euca_box.model.policies import PolicyError, parse_policy
from euca_box.roles.clc import users
from euca_box.roles.clc.identities import (
    POLICY,
    account_of,
    arn,
    checked_path,
    cut,
    keep_new,
    listed,
    new_id,
    tags_of,
    write_or,
)
from euca_box.store.store import Row, Statement, Value, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

MOST_VERSIONS, LONGEST_DOCUMENT, LONGEST_DESCRIPTION = 5, 6144, 1000


@dataclass(frozen=True)
class Found:
    """`row` is None for one of AWS's."""

    arn: str
    name: str
    row: Row | None


async def find(clc: "Clc", call: Call, policy_arn: str) -> Found:
    """One of AWS's or of the account. Raises NothingThere, ValidationError."""
    if aws_policies.document_of(policy_arn) is not None:
        return Found(policy_arn, policy_arn.removeprefix(aws_policies.PREFIX), None)
    match = re.fullmatch(r"arn:aws:iam::(\d{12}|aws):policy(/|/.+/)([^/]+)", policy_arn)
    if match is None:
        raise ValidationError(f"ARN {policy_arn[:200]} is not valid.")
    sql = "SELECT * FROM managed_policy WHERE account = ? AND path = ? AND name = ?"
    account = account_of(clc, call)
    row = one(await clc.store.read(sql, account, match[2], match[3])) if match[1] == account else None
    if row is None:
        raise NothingThere(f"Policy {policy_arn[:200]} was not found.")
    return Found(policy_arn, row["name"], row)


async def _own(clc: "Clc", call: Call, policy_arn: str) -> Row:
    """Raises AccessDeniedByPolicy for one of AWS's."""
    found = await find(clc, call, policy_arn)
    if found.row is None:
        raise AccessDeniedByPolicy(f"The policy {found.name} is AWS's and not to be changed.")
    return found.row


def check_document(document: str, longest: int) -> str:
    """Raises MalformedPolicyDocument, LimitExceeded. White space does not count, as on AWS."""
    if len(re.sub(r"\s", "", document)) > longest or len(document) > 4 * longest:
        raise LimitExceeded(f"Cannot exceed quota for PolicySize: {longest}")
    try:
        parse_policy(document, of_resource=False)
    except PolicyError as error:
        raise MalformedPolicyDocument(str(error)) from None
    return document


async def create_policy(clc: "Clc", call: Call, op: iam.CreatePolicy) -> iam.CreatePolicyResult:
    """Raises EntityAlreadyExists, MalformedPolicyDocument, LimitExceeded."""
    document, now = check_document(op.policy_document, LONGEST_DOCUMENT), clc.now()
    if len(op.description or "") > LONGEST_DESCRIPTION:
        raise ValidationError(f"A description has at most {LONGEST_DESCRIPTION} characters.")
    policy_id = new_id(POLICY)
    values: dict[str, Value] = {
        "id": policy_id,
        "account": account_of(clc, call),
        "name": op.policy_name,
        "path": checked_path(op.path),
        "description": op.description or "",
        "default_version": 1,
        "newest_version": 1,
        "updated_at": now,
    }
    first: dict[str, Value] = {"policy_id": policy_id, "version": 1, "document": document, "created_at": now}
    row = await keep_new(clc, POLICY, values, op.tags, insert("policy_version", first))
    return iam.CreatePolicyResult(replace(await view(clc, row), description=None))


async def get_policy(clc: "Clc", call: Call, op: iam.GetPolicy) -> iam.GetPolicyResult:
    found = await find(clc, call, op.policy_arn)
    if found.row is None:
        return iam.GetPolicyResult(await _aws_view(clc, found.name, call, with_description=True))
    return iam.GetPolicyResult(await view(clc, found.row))


async def list_policies(clc: "Clc", call: Call, op: iam.ListPolicies) -> iam.ListPoliciesResult:
    scope = op.scope or "All"
    if scope not in ("All", "AWS", "Local"):
        raise ValidationError("Scope is All, AWS or Local.")
    if op.policy_usage_filter not in (None, "PermissionsPolicy"):
        raise ValidationError("Policies are permissions here, not boundaries.")
    found: list[iam.Policy] = []
    if scope != "Local" and (op.path_prefix or "/") == "/":
        found += [await _aws_view(clc, name, call) for name in aws_policies.AWS_POLICIES]
    if scope != "AWS":
        rows = await listed(clc, account_of(clc, call), POLICY, op.path_prefix)
        found += [replace(await view(clc, row), description=None, tags=()) for row in rows]
    if op.only_attached:
        found = [policy for policy in found if policy.attachment_count]
    shown, marker = cut(found, op, lambda policy: policy.arn or "")
    return iam.ListPoliciesResult(tuple(shown), marker is not None, marker)


async def delete_policy(clc: "Clc", call: Call, op: iam.DeletePolicy) -> Done:
    """Raises DeleteConflict, NoSuchEntity, AccessDenied."""
    row = await _own(clc, call, op.policy_arn)
    attached = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM attached_policy WHERE policy_arn = ?)"
    await write_or(clc, DeleteConflict("detach the policy"), Statement(attached, (op.policy_arn,), expect=1))
    others = "SELECT 1 WHERE (SELECT count(*) FROM policy_version WHERE policy_id = ?) <= 1"
    await write_or(
        clc,
        DeleteConflict("delete its other versions"),
        Statement(attached, (op.policy_arn,), expect=1),
        Statement(others, (row["id"],), expect=1),
        Statement("DELETE FROM policy_version WHERE policy_id = ?", (row["id"],)),
        Statement("DELETE FROM iam_tag WHERE owner = ?", (row["id"],)),
        Statement("DELETE FROM managed_policy WHERE id = ?", (row["id"],), expect=1),
    )
    return Done()


# Versions


async def create_policy_version(
    clc: "Clc", call: Call, op: iam.CreatePolicyVersion
) -> iam.CreatePolicyVersionResult:
    """Raises LimitExceeded at the sixth."""
    row, now = await _own(clc, call, op.policy_arn), clc.now()
    document = check_document(op.policy_document, LONGEST_DOCUMENT)
    batch = await write_or(
        clc,
        LimitExceeded(f"A managed policy can have up to {MOST_VERSIONS} versions. Delete one first."),
        Statement(
            "SELECT 1 WHERE (SELECT count(*) FROM policy_version WHERE policy_id = ?) < ?",
            (row["id"], MOST_VERSIONS),
            expect=1,
        ),
        Statement(
            "UPDATE managed_policy SET newest_version = newest_version + 1, updated_at = ?, "
            "default_version = CASE WHEN ? THEN newest_version + 1 ELSE default_version END "
            "WHERE id = ? RETURNING newest_version",
            (now, int(bool(op.set_as_default)), row["id"]),
            expect=1,
        ),
        Statement(
            "INSERT INTO policy_version (policy_id, version, document, created_at) "
            "SELECT id, newest_version, ?, ? FROM managed_policy WHERE id = ?",
            (document, now, row["id"]),
        ),
    )
    if op.set_as_default:
        await users.refresh_keyring(clc)
    version = f"v{batch[1][0]['newest_version']}"
    return iam.CreatePolicyVersionResult(
        iam.PolicyVersion(None, version, bool(op.set_as_default), Moment(now))
    )


async def get_policy_version(clc: "Clc", call: Call, op: iam.GetPolicyVersion) -> iam.GetPolicyVersionResult:
    found = await find(clc, call, op.policy_arn)
    if found.row is None:
        document = aws_policies.document_of(found.arn)
        if op.version_id != "v1":
            raise _no_version(op.policy_arn, op.version_id)
        at = Moment(aws_policies.CREATED_AT)
        return iam.GetPolicyVersionResult(iam.PolicyVersion(document, "v1", True, at))
    version = await _version(clc, found.row, op.policy_arn, op.version_id)
    return iam.GetPolicyVersionResult(_version_view(version, found.row, with_document=True))


async def list_policy_versions(
    clc: "Clc", call: Call, op: iam.ListPolicyVersions
) -> iam.ListPolicyVersionsResult:
    found = await find(clc, call, op.policy_arn)
    if found.row is None:
        only = iam.PolicyVersion(None, "v1", True, Moment(aws_policies.CREATED_AT))
        return iam.ListPolicyVersionsResult((only,))
    row = found.row
    sql = "SELECT * FROM policy_version WHERE policy_id = ? ORDER BY version"
    rows = await clc.store.read(sql, row["id"])
    shown, marker = cut(rows, op, lambda version: f"{version['version']:09}")
    views = tuple(_version_view(version, row) for version in reversed(shown))
    return iam.ListPolicyVersionsResult(views, marker is not None, marker)


async def set_default_policy_version(clc: "Clc", call: Call, op: iam.SetDefaultPolicyVersion) -> Done:
    row = await _own(clc, call, op.policy_arn)
    version = await _version(clc, row, op.policy_arn, op.version_id)
    there = "EXISTS (SELECT 1 FROM policy_version WHERE policy_id = managed_policy.id AND version = ?)"
    sql = f"UPDATE managed_policy SET default_version = ?, updated_at = ? WHERE id = ? AND {there}"  # noqa: S608
    number = version["version"]
    change = Statement(sql, (number, clc.now(), row["id"], number), expect=1)
    await write_or(clc, _no_version(op.policy_arn, op.version_id), change)
    await users.refresh_keyring(clc)
    return Done()


async def delete_policy_version(clc: "Clc", call: Call, op: iam.DeletePolicyVersion) -> Done:
    """Raises DeleteConflict for the default one."""
    row = await _own(clc, call, op.policy_arn)
    version = await _version(clc, row, op.policy_arn, op.version_id)
    sql = (
        "DELETE FROM policy_version WHERE policy_id = ? AND version = ? AND NOT EXISTS "
        "(SELECT 1 FROM managed_policy WHERE id = policy_id AND default_version = policy_version.version)"
    )
    refusal = DeleteConflict("set another version as the default")
    await write_or(clc, refusal, Statement(sql, (row["id"], version["version"]), expect=1))
    return Done()


async def _version(clc: "Clc", row: Row, policy_arn: str, version_id: str) -> Row:
    if not re.fullmatch(r"v[1-9][0-9]{0,8}", version_id):
        raise ValidationError("A VersionId is v and a number.")
    sql = "SELECT * FROM policy_version WHERE policy_id = ? AND version = ?"
    found = one(await clc.store.read(sql, row["id"], int(version_id[1:])))
    if found is None:
        raise _no_version(policy_arn, version_id)
    return found


def _no_version(policy_arn: str, version_id: str) -> NothingThere:
    return NothingThere(f"Policy {policy_arn[:200]} version {version_id[:20]} does not exist.")


def _version_view(version: Row, policy: Row, *, with_document: bool = False) -> iam.PolicyVersion:
    return iam.PolicyVersion(
        version["document"] if with_document else None,
        f"v{version['version']}",
        version["version"] == policy["default_version"],
        Moment(version["created_at"]),
    )


# How they are shown


async def view(clc: "Clc", row: Row) -> iam.Policy:
    policy_arn = arn(POLICY, row)
    return iam.Policy(
        policy_name=row["name"],
        policy_id=row["id"],
        arn=policy_arn,
        path=row["path"],
        default_version_id=f"v{row['default_version']}",
        attachment_count=len(await _attachments(clc, policy_arn, row["account"])),
        permissions_boundary_usage_count=0,
        is_attachable=True,
        description=row["description"] or None,
        create_date=Moment(row["created_at"]),
        update_date=Moment(row["updated_at"]),
        tags=await tags_of(clc, row["id"]),
    )


async def _aws_view(clc: "Clc", name: str, call: Call, *, with_description: bool = False) -> iam.Policy:
    policy_arn = aws_policies.PREFIX + name
    return iam.Policy(
        policy_name=name,
        policy_id=f"ANPA{name.upper():A<17.17}",
        arn=policy_arn,
        path="/",
        default_version_id="v1",
        attachment_count=len(await _attachments(clc, policy_arn, account_of(clc, call))),
        permissions_boundary_usage_count=0,
        is_attachable=True,
        description=aws_policies.AWS_POLICIES[name][0] if with_description else None,
        create_date=Moment(aws_policies.CREATED_AT),
        update_date=Moment(aws_policies.CREATED_AT),
    )


_HOLDERS = " UNION ALL ".join(
    f"SELECT '{kind}' AS kind, {table}.name, {table}.id, {table}.path FROM attached_policy "  # noqa: S608
    f"JOIN {table} ON {table}.id = attached_policy.owner WHERE policy_arn = ? AND {table}.account = ?"
    for kind, table in (("Group", "iam_group"), ("Role", "iam_role"), ("User", "user"))
)


async def _attachments(clc: "Clc", policy_arn: str, account: str) -> list[Row]:
    """Users, groups and roles of the account that have the policy."""
    return await clc.store.read(_HOLDERS, *(policy_arn, account) * 3)


async def list_entities_for_policy(
    clc: "Clc", call: Call, op: iam.ListEntitiesForPolicy
) -> iam.ListEntitiesForPolicyResult:
    found = await find(clc, call, op.policy_arn)
    if op.entity_filter not in (None, "User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"):
        raise ValidationError("EntityFilter is User, Role or Group.")
    rows = [
        row
        for row in await _attachments(clc, found.arn, account_of(clc, call))
        if op.entity_filter in (None, row["kind"]) and row["path"].startswith(op.path_prefix or "/")
    ]
    shown, marker = cut(rows, op, lambda row: f"{row['kind']} {row['name']}")
    return iam.ListEntitiesForPolicyResult(
        tuple(iam.PolicyGroup(row["name"], row["id"]) for row in shown if row["kind"] == "Group"),
        tuple(iam.PolicyUser(row["name"], row["id"]) for row in shown if row["kind"] == "User"),
        tuple(iam.PolicyRole(row["name"], row["id"]) for row in shown if row["kind"] == "Role"),
        marker is not None,
        marker,
    )
