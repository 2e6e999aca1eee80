"""The users as the CLC pushed them: kept in rows for the next start, used from the keyring."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from euca_box.messages import base
from euca_box.messages.base import Call, Done
from euca_box.messages.walrus import SyncPrincipals
from euca_box.model.accounts import AccessKey
from euca_box.store.store import Statement, insert

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus

SESSION_KEY = "session_key"  # the row of meta


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
        session_key = insert("meta", {"name": SESSION_KEY, "value": op.session_key.hex()}, or_replace=True)
        await walrus.store.write(Statement("DELETE FROM principal"), *rows, session_key)
        take(walrus, op.version, op.keys, op.session_key)
    return Done()


def take(walrus: "Walrus", version: int, keys: Iterable[AccessKey], session_key: bytes) -> None:
    """Use these keys from now on, and our own beside them."""
    walrus.keyring.replace(version, [*keys, walrus.lender], session_key)
