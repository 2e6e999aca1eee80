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


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, as the front ends need to know it to check signatures and rights.

    `canonical_id` (64 hex digits) and `display_name` are what S3 shows as Owner.
    """

    account: str
    user: str
    canonical_id: str
    display_name: str
    email: str = ""
    admin: bool = False
    enabled: bool = True


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
    if principal.admin and principal.user == "admin":
        return f"arn:aws:iam::{principal.account}:root"
    return f"arn:aws:iam::{principal.account}:user/{principal.user}"
