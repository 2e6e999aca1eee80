"""Signing certificates: whose signature under the manifest of a bundle is believed.

IAM API reference, "UploadSigningCertificate". Certificates of 1.6.2 were one for each user; here there may be
several, so that one can be replaced.
"""

from typing import TYPE_CHECKING

import trio
from cryptography.hazmat.primitives.asymmetric import rsa

from euca_box.auth import bundle_keys, secrets
from euca_box.messages import admin
from euca_box.messages.base import Call, Done
from euca_box.model.ec2_errors import (
    DuplicateCertificate,
    LimitExceeded,
    MalformedCertificate,
    NoSuchEntity,
)
from euca_box.model.errors import InvalidParameterValue
from euca_box.roles.clc import users
from euca_box.store.store import Conflict, Row, Statement, Value, insert

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

MOST = 10  # active ones of a user
LONGEST_PEM = 16384
SMALLEST_KEY_BITS = 1024  # what the tools of 1.6.2's time made


async def add_certificate(clc: "Clc", call: Call, op: admin.AddCertificate) -> admin.IssuedCertificate:
    """Raises NoSuchEntity, InvalidParameterValue, LimitExceeded."""
    owner = await users.find(clc, op.name)
    private = ""
    if op.pem is None:
        pem, private = await trio.to_thread.run_sync(clc.notary.issue, owner["account"], owner["name"])
    else:
        pem = op.pem
    try:
        row = await keep(clc, owner["account"], owner["name"], pem)
    except MalformedCertificate as error:
        raise InvalidParameterValue(error.message) from None
    return admin.IssuedCertificate(_view(row), clc.notary.cloud_certificate, owner["account"], private)


async def keep(clc: "Clc", account: str, user: str, pem: str) -> Row:
    """Its row, when it is kept. A certificate is one user's only, whoever uploads it at the same time.

    Raises MalformedCertificate, DuplicateCertificate, LimitExceeded.
    """
    async with clc.certificate_lock:
        await _check_free(clc, account, user, _checked(pem))
        return await _kept(clc, account, user, pem)


async def _check_free(clc: "Clc", account: str, user: str, der: bytes) -> None:
    rows = await clc.store.read("SELECT account, user, pem, state FROM signing_certificate")
    if any(bundle_keys.read_certificate(row["pem"].encode())[0] == der for row in rows):
        raise DuplicateCertificate
    if sum((row["account"], row["user"], row["state"]) == (account, user, "active") for row in rows) >= MOST:
        raise LimitExceeded(f"Cannot exceed quota for SigningCertificatesPerUser: {MOST}")


async def _kept(clc: "Clc", account: str, user: str, pem: str) -> Row:
    row: dict[str, Value] = {
        "certificate_id": secrets.new_access_key_id("CERT", 28),
        "account": account,
        "user": user,
        "pem": pem,
        "state": "active",
        "created_at": clc.now(),
    }
    await clc.store.write(insert("signing_certificate", row))
    await users.refresh_keyring(clc)
    return row


async def list_certificates(clc: "Clc", call: Call, op: admin.ListCertificates) -> admin.Certificates:
    owner = await users.find(clc, op.name)
    return admin.Certificates(tuple(map(_view, await _rows(clc, owner))), clc.notary.cloud_certificate)


async def revoke_certificate(clc: "Clc", call: Call, op: admin.RevokeCertificate) -> Done:
    """Raises NoSuchEntity."""
    owner = await users.find(clc, op.name)
    sql = (
        "UPDATE signing_certificate SET state = 'revoked' "
        "WHERE certificate_id = ? AND account = ? AND user = ?"
    )
    try:
        await clc.store.write(Statement(sql, (op.certificate_id, owner["account"], owner["name"]), expect=1))
    except Conflict:
        raise NoSuchEntity("signing certificate", op.certificate_id[:64]) from None
    await users.refresh_keyring(clc)
    return Done()


async def public_keys(clc: "Clc", call: Call) -> list[rsa.RSAPublicKey]:
    """Whose signature the caller's bundles may have: the account's own, an administrator's every one's, and
    the cloud's, which signs what BundleInstance makes."""
    rows = await clc.store.read(
        "SELECT pem FROM signing_certificate WHERE state = 'active' AND (? OR account = ?)",
        int(call.admin), call.account,
    )  # fmt: skip
    return [clc.notary.public, *(bundle_keys.public_key(row["pem"].encode()) for row in rows)]


def _checked(pem: str) -> bytes:
    """DER of the certificate. Raises MalformedCertificate."""
    if len(pem) > LONGEST_PEM:
        raise MalformedCertificate(f"A certificate has at most {LONGEST_PEM} characters.")
    try:
        der, key = bundle_keys.read_certificate(pem.encode())
    except ValueError as error:
        raise MalformedCertificate("The certificate is no PEM certificate of an RSA key.") from error
    if key.key_size < SMALLEST_KEY_BITS:
        raise MalformedCertificate(f"The key of a certificate has at least {SMALLEST_KEY_BITS} bits.")
    return der


async def _rows(clc: "Clc", owner: Row) -> list[Row]:
    return await clc.store.read(
        "SELECT * FROM signing_certificate WHERE account = ? AND user = ? ORDER BY created_at",
        owner["account"], owner["name"],
    )  # fmt: skip


def _view(row: Row) -> admin.CertificateRow:
    return admin.CertificateRow(
        row["certificate_id"], row["user"], row["pem"], row["state"], row["created_at"]
    )
