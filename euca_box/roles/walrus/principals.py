"""The users as the CLC pushed them: kept in rows for the next start, used from the keyring."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from euca_box.messages import base
from euca_box.messages.base import Call, Done
from euca_box.messages.walrus import SyncPrincipals
from euca_box.model.accounts import AccessKey, Principal
from euca_box.model.rights import Grants
from euca_box.store.store import Statement, insert

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus

SESSION_KEY = "session_key"  # rows of meta
RIGHTS = "rights"


@dataclass(frozen=True)
class Rights:
    """Roles, and the policies of users and roles."""

    roles: tuple[Principal, ...] = ()
    grants: Grants = field(default_factory=Grants)


async def sync_principals(walrus: "Walrus", call: Call, op: SyncPrincipals) -> Done:
    """All keys at once; an older version than the one here is ignored."""
    if op.version > walrus.keyring.version:
        rows = [
            insert(
                "principal",
                {"access_key_id": k.access_key_id, "version": op.version, "record": base.encode(k)},
            )
            for k in op.keys
        ]
        rights = Rights(op.roles, op.grants)
        session_key = insert("meta", {"name": SESSION_KEY, "value": op.session_key.hex()}, or_replace=True)
        kept = insert("meta", {"name": RIGHTS, "value": base.encode(rights)}, or_replace=True)
        await walrus.store.write(Statement("DELETE FROM principal"), *rows, session_key, kept)
        take(walrus, op.version, op.keys, op.session_key, rights)
    return Done()


async def load(walrus: "Walrus") -> None:
    """What was pushed last, so that S3 works before the CLC is there."""
    rows = await walrus.store.read("SELECT version, record FROM principal")
    keys = [base.decode(row["record"], AccessKey) for row in rows]
    found = await walrus.store.read("SELECT name, value FROM meta WHERE name IN (?, ?)", SESSION_KEY, RIGHTS)
    meta = {row["name"]: row["value"] for row in found}
    rights = base.decode(meta[RIGHTS], Rights) if RIGHTS in meta else Rights()
    session_key = bytes.fromhex(meta.get(SESSION_KEY, ""))
    take(walrus, max((row["version"] for row in rows), default=0), keys, session_key, rights)


def take(
    walrus: "Walrus", version: int, keys: Iterable[AccessKey], session_key: bytes, rights: Rights
) -> None:
    """Use these keys from now on, and our own beside them."""
    walrus.keyring.replace(version, [*keys, walrus.lender], session_key, rights.roles, rights.grants)
