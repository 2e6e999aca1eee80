"""A forgotten password: a link by mail, good for an hour and once, by which the person chooses another."""

import hashlib
import secrets
from typing import TYPE_CHECKING

from euca_box.messages import logins as messages
from euca_box.messages.base import Call, Done
from euca_box.model.accounts import UserState
from euca_box.model.errors import ClientFault
from euca_box.roles.clc import iam_logins, logins, mail
from euca_box.roles.clc.identities import write_or
from euca_box.store.store import Statement, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

LIFE_SECONDS = 3600.0


class LinkIsOver(ClientFault):
    code = "LinkIsOver"

    def __init__(self) -> None:
        super().__init__("This link is not good, or no longer. Ask for another one.")


async def ask(clc: "Clc", call: Call, op: messages.AskRecovery) -> Done:
    """The same answer whoever is named; only who has both the name and its address gets a mail."""
    key = f"recovery {op.source_ip}"
    wait = clc.attempts.seconds_to_wait(clc.now(), key, op.source_ip)
    if wait > 0:
        raise logins.TooManyAttempts(wait)
    clc.attempts.note_failure(clc.now(), key, op.source_ip)
    row = await logins.named(clc, op.name)
    if row is None or row["state"] != UserState.ACTIVE or not row["email"]:
        return Done()
    if row["email"].lower() != op.email.lower():
        return Done()
    token = secrets.token_urlsafe(32)
    kept = {"token_hash": _hash(token), "user_id": row["id"], "ends_at": clc.now() + LIFE_SECONDS}
    written = mail.rows(clc, "recovery", row["email"], name=row["name"], token=token)
    if written:
        over = Statement("DELETE FROM recovery WHERE user_id = ? OR ends_at < ?", (row["id"], clc.now()))
        await clc.store.write(over, insert("recovery", {**kept}), *written)
        clc.mail_bell.ring()
    return Done()


async def use(clc: "Clc", call: Call, op: messages.UseRecovery) -> Done:
    """Raises LinkIsOver, PasswordPolicyViolation. Sessions of the old password end; a second factor stays."""
    hashed_token, now = _hash(op.token), clc.now()
    row = one(
        await clc.store.read(
            "SELECT user.* FROM recovery JOIN user ON user.id = recovery.user_id "
            "WHERE token_hash = ? AND ends_at > ?",
            hashed_token, now,
        )
    )  # fmt: skip
    if row is None:
        raise LinkIsOver
    hashed = await iam_logins.hash_of(row, op.password)
    taken = "DELETE FROM recovery WHERE token_hash = ? AND ends_at > ?"
    change = "UPDATE user SET password_hash = ?, password_at = ?, password_reset = 0 WHERE id = ?"
    await write_or(
        clc,
        LinkIsOver(),
        Statement(taken, (hashed_token, now), expect=1),
        Statement(change, (hashed, now, row["id"]), expect=1),
    )
    await logins.end_of_user(clc, row["id"])
    return Done()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
