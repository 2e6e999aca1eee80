"""Access keys of users: two each, so that one can be replaced while the other is in use.

IAM API reference 2010-05-08, CreateAccessKey and its neighbours. A secret is told once.
"""

from typing import TYPE_CHECKING

from euca_box.auth import secrets
from euca_box.messages import iam_access_keys as iam
from euca_box.messages.base import Call, Done
from euca_box.messages.moments import Moment
from euca_box.model.accounts import UserState
from euca_box.model.ec2_errors import LimitExceeded
from euca_box.model.errors import AccessDeniedByPolicy, ValidationError
from euca_box.model.iam_errors import NothingThere
from euca_box.roles.clc import users
from euca_box.roles.clc.identities import account_of, cut, user_of, write_or
from euca_box.store.store import Statement, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

MOST = 2
_STATES = {"Active": UserState.ACTIVE.value, "Inactive": UserState.DISABLED.value}
_SHOWN = {state: status for status, state in _STATES.items()}


async def create(clc: "Clc", call: Call, op: iam.CreateAccessKey) -> iam.CreateAccessKeyResult:
    """Raises LimitExceeded, NoSuchEntity."""
    user = await user_of(clc, call, op.user_name)
    key_id, secret = secrets.new_access_key_id(), secrets.new_secret()
    row = {
        "access_key_id": key_id,
        "account": user["account"],
        "user": user["name"],
        "sealed_secret": clc.sealer.seal(secret, key_id),
        "state": UserState.ACTIVE.value,
        "created_at": clc.now(),
    }
    few = "SELECT 1 WHERE (SELECT count(*) FROM access_key WHERE account = ? AND user = ?) < ?"
    await write_or(
        clc,
        LimitExceeded(f"Cannot exceed quota for AccessKeysPerUser: {MOST}"),
        Statement(few, (user["account"], user["name"], MOST), expect=1),
        Statement("SELECT 1 FROM user WHERE id = ?", (user["id"],), expect=1),
        insert("access_key", {**row}),
    )
    await users.refresh_keyring(clc)
    made = iam.AccessKey(user["name"], key_id, "Active", secret, Moment(float(str(row["created_at"]))))
    return iam.CreateAccessKeyResult(made)


async def list_all(clc: "Clc", call: Call, op: iam.ListAccessKeys) -> iam.ListAccessKeysResult:
    user = await user_of(clc, call, op.user_name)
    sql = "SELECT * FROM access_key WHERE account = ? AND user = ?"
    rows = await clc.store.read(sql, user["account"], user["name"])
    shown, marker = cut(rows, op, lambda row: str(row["access_key_id"]))
    views = tuple(
        iam.AccessKeyMetadata(
            row["user"], row["access_key_id"], _SHOWN[row["state"]], Moment(row["created_at"])
        )
        for row in shown
    )
    return iam.ListAccessKeysResult(views, marker is not None, marker)


async def update(clc: "Clc", call: Call, op: iam.UpdateAccessKey) -> Done:
    """Raises NoSuchEntity, ValidationError."""
    if op.status not in _STATES:
        raise ValidationError("Status is Active or Inactive.")
    sql = "UPDATE access_key SET state = ? WHERE access_key_id = ? AND account = ? AND user = ?"
    await _changed(clc, call, op.user_name, op.access_key_id, sql, _STATES[op.status])
    return Done()


async def delete(clc: "Clc", call: Call, op: iam.DeleteAccessKey) -> Done:
    """Raises NoSuchEntity."""
    sql = "DELETE FROM access_key WHERE access_key_id = ? AND account = ? AND user = ?"
    await _changed(clc, call, op.user_name, op.access_key_id, sql)
    return Done()


async def _changed(
    clc: "Clc", call: Call, user_name: str | None, key_id: str, sql: str, *values: str
) -> None:
    user = await user_of(clc, call, user_name)
    change = Statement(sql, (*values, key_id, user["account"], user["name"]), expect=1)
    await write_or(clc, _absent(key_id), change)
    await users.refresh_keyring(clc)


def _absent(key_id: str) -> NothingThere:
    return NothingThere(f"The Access Key with id {key_id[:128]} cannot be found.")


async def get_last_used(
    clc: "Clc", call: Call, op: iam.GetAccessKeyLastUsed
) -> iam.GetAccessKeyLastUsedResult:
    """As far as the cloud controller saw it: EC2, IAM and STS. Raises AccessDenied for another account's."""
    row = one(await clc.store.read("SELECT * FROM access_key WHERE access_key_id = ?", op.access_key_id))
    if row is None or row["account"] != account_of(clc, call):
        raise AccessDeniedByPolicy(
            f"User is not authorized to perform: iam:GetAccessKeyLastUsed on {op.access_key_id[:128]}"
        )
    at, service = clc.key_uses.get(op.access_key_id, (row["used_at"], row["used_service"]))
    if not at:
        return iam.GetAccessKeyLastUsedResult(row["user"], iam.AccessKeyLastUsed("N/A", "N/A"))
    used = iam.AccessKeyLastUsed(service, clc.settings.region, Moment(at))
    return iam.GetAccessKeyLastUsedResult(row["user"], used)


def note_use(clc: "Clc", call: Call, service: str) -> None:
    """In memory; a loop writes it to the rows."""
    if call.access_key_id:
        clc.key_uses[call.access_key_id] = (clc.now(), service)


async def write_uses(clc: "Clc") -> None:
    """What was noted since the last time. Temporary keys have no row."""
    uses, clc.key_uses = clc.key_uses, {}
    sql = "UPDATE access_key SET used_at = ?, used_service = ? WHERE access_key_id = ?"
    if uses:
        await clc.store.write(*(Statement(sql, (at, what, key)) for key, (at, what) in uses.items()))
