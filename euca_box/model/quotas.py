"""How much an account may store. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Quota:
    """0: any number."""

    max_buckets: int = 0
    max_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Quotas:
    """For every account, and for those that have one of their own."""

    default: Quota = field(default_factory=Quota)
    by_account: Mapping[str, Quota] = field(default_factory=dict)

    def of(self, account: str) -> Quota:
        return self.by_account.get(account, self.default)

    @property
    def count_bytes(self) -> bool:
        """Is there an account whose bytes must be counted?"""
        return any(quota.max_bytes for quota in (self.default, *self.by_account.values()))


def parse_quota(text: str) -> tuple[str, Quota]:
    """ACCOUNT=BUCKETS/GIB, as 000000000002=10/2.5. Raises ValueError."""
    account, _, limits = text.partition("=")
    buckets, _, gib = limits.partition("/")
    if not (account.isascii() and account.isdigit() and len(account) == 12):
        raise ValueError(f"{text}: an account has 12 digits")
    quota = Quota(int(buckets), int(float(gib) * (1 << 30)))
    if quota.max_buckets < 0 or quota.max_bytes < 0:
        raise ValueError(f"{text}: a quota is not negative")
    return account, quota
