"""EC2 actions on the instance profiles of instances (EC2 2016-11-15)."""

from dataclasses import dataclass
from datetime import datetime

from euca_box.messages.base import Op
from euca_box.messages.ec2_common import Filter
from euca_box.messages.ec2_instances import IamInstanceProfile, IamInstanceProfileSpecification


@dataclass(frozen=True)
class IamInstanceProfileAssociation:
    """`state` is associating until the instance's node knows of it, then associated; disassociating."""

    association_id: str
    instance_id: str
    iam_instance_profile: IamInstanceProfile
    state: str
    timestamp: datetime


@dataclass(frozen=True)
class AssociateIamInstanceProfileResult:
    iam_instance_profile_association: IamInstanceProfileAssociation


@dataclass(frozen=True)
class AssociateIamInstanceProfile(Op[AssociateIamInstanceProfileResult], role="clc"):
    """An instance has one profile at most."""

    iam_instance_profile: IamInstanceProfileSpecification
    instance_id: str


@dataclass(frozen=True)
class DisassociateIamInstanceProfileResult:
    iam_instance_profile_association: IamInstanceProfileAssociation


@dataclass(frozen=True)
class DisassociateIamInstanceProfile(Op[DisassociateIamInstanceProfileResult], role="clc"):
    """The credentials that the instance has already hold until their time is over, as on AWS."""

    association_id: str


@dataclass(frozen=True)
class ReplaceIamInstanceProfileAssociationResult:
    iam_instance_profile_association: IamInstanceProfileAssociation


@dataclass(frozen=True)
class ReplaceIamInstanceProfileAssociation(Op[ReplaceIamInstanceProfileAssociationResult], role="clc"):
    iam_instance_profile: IamInstanceProfileSpecification
    association_id: str


@dataclass(frozen=True)
class DescribeIamInstanceProfileAssociationsResult:
    iam_instance_profile_associations: tuple[IamInstanceProfileAssociation, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeIamInstanceProfileAssociations(Op[DescribeIamInstanceProfileAssociationsResult], role="clc"):
    association_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
