"""IAM's signing certificates: what a user does with its own, and an administrator with those of others.

Source: IAM API reference 2010-05-08, UploadSigningCertificate and its neighbours. `certificates.py` has the
same for the administrator of the cloud, and issues them.
"""

from typing import TYPE_CHECKING

from euca_box.messages import iam_certificates as iam
from euca_box.messages.base import Call, Done
from euca_box.messages.moments import Moment
from euca_box.model.ec2_errors import NoSuchEntity
from euca_box.model.errors import ValidationError
from euca_box.roles.clc import certificates, users
from euca_box.roles.clc.identities import cut, user_of
from euca_box.store.store import Conflict, Row, Statement

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

_STATES = {"Active": "active", "Inactive": "inactive"}  # one that was revoked stays so
_SHOWN = {"active": "Active", "inactive": "Inactive", "revoked": "Inactive"}
# One that was revoked stays: deleted, it could be uploaded again.
_MINE = "WHERE certificate_id = ? AND account = ? AND user = ? AND state <> 'revoked'"


async def upload(
    clc: "Clc", call: Call, op: iam.UploadSigningCertificate
) -> iam.UploadSigningCertificateResult:
    """Raises Malformed-, DuplicateCertificate, LimitExceeded, NoSuchEntity."""
    account, user = await _owner(clc, call, op.user_name)
    row = await certificates.keep(clc, account, user, op.certificate_body.strip() + "\n")
    return iam.UploadSigningCertificateResult(_view(row))


async def list_all(
    clc: "Clc", call: Call, op: iam.ListSigningCertificates
) -> iam.ListSigningCertificatesResult:
    account, user = await _owner(clc, call, op.user_name)
    rows = await clc.store.read(
        "SELECT * FROM signing_certificate WHERE account = ? AND user = ? ORDER BY certificate_id",
        account, user,
    )  # fmt: skip
    shown, marker = cut(rows, op, lambda row: row["certificate_id"])
    return iam.ListSigningCertificatesResult(tuple(map(_view, shown)), marker is not None, marker)


async def update(clc: "Clc", call: Call, op: iam.UpdateSigningCertificate) -> Done:
    """Raises NoSuchEntity, ValidationError."""
    if op.status not in _STATES:
        raise ValidationError("Status is Active or Inactive.")
    change = f"UPDATE signing_certificate SET state = ? {_MINE}"  # noqa: S608
    return await _changed(clc, call, op.user_name, op.certificate_id, change, _STATES[op.status])


async def delete(clc: "Clc", call: Call, op: iam.DeleteSigningCertificate) -> Done:
    """Raises NoSuchEntity."""
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
    """Account and user. Raises NoSuchEntity."""
    row = await user_of(clc, call, user_name)
    return row["account"], row["name"]


def _view(row: Row) -> iam.SigningCertificate:
    return iam.SigningCertificate(
        user_name=row["user"],
        certificate_id=row["certificate_id"],
        certificate_body=row["pem"],
        status=_SHOWN[row["state"]],
        upload_date=Moment(row["created_at"]),
    )
