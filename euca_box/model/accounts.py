"""Accounts, users and who is asking. Pure values.

An account owns resources; users of an account hold the keys. 1.6.2 had users only; today's clients
expect 12-digit accounts, so each 1.6.2 user is an account with one user of the same name.
"""

import enum
import re
from dataclasses import dataclass, field

ACCOUNT_DIGITS = 12
ADMIN_ACCOUNT = "000000000001"
NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")  # IAM API reference, CreateUser, UserName


class UserState(enum.StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class PrincipalKind(enum.StrEnum):
    USER = "user"
    ROLE = "role"
    FEDERATED = "federated"


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, or who has put on a role, as the front ends need to know it to check signatures and rights.

    `canonical_id` (64 hex digits) and `display_name` are what S3 shows as Owner. `identity` is the id by
    which policies are held (AIDA..., AROA...). `root`: its account's first user, who may everything in it
    without a policy, as every user of 1.6.2 could; others may what policies allow (`model/rights.py`).
    `session` names a session of a role or a federated user; `session_policies` narrow it.
    """

    account: str
    user: str
    canonical_id: str
    display_name: str
    email: str = ""
    admin: bool = False
    enabled: bool = True
    identity: str = ""
    root: bool = True
    path: str = "/"
    kind: PrincipalKind = PrincipalKind.USER
    session: str = ""
    session_policies: tuple[str, ...] = ()

    @property
    def is_unlimited(self) -> bool:
        """No policy of its own limits it: the root of its account."""
        return self.root and self.kind is PrincipalKind.USER and not self.session_policies

    @property
    def user_id(self) -> str:
        """What STS and `aws:userid` call it."""
        if self.kind is PrincipalKind.FEDERATED:
            return f"{self.account}:{self.session}"
        if self.kind is PrincipalKind.ROLE:
            return f"{self.identity}:{self.session}"
        return self.account if self.admin else self.identity


# Who signs the URLs by which nodes fetch images: Walrus itself. No user can have this account.
SYSTEM_ACCOUNT = "000000000000"
LENDER = Principal(SYSTEM_ACCOUNT, "walrus", "0" * 64, "walrus")
# Who delivers access logs: the log delivery group of ACLs, a service for policies.
LOGGER = Principal(SYSTEM_ACCOUNT, "logging", "0" * 64, "s3-log-delivery")
LOGGER_SERVICE = "logging.s3.amazonaws.com"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One access key of a user. The secret never enters a log: it is left out of the repr."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    principal: Principal
    enabled: bool = True


def arn(principal: Principal) -> str:
    """The ARN of the caller (STS GetCallerIdentity): the account's admin is its root."""
    if principal.kind is PrincipalKind.ROLE:
        return f"arn:aws:sts::{principal.account}:assumed-role/{principal.user}/{principal.session}"
    if principal.kind is PrincipalKind.FEDERATED:
        return f"arn:aws:sts::{principal.account}:federated-user/{principal.session}"
    if principal.root and principal.user == "admin":
        return f"arn:aws:iam::{principal.account}:root"
    return f"arn:aws:iam::{principal.account}:user{principal.path}{principal.user}"
