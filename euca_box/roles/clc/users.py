"""Users, accounts and access keys: who may ask, and how the front ends learn it."""

import hashlib
import os
import re
from typing import TYPE_CHECKING

import trio

from euca_box.auth import bundle_keys, passwords, secrets
from euca_box.auth.secrets import Sealer
from euca_box.auth.wsse import Signer
from euca_box.messages import admin, sts
from euca_box.messages.base import Call, Done
from euca_box.model import accounts
from euca_box.model.accounts import AccessKey, Principal, PrincipalKind, UserState
from euca_box.model.aws_policies import AWS_POLICIES, PREFIX
from euca_box.model.ec2_errors import EntityAlreadyExists, NoSuchEntity
from euca_box.model.errors import InvalidParameterValue
from euca_box.model.rights import grants_of
from euca_box.roles.clc import rights, sessions
from euca_box.roles.clc.identities import USER, new_id
from euca_box.store.store import Conflict, Row, Statement, Store, Value, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

ADMIN = "admin"


async def get_caller_identity(
    clc: "Clc", call: Call, op: sts.GetCallerIdentity
) -> sts.GetCallerIdentityResult:
    who = call.principal
    return sts.GetCallerIdentityResult(who.user_id, who.account, accounts.arn(who))


async def make_admin(
    store: Store, sealer: Sealer, account: str, now: float, password: str | None = None
) -> bool:
    """The first administrator, with an access key. False when there is one already."""
    if await store.read("SELECT 1 FROM user WHERE admin = 1"):
        return False
    hashed = passwords.hashed(password) if password else ""
    await store.write(
        insert("account", {"account": account, "name": "eucalyptus", "created_at": now}),
        user_row(account, ADMIN, now, root=True, admin=True, password_hash=hashed),
        key_row(sealer, account, ADMIN, now),
    )
    return True


async def add_user(clc: "Clc", call: Call, op: admin.AddUser) -> admin.UserKeys:
    """Raises EntityAlreadyExists, InvalidParameterValue, NoSuchEntity (the account)."""
    if not accounts.NAME.fullmatch(op.name):
        raise InvalidParameterValue(
            f"{op.name[:80]!r} is no user name: letters, digits and +=,.@_- up to 64."
        )
    if op.email and not re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,190}", op.email):
        raise InvalidParameterValue(f"{op.email[:80]!r} is no e-mail address.")
    rows: list[Statement] = []
    if op.account is None:
        account, owner = await new_account_id(clc), ""
        rows.append(insert("account", {"account": account, "name": op.name, "created_at": clc.now()}))
    else:
        account = await account_id(clc, op.account)
        owner = await canonical_id_of(clc, account)
    now = clc.now()
    made = user_row(account, op.name, now, root=not owner, canonical_id=owner, email=op.email)
    rows += [made, key_row(clc.sealer, account, op.name, now)]
    rows += [_attached(account, op.name, policy) for policy in op.policies]
    try:
        await clc.store.write(*rows)
    except Conflict:
        raise EntityAlreadyExists("User", op.name) from None
    await refresh_keyring(clc)
    return await _keys_of(clc, account, op.name)


def _attached(account: str, name: str, policy: str) -> Statement:
    """One of AWS's policies for a new user. Raises InvalidParameterValue."""
    if policy not in AWS_POLICIES:
        raise InvalidParameterValue(
            f"The policy {policy[:80]!r} is none of {', '.join(AWS_POLICIES)}; `aws iam` attaches others."
        )
    sql = "INSERT INTO attached_policy SELECT id, ? FROM user WHERE account = ? AND name = ?"
    return Statement(sql, (PREFIX + policy, account, name))


async def get_user_keys(clc: "Clc", call: Call, op: admin.GetUserKeys) -> admin.UserKeys:
    row = await find(clc, op.name)
    return await _keys_of(clc, row["account"], row["name"])


async def list_users(clc: "Clc", call: Call, op: admin.ListUsers) -> admin.Users:
    rows = await clc.store.read(
        "SELECT user.*, account.name AS account_name FROM user JOIN account USING (account) "
        "ORDER BY account, user.name"
    )
    return admin.Users(
        tuple(
            admin.UserRow(
                r["account"], r["account_name"], r["name"], r["email"], r["state"], bool(r["admin"])
            )
            for r in rows
        )
    )


async def set_user_state(clc: "Clc", call: Call, op: admin.SetUserState) -> Done:
    if op.state not in tuple(UserState):
        raise InvalidParameterValue(f"The state {op.state[:32]!r} is not one of {', '.join(UserState)}.")
    state = UserState(op.state)
    row = await find(clc, op.name)
    if row["admin"] and state is UserState.DISABLED:
        raise InvalidParameterValue("The administrator cannot be disabled: nobody could enable him again.")
    await clc.store.write(
        Statement(
            "UPDATE user SET state = ? WHERE account = ? AND name = ?",
            (state.value, row["account"], row["name"]),
            expect=1,
        )
    )
    await refresh_keyring(clc)
    return Done()


async def set_password(clc: "Clc", call: Call, op: admin.SetPassword) -> Done:
    row = await find(clc, op.name)
    hashed = await trio.to_thread.run_sync(passwords.hashed, op.password)
    sql = "UPDATE user SET password_hash = ?, password_at = ?, password_reset = 0 WHERE id = ?"
    await clc.store.write(Statement(sql, (hashed, clc.now(), row["id"]), expect=1))
    return Done()


async def refresh_keyring(clc: "Clc") -> None:
    """Read all keys, roles and policies into the CLC's own keyring under a new version; have Walrus told."""
    rows = await clc.store.read(
        "SELECT access_key.access_key_id, access_key.sealed_secret, access_key.state AS key_state, user.* "
        "FROM access_key JOIN user ON user.account = access_key.account AND user.name = access_key.user"
    )
    [[row]] = await clc.store.write(
        Statement(
            "INSERT INTO meta (name, value) VALUES ('keyring_version', '1') ON CONFLICT (name) "
            "DO UPDATE SET value = CAST(CAST(value AS integer) + 1 AS text) RETURNING value"
        )
    )
    keys = [_access_key(clc, r) for r in rows]
    grants = grants_of(await rights.held(clc))
    clc.keyring.replace(int(row["value"]), keys, await sessions.session_key(clc), await _roles(clc), grants)
    clc.keyring.replace_certificates(await _signers(clc))
    clc.principals_bell.ring()


async def _roles(clc: "Clc") -> list[Principal]:
    """Every role, as who puts it on will be known. S3 shows the account's own id as the owner."""
    rows = await clc.store.read(
        "SELECT iam_role.*, user.canonical_id, user.name AS owner FROM iam_role "
        "JOIN user ON user.account = iam_role.account AND user.root = 1"
    )
    return [
        Principal(
            account=row["account"],
            user=row["name"],
            canonical_id=row["canonical_id"],
            display_name=row["owner"],
            identity=row["id"],
            root=False,
            path=row["path"],
            kind=PrincipalKind.ROLE,
        )
        for row in rows
    ]


async def canonical_id_of(clc: "Clc", account: str) -> str:
    """What S3 calls the account: that of its first user. Raises NoSuchEntity."""
    rows = await clc.store.read("SELECT canonical_id FROM user WHERE account = ? AND root = 1", account)
    if not rows:
        raise NoSuchEntity("account", account[:32])
    return str(rows[0]["canonical_id"])


async def _signers(clc: "Clc") -> dict[bytes, Signer[AccessKey]]:
    """The signing certificates in use, for SOAP."""
    rows = await clc.store.read(
        "SELECT signing_certificate.certificate_id, signing_certificate.pem, user.* FROM signing_certificate "
        "JOIN user ON user.account = signing_certificate.account AND user.name = signing_certificate.user "
        "WHERE signing_certificate.state = 'active'"
    )
    signers: dict[bytes, Signer[AccessKey]] = {}
    for row in rows:
        der, key = bundle_keys.read_certificate(row["pem"].encode())
        signers[der] = Signer(key, AccessKey(row["certificate_id"], "", principal_of(row)))
    return signers


def principal_of(row: Row) -> Principal:
    return Principal(
        account=row["account"],
        user=row["name"],
        canonical_id=row["canonical_id"],
        display_name=row["name"],
        email=row["email"],
        admin=bool(row["admin"]),
        enabled=row["state"] == UserState.ACTIVE,
        identity=row["id"],
        root=bool(row["root"]),
        path=row["path"],
    )


def _access_key(clc: "Clc", row: Row) -> AccessKey:
    secret = clc.sealer.open(row["sealed_secret"], row["access_key_id"])
    enabled = row["key_state"] == UserState.ACTIVE
    return AccessKey(row["access_key_id"], secret, principal_of(row), enabled)


def user_row(
    account: str,
    name: str,
    now: float,
    *,
    root: bool,
    canonical_id: str = "",
    admin: bool = False,
    email: str = "",
    password_hash: str = "",
    state: UserState = UserState.ACTIVE,
) -> Statement:
    """Without a `canonical_id` a new one: of an account's first user."""
    user: dict[str, Value] = {
        "account": account,
        "name": name,
        "id": new_id(USER),
        "root": int(root),
        "canonical_id": canonical_id or hashlib.sha256(os.urandom(32)).hexdigest(),
        "email": email,
        "admin": int(admin),
        "state": state.value,
        "password_hash": password_hash,
        "created_at": now,
    }
    return insert("user", user)


def key_row(sealer: Sealer, account: str, name: str, now: float) -> Statement:
    """A first access key for the user."""
    key_id = secrets.new_access_key_id()
    key: dict[str, Value] = {
        "access_key_id": key_id,
        "account": account,
        "user": name,
        "sealed_secret": sealer.seal(secrets.new_secret(), key_id),
        "state": UserState.ACTIVE.value,
        "created_at": now,
    }
    return insert("access_key", key)


async def find(clc: "Clc", name: str) -> Row:
    """`NAME`, or `ACCOUNT/NAME` where several accounts have it. Raises NoSuchEntity."""
    account, _, user = name.rpartition("/")
    rows = await clc.store.read(
        "SELECT user.* FROM user JOIN account USING (account) WHERE user.name = ? "
        "AND (? = '' OR account.account = ? OR account.name = ?)",
        user, account, account, account,
    )  # fmt: skip
    if not rows:
        raise NoSuchEntity("user", name)
    if len(rows) > 1:
        places = ", ".join(f"{r['account']}/{user}" for r in rows)
        raise InvalidParameterValue(f"Several accounts have a user {user}: say which, {places}.")
    return rows[0]


async def _keys_of(clc: "Clc", account: str, user: str) -> admin.UserKeys:
    row = one(
        await clc.store.read(
            "SELECT user.*, account.name AS account_name, access_key.access_key_id, access_key.sealed_secret "
            "FROM user JOIN account USING (account) JOIN access_key "
            "ON access_key.account = user.account AND access_key.user = user.name "
            "WHERE user.account = ? AND user.name = ? AND access_key.state = 'active' "
            "ORDER BY access_key.created_at DESC",
            account, user,
        )
    )  # fmt: skip
    if row is None:
        raise NoSuchEntity("access key of user", user)
    return admin.UserKeys(
        account_id=account,
        account_name=row["account_name"],
        user_name=user,
        canonical_id=row["canonical_id"],
        display_name=user,
        email=row["email"],
        state=row["state"],
        access_key_id=row["access_key_id"],
        secret_access_key=clc.sealer.open(row["sealed_secret"], row["access_key_id"]),
    )


async def account_id(clc: "Clc", account: str) -> str:
    row = one(
        await clc.store.read("SELECT account FROM account WHERE account = ? OR name = ?", account, account)
    )
    if row is None:
        raise NoSuchEntity("account", account)
    return str(row["account"])


async def new_account_id(clc: "Clc") -> str:
    while True:
        account = f"{clc.randomness.randrange(10**11, 10**12)}"
        if not await clc.store.read("SELECT 1 FROM account WHERE account = ?", account):
            return account
