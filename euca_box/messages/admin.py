"""What the operator asks the CLC, through the admin socket."""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op
from euca_box.messages.cc import Leftovers, Node, Traced, Usage, Usages
from euca_box.messages.logins import SignUps


@dataclass(frozen=True)
class UserKeys:
    """A user with one working access key."""

    account_id: str
    account_name: str
    user_name: str
    canonical_id: str
    display_name: str
    email: str
    state: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class AddUser(Op[UserKeys], role="clc"):
    """Make a user and its first access key. Without an account it gets one of its own name, in which it may
    everything; in another's account it may what `policies`, names of AWS's, allow."""

    name: str
    account: str | None = None
    email: str = ""
    policies: tuple[str, ...] = ()


@dataclass(frozen=True)
class GetUserKeys(Op[UserKeys], role="clc"):
    """A user's newest active access key; `name` is NAME or ACCOUNT/NAME."""

    name: str = "admin"


@dataclass(frozen=True)
class UserRow:
    account_id: str
    account_name: str
    user_name: str
    email: str
    state: str
    admin: bool


@dataclass(frozen=True)
class Users:
    users: tuple[UserRow, ...]


@dataclass(frozen=True)
class ListUsers(Op[Users], role="clc"):
    pass


@dataclass(frozen=True)
class SetUserState(Op[Done], role="clc"):
    """`active` or `disabled`: a disabled user's keys are refused at once."""

    name: str
    state: str


@dataclass(frozen=True)
class SetPassword(Op[Done], role="clc"):
    name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class CertificateRow:
    """`state` is active or revoked."""

    certificate_id: str
    user_name: str
    pem: str
    state: str
    created_at: float


@dataclass(frozen=True)
class IssuedCertificate:
    """`private_key` is told this once and kept nowhere; it is empty for a certificate that was uploaded."""

    certificate: CertificateRow
    cloud_certificate: str
    account_id: str
    private_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class AddCertificate(Op[IssuedCertificate], role="clc"):
    """A signing certificate for a user: the one given, or a new one with a new key."""

    name: str
    pem: str | None = None


@dataclass(frozen=True)
class Certificates:
    certificates: tuple[CertificateRow, ...]
    cloud_certificate: str


@dataclass(frozen=True)
class ListCertificates(Op[Certificates], role="clc"):
    name: str


@dataclass(frozen=True)
class RevokeCertificate(Op[Done], role="clc"):
    """What it signed is no longer accepted. Twice is harmless."""

    name: str
    certificate_id: str


@dataclass(frozen=True)
class GetUsage(Op[Usage], role="clc"):
    """What an instance of any account used in the last minutes."""

    instance_id: str
    minutes: int = 60


@dataclass(frozen=True)
class ListUsage(Op[Usages], role="clc"):
    """What every instance of the cloud uses now: two samples each, a minute apart."""


@dataclass(frozen=True)
class CachedImageRow:
    """`state` is cached, in use, fetching, or why it cannot be had. `used_at` and size: of what is cached."""

    node: str
    image_id: str  # or the SHA-256 of an image that is registered no more
    state: str
    size_bytes: int = 0
    used_at: float = 0.0


@dataclass(frozen=True)
class CachedImages:
    images: tuple[CachedImageRow, ...]


@dataclass(frozen=True)
class CacheImages(Op[CachedImages], role="clc", timeout=60):
    """Have every node fetch these images with their kernels and ramdisks, and tell of these only; without
    any: tell what the nodes have. Answers after wait_seconds at the latest."""

    image_ids: tuple[str, ...] = ()
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class ListLeftovers(Op[Leftovers], role="clc"):
    """What the nodes found that belonged to no instance, and what they did with it."""


@dataclass(frozen=True)
class VmTypeRow:
    """`origin` is configured, changed or added."""

    name: str
    cpu: int
    memory_mib: int
    disk_gib: int
    origin: str
    instances: int
    ephemeral_gib: int = 0
    swap_mib: int = 0


@dataclass(frozen=True)
class VmTypes:
    vm_types: tuple[VmTypeRow, ...]


@dataclass(frozen=True)
class ListVmTypes(Op[VmTypes], role="clc"):
    pass


@dataclass(frozen=True)
class SetVmType(Op[Done], role="clc"):
    """What is not given stays; a new type needs all three."""

    name: str
    cpu: int | None = None
    memory_mib: int | None = None
    disk_gib: int | None = None
    ephemeral_gib: int | None = None
    swap_mib: int | None = None


@dataclass(frozen=True)
class RemoveVmType(Op[Done], role="clc"):
    name: str


@dataclass(frozen=True)
class ResetVmType(Op[Done], role="clc"):
    name: str


@dataclass(frozen=True)
class TraceNetwork(Op[Traced], role="clc", timeout=60):
    """Where the way of a packet to an instance of any account ends; without one, what every node needs."""

    instance_id: str | None = None


@dataclass(frozen=True)
class CloudStatus:
    region: str
    zone: str
    instances: int
    images: int
    users: int
    nodes: tuple[Node, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class DescribeCloud(Op[CloudStatus], role="clc"):
    """What the status page and `euca-box status` show."""


@dataclass(frozen=True)
class ListSignUps(Op[SignUps], role="clc"):
    """Requests for an account that nobody has decided."""


@dataclass(frozen=True)
class DecideSignUp(Op[Done], role="clc"):
    """Approved, the account and its user are there; rejected, the request is gone."""

    signup_id: str
    approve: bool


@dataclass(frozen=True)
class AccountRow:
    account_id: str
    name: str
    created_at: float
    users: int
    instances: int


@dataclass(frozen=True)
class Accounts:
    accounts: tuple[AccountRow, ...]


@dataclass(frozen=True)
class DescribeAccounts(Op[Accounts], role="clc"):
    """All accounts, and how much they have."""
