"""EC2 actions on key pairs (EC2 2016-11-15)."""

from dataclasses import dataclass, field
from datetime import datetime

from euca_box.messages.base import Op
from euca_box.messages.ec2_common import Filter, Tag, TagSpecification


@dataclass(frozen=True)
class CreateKeyPairResult:
    """`key_material` is the private key in PEM; it is shown once and kept nowhere."""

    key_pair_id: str
    key_name: str
    key_fingerprint: str
    key_material: str = field(repr=False)
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class CreateKeyPair(Op[CreateKeyPairResult], role="clc"):
    key_name: str
    key_type: str | None = None
    key_format: str | None = None
    tag_specifications: tuple[TagSpecification, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class ImportKeyPairResult:
    key_pair_id: str
    key_name: str
    key_fingerprint: str
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class ImportKeyPair(Op[ImportKeyPairResult], role="clc"):
    """`public_key_material` is an OpenSSH public key."""

    key_name: str
    public_key_material: bytes
    tag_specifications: tuple[TagSpecification, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class KeyPairInfo:
    key_pair_id: str
    key_name: str
    key_fingerprint: str
    key_type: str
    create_time: datetime
    public_key: str | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class DescribeKeyPairsResult:
    key_pairs: tuple[KeyPairInfo, ...] = ()


@dataclass(frozen=True)
class DescribeKeyPairs(Op[DescribeKeyPairsResult], role="clc"):
    key_names: tuple[str, ...] = ()
    key_pair_ids: tuple[str, ...] = ()
    include_public_key: bool = False
    filters: tuple[Filter, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class DeleteKeyPairResult:
    return_: bool = True
    key_pair_id: str | None = None


@dataclass(frozen=True)
class DeleteKeyPair(Op[DeleteKeyPairResult], role="clc"):
    """An absent key is no error, as on AWS."""

    key_name: str | None = None
    key_pair_id: str | None = None
    dry_run: bool = False
