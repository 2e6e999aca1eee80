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
        await walrus.store.write(Statement("DELETE FROM principal"), *rows)
        take(walrus, op.version, op.keys)
    return Done()


def take(walrus: "Walrus", version: int, keys: Iterable[AccessKey]) -> None:
    """Use these keys from now on, and our own beside them."""
    walrus.keyring.replace(version, [*keys, walrus.lender])
