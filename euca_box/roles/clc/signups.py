"""Who wants an account asks for it; an administrator approves or rejects. As 1.6.2 had it."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from euca_box.messages import admin, logins
from euca_box.messages.base import Call, Done
from euca_box.messages.moments import Moment
from euca_box.model.errors import InvalidParameterValue
from euca_box.model.iam_errors import NothingThere
from euca_box.roles.clc import iam_logins, mail, users
from euca_box.roles.clc.iam_accounts import ALIAS
from euca_box.roles.clc.identities import write_or
from euca_box.roles.clc.logins import TooManyAttempts
from euca_box.store.store import Conflict, Statement, Value, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

MOST_WAITING = 1000
_EMAIL = re.compile(r"[^@\s<>\"']{1,64}@[^@\s<>\"']{1,190}")


async def sign_up(clc: "Clc", call: Call, op: logins.SignUp) -> Done:
    """Raises InvalidParameterValue, PasswordPolicyViolation, TooManyAttempts.

    A name that is taken is answered as one that is not: strangers learn nothing of who is here. The
    administrator sees only requests that can be approved.
    """
    wait = clc.attempts.seconds_to_wait(clc.now(), f"signup {op.source_ip}", op.source_ip)
    if wait > 0:
        raise TooManyAttempts(wait)
    clc.attempts.note_failure(clc.now(), f"signup {op.source_ip}", op.source_ip)
    if not ALIAS.fullmatch(op.account_name) or op.account_name.isdigit():
        raise InvalidParameterValue("A name has 3 to 63 lower-case letters, digits and single hyphens.")
    if not _EMAIL.fullmatch(op.email):
        raise InvalidParameterValue("That is no e-mail address.")
    if len(op.real_name) > 100 or len(op.reason) > 1000:
        raise InvalidParameterValue("The name has at most 100 characters, the reason at most 1000.")
    hashed = await iam_logins.hash_of({"name": op.account_name}, op.password)
    row: dict[str, Value] = {
        "id": f"{clc.randomness.getrandbits(64):016x}",
        "account_name": op.account_name,
        "email": op.email,
        "real_name": op.real_name,
        "reason": op.reason,
        "password_hash": hashed,
        "created_at": clc.now(),
    }
    free = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM account WHERE name = ?)"
    few = "SELECT 1 WHERE (SELECT count(*) FROM signup) < ?"
    try:
        await clc.store.write(
            Statement(free, (op.account_name,), expect=1),
            Statement(few, (MOST_WAITING,), expect=1),
            insert("signup", row),
            *mail.rows(clc, "signup", clc.settings.mail.admin, **_words(row)),
        )
    except Conflict:
        return Done()
    clc.mail_bell.ring()
    return Done()


def _words(row: Mapping[str, Value]) -> dict[str, str]:
    return {
        "name": str(row["account_name"]),
        "email": str(row["email"]),
        "real_name": str(row["real_name"]),
        "reason": str(row["reason"]),
    }


async def list_signups(clc: "Clc", call: Call, op: admin.ListSignUps) -> logins.SignUps:
    rows = await clc.store.read("SELECT * FROM signup ORDER BY created_at")
    return logins.SignUps(
        tuple(
            logins.SignUpRow(
                r["id"], r["account_name"], r["email"], r["real_name"], r["reason"], Moment(r["created_at"])
            )
            for r in rows
        )
    )


async def decide(clc: "Clc", call: Call, op: admin.DecideSignUp) -> Done:
    """Account, user `admin` of it, and the end of the request in one transaction. Raises NothingThere."""
    row = one(await clc.store.read("SELECT * FROM signup WHERE id = ?", op.signup_id))
    if row is None:
        raise NothingThere("The request is not there: it was decided already.")
    gone = Statement("DELETE FROM signup WHERE id = ?", (row["id"],), expect=1)
    if not op.approve:
        told = mail.rows(clc, "rejected", row["email"], **_words(row))
        await write_or(clc, NothingThere("It was decided already."), gone, *told)
        clc.mail_bell.ring()
        return Done()
    account, now = await users.new_account_id(clc), clc.now()
    name = row["account_name"]
    await write_or(
        clc,
        InvalidParameterValue(f"The name {name} was taken meanwhile: reject the request."),
        gone,
        insert("account", {"account": account, "name": name, "created_at": now}),
        users.user_row(account, name, now, root=True, email=row["email"], password_hash=row["password_hash"]),
        users.key_row(clc.sealer, account, name, now),
        *mail.rows(clc, "approved", row["email"], **_words(row)),
    )
    clc.mail_bell.ring()
    await users.refresh_keyring(clc)
    return Done()
