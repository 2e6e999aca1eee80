"""IAM 2010-05-08: the account: alias, numbers.

Names, and which members are optional, are those of the API reference.
"""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op


@dataclass(frozen=True)
class CreateAccountAlias(Op[Done], role="clc", mutates=True):
    account_alias: str


@dataclass(frozen=True)
class ListAccountAliasesResult:
    account_aliases: tuple[str, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListAccountAliases(Op[ListAccountAliasesResult], role="clc"):
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class DeleteAccountAlias(Op[Done], role="clc", mutates=True):
    account_alias: str


@dataclass(frozen=True)
class GetAccountSummaryResult:
    summary_map: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class GetAccountSummary(Op[GetAccountSummaryResult], role="clc"):
    pass


# Eucalyptus 3, Euare: the administrator of the cloud and its accounts


@dataclass(frozen=True)
class Account:
    account_name: str
    account_id: str


@dataclass(frozen=True)
class CreateAccountResult:
    account: Account


@dataclass(frozen=True)
class CreateAccount(Op[CreateAccountResult], role="clc", mutates=True):
    """An account and its user `admin`, who has no key and no password yet."""

    account_name: str


@dataclass(frozen=True)
class DeleteAccount(Op[Done], role="clc", mutates=True):
    """One that owns instances, images, addresses or volumes stays; with users only if `recursive`."""

    account_name: str
    recursive: bool = False


@dataclass(frozen=True)
class ListAccountsResult:
    accounts: tuple[Account, ...]


@dataclass(frozen=True)
class ListAccounts(Op[ListAccountsResult], role="clc"):
    pass
