"""What users, groups, roles, profiles and policies have in common: names, paths, ids, ARNs, pages, tags.

Source: IAM user guide, "IAM identifiers" and "IAM and AWS STS quotas". Names are told apart without regard
to case.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from euca_box.auth.secrets import ALPHABET
from euca_box.messages.base import Call
from euca_box.messages.iam_users import Tag
from euca_box.model.ec2_errors import EntityAlreadyExists, LimitExceeded, NoSuchEntity
from euca_box.model.errors import AccessDeniedByPolicy, EucaError, ValidationError
from euca_box.model.iam_errors import DeleteConflict, InvalidInput
from euca_box.store.store import Conflict, Row, Statement, Value, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]+")
_PATH = re.compile(r"/|/[\x21-\x7e]{1,510}/")
_TAG_TEXT = re.compile(r"[\w\s.:/=+\-@]*")
MOST_TAGS, DEFAULT_PAGE, LARGEST_PAGE = 50, 100, 1000


@dataclass(frozen=True)
class Kind:
    """`table` has account, name, id, path, created_at; ids begin with `prefix`."""

    table: str
    noun: str
    arn_kind: str
    prefix: str
    longest_name: int


USER = Kind("user", "user", "user", "AIDA", 64)
GROUP = Kind("iam_group", "group", "group", "AGPA", 128)
ROLE = Kind("iam_role", "role", "role", "AROA", 64)
PROFILE = Kind("instance_profile", "instance profile", "instance-profile", "AIPA", 128)
POLICY = Kind("managed_policy", "policy", "policy", "ANPA", 128)


class Paged(Protocol):
    @property
    def marker(self) -> str | None: ...

    @property
    def max_items(self) -> int | None: ...


def new_id(kind: Kind) -> str:
    """`AIDA` and 17 characters, as AWS has them."""
    return kind.prefix + "".join(secrets.choice(ALPHABET) for _ in range(17))


def check_name(kind: Kind, name: str) -> str:
    """Raises ValidationError."""
    if not _NAME.fullmatch(name) or len(name) > kind.longest_name:
        raise ValidationError(
            f"{name[:80]!r} is no name of a {kind.noun}: "
            f"letters, digits and +=,.@_- up to {kind.longest_name}."
        )
    return name


def checked_path(path: str | None) -> str:
    """Raises ValidationError."""
    path = path or "/"
    if not _PATH.fullmatch(path):
        raise ValidationError("A path begins and ends with a slash and has at most 512 characters.")
    return path


def account_of(clc: "Clc", call: Call) -> str:
    """The account that a call is about. Only the administrator of the cloud may name another."""
    if call.delegate and not call.admin:
        raise AccessDeniedByPolicy("Another account is the administrator's of the cloud to name.")
    return call.delegate or call.account


async def find(clc: "Clc", account: str, kind: Kind, name: str) -> Row:
    """Raises NoSuchEntity."""
    row = await look_up(clc, account, kind, name)
    if row is None:
        raise NoSuchEntity(kind.noun, name[:128])
    return row


async def look_up(clc: "Clc", account: str, kind: Kind, name: str) -> Row | None:
    sql = f"SELECT * FROM {kind.table} WHERE account = ? AND lower(name) = lower(?)"  # noqa: S608
    return one(await clc.store.read(sql, account, name))


async def listed(clc: "Clc", account: str, kind: Kind, path_prefix: str | None) -> Sequence[Row]:
    """All of the account below the path, by name."""
    prefix = path_prefix or "/"
    if not prefix.startswith("/"):
        raise ValidationError("PathPrefix begins with a slash.")
    sql = f"SELECT * FROM {kind.table} WHERE account = ? ORDER BY name"  # noqa: S608
    return [row for row in await clc.store.read(sql, account) if row["path"].startswith(prefix)]


async def user_of(clc: "Clc", call: Call, name: str | None) -> Row:
    """The user who is named, or else the caller. Raises NoSuchEntity, ValidationError (a role calls)."""
    if name is not None:
        return await find(clc, account_of(clc, call), USER, name)
    row = one(await clc.store.read("SELECT * FROM user WHERE id = ?", call.principal.identity))
    if row is None:
        raise ValidationError("Must specify userName when calling with non-User credentials")
    return row


def arn(kind: Kind, row: Row) -> str:
    return f"arn:aws:iam::{row['account']}:{kind.arn_kind}{row['path']}{row['name']}"


def cut(records: Sequence[T], op: Paged, key_of: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """A page of the records and the marker of the next. Raises ValidationError."""
    size = DEFAULT_PAGE if op.max_items is None else op.max_items
    if not 1 <= size <= LARGEST_PAGE:
        raise ValidationError(f"MaxItems must be from 1 to {LARGEST_PAGE}.")
    ordered = sorted(records, key=key_of)
    if op.marker is not None:
        after = _marked(op.marker)
        ordered = [record for record in ordered if key_of(record) > after]
    shown = ordered[:size]
    more = len(ordered) > size
    return shown, base64.urlsafe_b64encode(key_of(shown[-1]).encode()).decode() if more else None


def _marked(marker: str) -> str:
    try:
        return base64.urlsafe_b64decode(marker.encode()).decode()
    except (ValueError, binascii.Error):
        raise ValidationError("Invalid Marker.") from None


async def write_or(clc: "Clc", error: EucaError, *batch: Statement) -> list[list[Row]]:
    """One transaction; the error where one of its statements finds not what it expects."""
    try:
        return await clc.store.write(*batch)
    except Conflict:
        raise error from None


async def keep_new(
    clc: "Clc", kind: Kind, values: Mapping[str, Value], tags: Iterable[Tag] = (), *more: Statement
) -> Row:
    """Insert one with a new id and now as its time, unless its name is taken. The row.

    Raises EntityAlreadyExists, InvalidInput.
    """
    check_name(kind, str(values["name"]))
    row: dict[str, Value] = {"id": new_id(kind), "created_at": clc.now(), **values}
    batch = [
        _free(kind, row["account"], row["name"]),
        insert(kind.table, row),
        *tag_rows(str(row["id"]), tags),
    ]
    batch += more
    await write_or(clc, _taken(kind, str(row["name"])), *batch)
    return row


def _free(kind: Kind, account: Value, name: Value, but: Value = "") -> Statement:
    found = f"SELECT 1 FROM {kind.table} WHERE account = ? AND lower(name) = lower(?) AND id <> ?"  # noqa: S608
    return Statement(f"SELECT 1 WHERE NOT EXISTS ({found})", (account, name, but), expect=1)


def _taken(kind: Kind, name: str) -> EucaError:
    return EntityAlreadyExists(kind.noun.capitalize(), name)


async def rename(
    clc: "Clc", kind: Kind, row: Row, name: str | None, path: str | None, *more: Statement
) -> None:
    """A new name, a new path, or both. Raises EntityAlreadyExists, ValidationError."""
    new_name = check_name(kind, name) if name is not None else row["name"]
    new_path = checked_path(path) if path is not None else row["path"]
    sql = f"UPDATE {kind.table} SET name = ?, path = ? WHERE id = ?"  # noqa: S608
    change = Statement(sql, (new_name, new_path, row["id"]), expect=1)
    await write_or(
        clc, _taken(kind, new_name), _free(kind, row["account"], new_name, row["id"]), change, *more
    )


async def remove(clc: "Clc", kind: Kind, row: Row, conflicts: dict[str, str]) -> None:
    """Delete it and its tags, unless it has what must go first: SQL of what is in the way -> the advice.

    Raises DeleteConflict.
    """
    for sql, advice in conflicts.items():
        if await clc.store.read(sql, *([row["id"]] * sql.count("?"))):
            raise DeleteConflict(advice)
    absent = [
        Statement(f"SELECT 1 WHERE NOT EXISTS ({sql})", (row["id"],) * sql.count("?"), expect=1)
        for sql in conflicts
    ]
    await write_or(
        clc,
        DeleteConflict("remove what it has"),
        *absent,
        Statement("DELETE FROM iam_tag WHERE owner = ?", (row["id"],)),
        Statement(f"DELETE FROM {kind.table} WHERE id = ?", (row["id"],), expect=1),  # noqa: S608
    )


# Tags


async def tags_of(clc: "Clc", owner: str) -> tuple[Tag, ...]:
    rows = await clc.store.read("SELECT key, value FROM iam_tag WHERE owner = ? ORDER BY key", owner)
    return tuple(Tag(row["key"], row["value"]) for row in rows)


def tag_rows(owner: str, tags: Iterable[Tag]) -> list[Statement]:
    """Raises InvalidInput."""
    given = list(tags)
    keys = [tag.key.lower() for tag in given]
    if len(set(keys)) != len(keys):
        raise InvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    for tag in given:
        if not 1 <= len(tag.key) <= 128 or len(tag.value) > 256 or tag.key.lower().startswith("aws:"):
            raise InvalidInput(
                "Tag keys have 1 to 128 characters and do not begin with aws:, values up to 256."
            )
        if not (_TAG_TEXT.fullmatch(tag.key) and _TAG_TEXT.fullmatch(tag.value)):
            raise InvalidInput("Tags have letters, digits, blanks and _.:/=+-@ only.")
    return [
        insert("iam_tag", {"owner": owner, "key": t.key, "value": t.value}, or_replace=True) for t in given
    ]


async def add_tags(clc: "Clc", owner: str, tags: Iterable[Tag]) -> None:
    """Raises InvalidInput, LimitExceeded."""
    rows = tag_rows(owner, tags)
    most = Statement(
        "SELECT 1 WHERE (SELECT count(*) FROM iam_tag WHERE owner = ?) <= ?", (owner, MOST_TAGS), expect=1
    )
    await write_or(clc, LimitExceeded(f"A resource has at most {MOST_TAGS} tags."), *rows, most)


async def remove_tags(clc: "Clc", owner: str, keys: Iterable[str]) -> None:
    await clc.store.write(
        *(Statement("DELETE FROM iam_tag WHERE owner = ? AND key = ?", (owner, key)) for key in keys)
    )
