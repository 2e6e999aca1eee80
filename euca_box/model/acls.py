"""Access control lists of S3: grants to users and groups, and the canned lists that stand for some.

Source: S3 user guide, "Access control list (ACL) overview". Pure values; who may do what by them is
decided in `objects/acl.py`. A grantee is kept by canonical user id alone: names and e-mail addresses
belong to the user and may change.
"""

import enum
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

MOST_GRANTS = 100


class Permission(enum.StrEnum):
    READ = "READ"
    WRITE = "WRITE"
    READ_ACP = "READ_ACP"
    WRITE_ACP = "WRITE_ACP"
    FULL_CONTROL = "FULL_CONTROL"


class Group(enum.StrEnum):
    """The values are the URIs by which S3 names the groups."""

    ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
    AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
    LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"


class CannedAcl(enum.StrEnum):
    """S3 user guide, "Canned ACL"."""

    PRIVATE = "private"
    PUBLIC_READ = "public-read"
    PUBLIC_READ_WRITE = "public-read-write"
    AUTHENTICATED_READ = "authenticated-read"
    BUCKET_OWNER_READ = "bucket-owner-read"
    BUCKET_OWNER_FULL_CONTROL = "bucket-owner-full-control"
    LOG_DELIVERY_WRITE = "log-delivery-write"
    # EC2 may read bundles: here Walrus reads them for it, whatever the ACL says. The second is of 2008.
    AWS_EXEC_READ = "aws-exec-read"
    EC2_BUNDLE_READ = "ec2-bundle-read"


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission for a canonical user id or for a group."""

    permission: Permission
    grantee: str | Group

    def allows(self, permission: Permission) -> bool:
        return self.permission in (permission, Permission.FULL_CONTROL)


@dataclass(frozen=True, slots=True)
class Acl:
    """A canned list as it was named, or grants one by one. `value` is how it is stored."""

    canned: CannedAcl | None = CannedAcl.PRIVATE
    listed: tuple[Grant, ...] = ()

    @property
    def value(self) -> str:
        if self.canned is not None:
            return self.canned.value
        return json.dumps([[grant.permission, grant.grantee] for grant in self.listed])

    def grants(self, owner_id: str, bucket_owner_id: str) -> Iterator[Grant]:
        """What the list means for a resource of that owner, in a bucket of that owner."""
        if self.canned is None:
            yield from sorted(self.listed, key=lambda grant: not isinstance(grant.grantee, Group))
            return
        for group, permission in _GROUPS.get(self.canned, ()):
            yield Grant(permission, group)
        yield Grant(Permission.FULL_CONTROL, owner_id)
        if self.canned in _BUCKET_OWNER and bucket_owner_id != owner_id:
            yield Grant(_BUCKET_OWNER[self.canned], bucket_owner_id)

    def is_public(self) -> bool:
        """Does it give anything to everybody, or to everybody with an account?"""
        return any(grant.grantee in _PUBLIC for grant in self.grants("", ""))


PRIVATE = Acl()

_PUBLIC = (Group.ALL_USERS, Group.AUTHENTICATED_USERS)
_GROUPS: dict[CannedAcl, tuple[tuple[Group, Permission], ...]] = {
    CannedAcl.PUBLIC_READ: ((Group.ALL_USERS, Permission.READ),),
    CannedAcl.PUBLIC_READ_WRITE: (
        (Group.ALL_USERS, Permission.READ),
        (Group.ALL_USERS, Permission.WRITE),
    ),
    CannedAcl.AUTHENTICATED_READ: ((Group.AUTHENTICATED_USERS, Permission.READ),),
    CannedAcl.LOG_DELIVERY_WRITE: (
        (Group.LOG_DELIVERY, Permission.WRITE),
        (Group.LOG_DELIVERY, Permission.READ_ACP),
    ),
}
_BUCKET_OWNER = {
    CannedAcl.BUCKET_OWNER_READ: Permission.READ,
    CannedAcl.BUCKET_OWNER_FULL_CONTROL: Permission.FULL_CONTROL,
}


def canned_acl(name: str) -> Acl:
    """Raises ValueError for a name that is none."""
    return _CANNED[CannedAcl(name)]


def acl_of_grants(grants: Iterable[Grant]) -> Acl:
    return Acl(None, tuple(grants))


_CANNED = {canned: Acl(canned) for canned in CannedAcl}


@lru_cache(maxsize=1024)
def parse_acl(text: str) -> Acl:
    """What `value` gave."""
    if not text.startswith("["):
        return canned_acl(text)
    return acl_of_grants(Grant(Permission(p), _grantee(g)) for p, g in json.loads(text))


def _grantee(text: str) -> str | Group:
    return Group(text) if text.startswith("http://") else text
