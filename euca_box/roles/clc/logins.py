"""People in the web console: log in, stay, change the password, second factors.

A session is a random token whose hash is a row; it ends after some idle time, after half a day, when its
person logs out, and at once when the user is disabled or deleted or has got another password.
"""

import hashlib
import secrets as random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from euca_box.auth import passwords, totp
from euca_box.messages import logins
from euca_box.messages.base import SYSTEM, Call, Done
from euca_box.messages.moments import Moment
from euca_box.model.accounts import UserState, arn
from euca_box.model.errors import ClientFault
from euca_box.model.iam_errors import PasswordPolicyViolation
from euca_box.roles.clc import events, iam_logins, users
from euca_box.store.store import Row, Statement, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

IDLE_SECONDS, LONGEST_SECONDS = 30 * 60.0, 12 * 3600.0
CLOUD = "euca-box"


class LoginRefused(ClientFault):
    """It does not tell which of name, password and code was wrong."""

    code = "LoginRefused"
    http_status = 403

    def __init__(self) -> None:
        super().__init__("The user name, the password or the code is not right.")


class TooManyAttempts(ClientFault):
    code = "TooManyAttempts"
    http_status = 429

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Too many attempts. Try again in {max(1, round(seconds))} seconds.")


class NoSession(ClientFault):
    code = "NoSession"
    http_status = 401

    def __init__(self) -> None:
        super().__init__("You are not logged in, or no longer.")


@dataclass
class Kept:
    """A session as it is held in memory; `used_at` is written now and then. `password_at`: of the password
    with which it began, or which its person chose in it."""

    user_id: str
    created_at: float
    used_at: float
    password_at: float
    source_ip: str
    user_agent: str


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


async def load(clc: "Clc") -> None:
    for row in await clc.store.read("SELECT * FROM console_session"):
        clc.sessions[row["token_hash"]] = Kept(
            row["user_id"],
            row["created_at"],
            row["used_at"],
            row["password_at"],
            row["source_ip"],
            row["user_agent"],
        )


async def log_in(clc: "Clc", call: Call, op: logins.LogIn) -> logins.LogInResult:
    """Raises LoginRefused, TooManyAttempts. Each try is an event, of the account whose user it names."""
    row = await named(clc, op.name)
    account = row["account"] if row is not None else SYSTEM.account
    tried = replace(call, source_ip=op.source_ip, user_agent=op.user_agent[:256])
    try:
        found = await _log_in(clc, op, row)
    except ClientFault as error:
        events.add(clc, tried, op.name[:100], "console:LogIn", "{}", error, account)
        raise
    if found.session is not None:
        events.add(clc, tried, arn(found.session.principal), "console:LogIn", "{}", None, account)
    return found


async def _log_in(clc: "Clc", op: logins.LogIn, row: Row | None) -> logins.LogInResult:
    now = clc.now()
    if (wait := clc.attempts.seconds_to_wait(now, op.name, op.source_ip)) > 0:
        raise TooManyAttempts(wait)
    # Counted before the password is looked at: tries that come at once cannot slip through together.
    clc.attempts.note_failure(now, op.name, op.source_ip)
    stored = row["password_hash"] if row is not None else ""
    if not await _is_right(clc, op.password, stored) or row is None:
        raise LoginRefused
    if row["state"] != UserState.ACTIVE:
        raise LoginRefused
    if row["totp_secret"]:
        if not op.code:
            clc.attempts.note_success(op.name, op.source_ip)
            return logins.LogInResult(None)
        await _take_code(clc, row, op.code)
    clc.attempts.note_success(op.name, op.source_ip)
    if passwords.is_old(stored):
        await _rehash(clc, row, op.password)
    return await _begin(clc, row, op)


async def _begin(clc: "Clc", row: Row, op: logins.LogIn) -> logins.LogInResult:
    token, now = random.token_urlsafe(32), clc.now()
    kept = Kept(row["id"], now, now, row["password_at"], op.source_ip, op.user_agent[:200])
    values = {"token_hash": _hash(token), **vars(kept)}
    used = "UPDATE user SET password_used_at = ? WHERE id = ?"
    await clc.store.write(insert("console_session", values), Statement(used, (now, row["id"])))
    clc.sessions[_hash(token)] = kept
    return logins.LogInResult(token, await _view(clc, row))


async def resume(clc: "Clc", call: Call, op: logins.ResumeSession) -> logins.Session:
    """Raises NoSession."""
    return await _view(clc, await _person(clc, op.token))


async def log_out(clc: "Clc", call: Call, op: logins.LogOut) -> Done:
    await _end(clc, [_hash(op.token)])
    return Done()


async def list_sessions(clc: "Clc", call: Call, op: logins.ListSessions) -> logins.Sessions:
    row = await _person(clc, op.token)
    this = _hash(op.token)
    mine = [(h, kept) for h, kept in clc.sessions.items() if kept.user_id == row["id"]]
    return logins.Sessions(
        tuple(
            logins.SessionRow(
                h[:16], Moment(k.created_at), Moment(k.used_at), k.source_ip, k.user_agent, h == this
            )
            for h, k in sorted(mine, key=lambda pair: -pair[1].used_at)
        )
    )


async def end_sessions(clc: "Clc", call: Call, op: logins.EndSessions) -> Done:
    row = await _person(clc, op.token)
    await end_of_user(clc, row["id"], but=_hash(op.token), only=op.session_id)
    return Done()


async def change_password(clc: "Clc", call: Call, op: logins.ChangeOwnPassword) -> Done:
    """Raises LoginRefused, TooManyAttempts, PasswordPolicyViolation, NoSession."""
    row = await _person(clc, op.token)
    await _confirm(clc, row, op.old_password)
    if op.old_password == op.new_password:
        raise PasswordPolicyViolation("The new password must be another one.")
    hashed = await iam_logins.hash_of(row, op.new_password)
    now = clc.now()
    sql = "UPDATE user SET password_hash = ?, password_at = ?, password_reset = 0 WHERE id = ?"
    kept = "UPDATE console_session SET password_at = ? WHERE token_hash = ?"
    change = Statement(sql, (hashed, now, row["id"]), expect=1)
    await clc.store.write(change, Statement(kept, (now, _hash(op.token))))
    if (this := clc.sessions.get(_hash(op.token))) is not None:
        this.password_at = now
    await end_of_user(clc, row["id"], but=_hash(op.token))
    return Done()


# The second factor


async def new_second_factor(clc: "Clc", call: Call, op: logins.SecondFactor) -> logins.NewSecondFactor:
    row = await _person(clc, op.token)
    secret = totp.new_secret()
    return logins.NewSecondFactor(secret, totp.uri(secret, row["name"], CLOUD))


async def use_second_factor(clc: "Clc", call: Call, op: logins.UseSecondFactor) -> Done:
    """Raises LoginRefused for a wrong password or code."""
    row = await _person(clc, op.token)
    await _confirm(clc, row, op.password)
    step: int | None = 0
    if op.secret:
        try:
            step = totp.step_of(op.secret, op.code, clc.now())
        except ValueError:
            step = None
    if step is None:
        raise LoginRefused
    sealed = clc.sealer.seal(op.secret, row["id"]) if op.secret else ""
    sql = "UPDATE user SET totp_secret = ?, totp_step = ? WHERE id = ?"
    await clc.store.write(Statement(sql, (sealed, step, row["id"]), expect=1))
    return Done()


async def _take_code(clc: "Clc", row: Row, given: str) -> None:
    """A code is good once, also for two who come at the same time. Raises LoginRefused."""
    secret = clc.sealer.open(row["totp_secret"], row["id"])
    step = totp.step_of(secret, given, clc.now(), row["totp_step"])
    if step is None:
        raise LoginRefused
    sql = "UPDATE user SET totp_step = ? WHERE id = ? AND totp_step < ? RETURNING id"
    [taken] = await clc.store.write(Statement(sql, (step, row["id"], step)))
    if not taken:
        raise LoginRefused


# What they share


async def named(clc: "Clc", name: str) -> Row | None:
    """The one user whose name it is."""
    account, _, user = name.rpartition("/")
    rows = await clc.store.read(
        "SELECT user.* FROM user JOIN account USING (account) WHERE user.name = ? "
        "AND (? = '' OR account.account = ? OR account.name = ?) LIMIT 2",
        user[:128], account[:128], account[:128], account[:128],
    )  # fmt: skip
    return rows[0] if len(rows) == 1 else None


async def _person(clc: "Clc", token: str) -> Row:
    """The user of a session that still lasts. Raises NoSession."""
    hashed, now = _hash(token), clc.now()
    kept = clc.sessions.get(hashed)
    if kept is None:
        raise NoSession
    if now - kept.used_at > IDLE_SECONDS or now - kept.created_at > LONGEST_SECONDS:
        await _end(clc, [hashed])
        raise NoSession
    row = one(await clc.store.read("SELECT * FROM user WHERE id = ?", kept.user_id))
    if row is None or row["state"] != UserState.ACTIVE or row["password_at"] != kept.password_at:
        await _end(clc, [hashed])
        raise NoSession
    kept.used_at = now
    return row


async def _view(clc: "Clc", row: Row) -> logins.Session:
    account = one(await clc.store.read("SELECT name FROM account WHERE account = ?", row["account"]))
    name = account["name"] if account is not None else row["account"]
    must = bool(row["password_reset"])
    return logins.Session(users.principal_of(row), name, must, bool(row["totp_secret"]))


async def _confirm(clc: "Clc", row: Row, password: str) -> None:
    """The person knows the password, tried as slowly as at the door."""
    name, now = row["id"], clc.now()
    if (wait := clc.attempts.seconds_to_wait(now, name, "")) > 0:
        raise TooManyAttempts(wait)
    clc.attempts.note_failure(now, name, "")
    if not await _is_right(clc, password, row["password_hash"]):
        raise LoginRefused
    clc.attempts.note_success(name, "")


async def _is_right(clc: "Clc", password: str, stored: str) -> bool:
    return await trio.to_thread.run_sync(
        passwords.is_right, password[: iam_logins.LONGEST + 1], stored, limiter=clc.hashing
    )


async def _rehash(clc: "Clc", row: Row, password: str) -> None:
    """Passwords of an earlier version get today's hash. It is the same password: sessions go on."""
    hashed = await trio.to_thread.run_sync(passwords.hashed, password, limiter=clc.hashing)
    sql = "UPDATE user SET password_hash = ? WHERE id = ? AND password_hash = ?"
    await clc.store.write(Statement(sql, (hashed, row["id"], row["password_hash"])))


async def end_of_user(clc: "Clc", user_id: str, *, but: str = "", only: str | None = None) -> None:
    ended = [
        hashed
        for hashed, kept in clc.sessions.items()
        if kept.user_id == user_id and hashed != but and (only is None or hashed[:16] == only)
    ]
    await _end(clc, ended)


async def _end(clc: "Clc", hashes: list[str]) -> None:
    for hashed in hashes:
        clc.sessions.pop(hashed, None)
    if hashes:
        sql = "DELETE FROM console_session WHERE token_hash = ?"
        await clc.store.write(*(Statement(sql, (hashed,)) for hashed in hashes))


async def sweep(clc: "Clc") -> None:
    """Write when sessions were used last; end those that have lasted long enough."""
    now = clc.now()
    over = [
        hashed
        for hashed, kept in clc.sessions.items()
        if now - kept.used_at > IDLE_SECONDS or now - kept.created_at > LONGEST_SECONDS
    ]
    await _end(clc, over)
    sql = "UPDATE console_session SET used_at = ? WHERE token_hash = ? AND used_at < ?"
    if clc.sessions:
        marks = [Statement(sql, (k.used_at, h, k.used_at)) for h, k in clc.sessions.items()]
        await clc.store.write(*marks)
