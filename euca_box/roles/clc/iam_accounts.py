"""The account: its alias, its numbers; and all accounts, for the administrator of the cloud.

IAM API reference 2010-05-08, CreateAccountAlias, GetAccountSummary. The alias is the account's name,
as in Eucalyptus 3, whose administration of accounts is here too (Euare).
"""

import re
from typing import TYPE_CHECKING

from euca_box.messages import iam_accounts as iam
from euca_box.messages.base import Call, Done
from euca_box.model.ec2_errors import EntityAlreadyExists
from euca_box.model.errors import AccessDeniedByPolicy, ValidationError
from euca_box.model.iam_errors import DeleteConflict, NothingThere
from euca_box.roles.clc import users
from euca_box.roles.clc.iam_access_keys import MOST as MOST_KEYS
from euca_box.roles.clc.iam_grants import MOST_ATTACHED
from euca_box.roles.clc.iam_groups import MOST_GROUPS_OF_A_USER
from euca_box.roles.clc.iam_policies import LONGEST_DOCUMENT, MOST_VERSIONS
from euca_box.roles.clc.identities import account_of, write_or
from euca_box.store.store import Conflict, Row, Statement, Value, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

ALIAS = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]")
_COUNTED = {
    "Users": "user",
    "Groups": "iam_group",
    "Roles": "iam_role",
    "InstanceProfiles": "instance_profile",
    "Policies": "managed_policy",
}


async def create_alias(clc: "Clc", call: Call, op: iam.CreateAccountAlias) -> Done:
    """A new name for the account, instead of an earlier one. Raises EntityAlreadyExists, ValidationError."""
    alias = op.account_alias
    if not ALIAS.fullmatch(alias) or alias.isdigit():
        raise ValidationError("An alias has 3 to 63 lower-case letters, digits and single hyphens.")
    await _rename(clc, account_of(clc, call), alias)
    return Done()


async def delete_alias(clc: "Clc", call: Call, op: iam.DeleteAccountAlias) -> Done:
    """The account is then called by its number. Raises NoSuchEntity."""
    account = account_of(clc, call)
    if op.account_alias not in await _aliases(clc, account):
        raise NothingThere(f"The account alias {op.account_alias[:80]} does not exist.")
    await _rename(clc, account, account)
    return Done()


async def _rename(clc: "Clc", account: str, name: str) -> None:
    sql = "UPDATE account SET name = ? WHERE account = ?"
    taken = EntityAlreadyExists("Account alias", name)
    await write_or(clc, taken, Statement(sql, (name, account), expect=1))


async def list_aliases(clc: "Clc", call: Call, op: iam.ListAccountAliases) -> iam.ListAccountAliasesResult:
    return iam.ListAccountAliasesResult(tuple(await _aliases(clc, account_of(clc, call))))


async def _aliases(clc: "Clc", account: str) -> list[str]:
    rows = await clc.store.read("SELECT name FROM account WHERE account = ? AND name <> account", account)
    return [row["name"] for row in rows]


async def get_summary(clc: "Clc", call: Call, op: iam.GetAccountSummary) -> iam.GetAccountSummaryResult:
    account = account_of(clc, call)
    counts = {name: await _count(clc, table, account) for name, table in _COUNTED.items()}
    quotas = {
        "AccessKeysPerUserQuota": MOST_KEYS,
        "GroupsPerUserQuota": MOST_GROUPS_OF_A_USER,
        "AttachedPoliciesPerUserQuota": MOST_ATTACHED,
        "AttachedPoliciesPerGroupQuota": MOST_ATTACHED,
        "AttachedPoliciesPerRoleQuota": MOST_ATTACHED,
        "PolicySizeQuota": LONGEST_DOCUMENT,
        "VersionsPerPolicyQuota": MOST_VERSIONS,
    }
    return iam.GetAccountSummaryResult(counts | quotas)


async def _count(clc: "Clc", table: str, account: str) -> int:
    [row] = await clc.store.read(f"SELECT count(*) AS n FROM {table} WHERE account = ?", account)  # noqa: S608
    return int(row["n"])


# All accounts


def _only_admin(call: Call) -> None:
    if not call.admin:
        raise AccessDeniedByPolicy("Accounts are the administrator's of the cloud to manage.")


async def create_account(clc: "Clc", call: Call, op: iam.CreateAccount) -> iam.CreateAccountResult:
    """Raises EntityAlreadyExists, ValidationError, AccessDenied."""
    _only_admin(call)
    name = op.account_name
    if not ALIAS.fullmatch(name) or name.isdigit():
        raise ValidationError("An account name has 3 to 63 lower-case letters, digits and single hyphens.")
    account = await users.new_account_id(clc)
    try:
        await clc.store.write(
            insert("account", {"account": account, "name": name, "created_at": clc.now()}),
            users.user_row(account, users.ADMIN, clc.now(), root=True),
        )
    except Conflict:
        raise EntityAlreadyExists("Account", name) from None
    return iam.CreateAccountResult(iam.Account(name, account))


async def list_accounts(clc: "Clc", call: Call, op: iam.ListAccounts) -> iam.ListAccountsResult:
    _only_admin(call)
    rows = await clc.store.read("SELECT account, name FROM account ORDER BY name")
    return iam.ListAccountsResult(tuple(iam.Account(row["name"], row["account"]) for row in rows))


async def delete_account(clc: "Clc", call: Call, op: iam.DeleteAccount) -> Done:
    """Raises DeleteConflict, NoSuchEntity, AccessDenied."""
    _only_admin(call)
    sql = "SELECT * FROM account WHERE name = ? OR account = ?"
    row = one(await clc.store.read(sql, op.account_name, op.account_name))
    if row is None:
        raise NothingThere(f"The account {op.account_name[:80]} does not exist.")
    account = row["account"]
    if account == clc.settings.admin_account:
        raise DeleteConflict("keep the administrator's account, which nobody could make again,")
    _check_owns_nothing(clc, account)
    if not op.recursive and await _has_people(clc, account):
        raise DeleteConflict("delete its users, groups, roles and policies, or delete it recursively,")
    await clc.store.write(*_removal(row))
    await users.refresh_keyring(clc)
    return Done()


def _check_owns_nothing(clc: "Clc", account: str) -> None:
    """Raises DeleteConflict while it has what would go on without an owner."""
    for what, records in clc.owned_records().items():
        if any(True for _ in records(account)):
            raise DeleteConflict(f"remove its {what}")


async def _has_people(clc: "Clc", account: str) -> bool:
    keys = await clc.store.read("SELECT 1 FROM access_key WHERE account = ? LIMIT 1", account)
    others = [await _count(clc, table, account) for table in _COUNTED.values()]
    return bool(keys) or others[0] > 1 or any(others[1:])


def _removal(row: Row) -> list[Statement]:
    account: Value = row["account"]
    owners = " UNION ".join(f"SELECT id FROM {table} WHERE account = ?" for table in _COUNTED.values())  # noqa: S608
    many = (account,) * len(_COUNTED)
    held = [
        Statement(f"DELETE FROM {table} WHERE owner IN ({owners})", many)  # noqa: S608
        for table in ("attached_policy", "inline_policy", "iam_tag")
    ]
    members = "DELETE FROM group_member WHERE user_id IN (SELECT id FROM user WHERE account = ?)"
    versions = (
        "DELETE FROM policy_version WHERE policy_id IN (SELECT id FROM managed_policy WHERE account = ?)"
    )
    tables = ("access_key", "signing_certificate", *_COUNTED.values())
    return [
        *held,
        Statement(members, (account,)),
        Statement(versions, (account,)),
        *(Statement(f"DELETE FROM {table} WHERE account = ?", (account,)) for table in tables),  # noqa: S608
        Statement("DELETE FROM account WHERE account = ?", (account,), expect=1),
    ]
