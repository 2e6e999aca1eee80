"""IAM's signing certificates: what a user does with its own, and an administrator with those of others.

Source: IAM API reference 2010-05-08, UploadSigningCertificate and its neighbours. `certificates.py` has the
same for the administrator of the cloud, and issues them.
"""

from typing import TYPE_CHECKING

from euca_box.messages import iam
from euca_box.messages.base import Call, Done
from euca_box.model.ec2_errors import NoSuchEntity
from euca_box.model.errors import AccessDeniedByPolicy, ValidationError
from euca_box.roles.clc import certificates, users
from euca_box.store.store import Conflict, Row, Statement, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

_STATES = {"Active": "active", "Inactive": "inactive"}  # one that was revoked stays so
_SHOWN = {"active": "Active", "inactive": "Inactive", "revoked": "Inactive"}
# One that was revoked stays: deleted, it could be uploaded again.
_MINE = "WHERE certificate_id = ? AND account = ? AND user = ? AND state <> 'revoked'"


async def upload(clc: "Clc", call: Call, op: iam.UploadSigningCertificate) -> iam.SigningCertificate:
    """Raises Malformed-, DuplicateCertificate, LimitExceeded, NoSuchEntity, AccessDeniedByPolicy."""
    account, user = await _owner(clc, call, op.user_name)
    return _view(await certificates.keep(clc, account, user, op.certificate_body.strip() + "\n"))


async def list_all(clc: "Clc", call: Call, op: iam.ListSigningCertificates) -> iam.SigningCertificates:
    account, user = await _owner(clc, call, op.user_name)
    rows = await clc.store.read(
        "SELECT * FROM signing_certificate WHERE account = ? AND user = ? ORDER BY created_at", account, user
    )
    return iam.SigningCertificates(tuple(map(_view, rows)))


async def update(clc: "Clc", call: Call, op: iam.UpdateSigningCertificate) -> Done:
    """Raises NoSuchEntity, ValidationError, AccessDeniedByPolicy."""
    if op.status not in _STATES:
        raise ValidationError("Status is Active or Inactive.")
    change = f"UPDATE signing_certificate SET state = ? {_MINE}"  # noqa: S608
    return await _changed(clc, call, op.user_name, op.certificate_id, change, _STATES[op.status])


async def delete(clc: "Clc", call: Call, op: iam.DeleteSigningCertificate) -> Done:
    """Raises NoSuchEntity, AccessDeniedByPolicy."""
    change = f"DELETE FROM signing_certificate {_MINE}"  # noqa: S608
    return await _changed(clc, call, op.user_name, op.certificate_id, change)


async def _changed(
    clc: "Clc", call: Call, user_name: str | None, certificate_id: str, sql: str, *values: str
) -> Done:
    account, user = await _owner(clc, call, user_name)
    try:
        await clc.store.write(Statement(sql, (*values, certificate_id, account, user), expect=1))
    except Conflict:
        raise NoSuchEntity("Certificate", certificate_id[:64]) from None
    await users.refresh_keyring(clc)
    return Done()


async def _owner(clc: "Clc", call: Call, user_name: str | None) -> tuple[str, str]:
    """Account and user. Another user of the account is an administrator's to name."""
    if user_name in (None, call.principal.user):
        return call.account, call.principal.user
    if not call.admin:
        raise AccessDeniedByPolicy("The certificates of another user are an administrator's to change.")
    row = one(
        await clc.store.read("SELECT name FROM user WHERE account = ? AND name = ?", call.account, user_name)
    )
    if row is None:
        raise NoSuchEntity("user", (user_name or "")[:64])
    return call.account, row["name"]


def _view(row: Row) -> iam.SigningCertificate:
    return iam.SigningCertificate(
        user_name=row["user"],
        certificate_id=row["certificate_id"],
        certificate_body=row["pem"],
        status=_SHOWN[row["state"]],
        upload_date=row["created_at"],
    )
