"""IAM 2010-05-08: managed policies and their versions.

Names, and which members are optional, are those of the API reference.
"""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op
from euca_box.messages.iam_users import Tag
from euca_box.messages.moments import Moment


@dataclass(frozen=True)
class Policy:
    policy_name: str | None = None
    policy_id: str | None = None
    arn: str | None = None
    path: str | None = None
    default_version_id: str | None = None
    attachment_count: int | None = None
    permissions_boundary_usage_count: int | None = None
    is_attachable: bool | None = None
    description: str | None = None
    create_date: Moment | None = None
    update_date: Moment | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class CreatePolicyResult:
    policy: Policy | None = None


@dataclass(frozen=True)
class CreatePolicy(Op[CreatePolicyResult], role="clc", mutates=True):
    policy_name: str
    policy_document: str
    path: str | None = None
    description: str | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class GetPolicyResult:
    policy: Policy | None = None


@dataclass(frozen=True)
class GetPolicy(Op[GetPolicyResult], role="clc"):
    policy_arn: str


@dataclass(frozen=True)
class ListPoliciesResult:
    policies: tuple[Policy, ...] = ()
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListPolicies(Op[ListPoliciesResult], role="clc"):
    scope: str | None = None
    only_attached: bool | None = None
    path_prefix: str | None = None
    policy_usage_filter: str | None = None
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class DeletePolicy(Op[Done], role="clc", mutates=True):
    policy_arn: str


@dataclass(frozen=True)
class PolicyVersion:
    document: str | None = None
    version_id: str | None = None
    is_default_version: bool | None = None
    create_date: Moment | None = None


@dataclass(frozen=True)
class CreatePolicyVersionResult:
    policy_version: PolicyVersion | None = None


@dataclass(frozen=True)
class CreatePolicyVersion(Op[CreatePolicyVersionResult], role="clc", mutates=True):
    policy_arn: str
    policy_document: str
    set_as_default: bool | None = None


@dataclass(frozen=True)
class GetPolicyVersionResult:
    policy_version: PolicyVersion | None = None


@dataclass(frozen=True)
class GetPolicyVersion(Op[GetPolicyVersionResult], role="clc"):
    policy_arn: str
    version_id: str


@dataclass(frozen=True)
class ListPolicyVersionsResult:
    versions: tuple[PolicyVersion, ...] = ()
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListPolicyVersions(Op[ListPolicyVersionsResult], role="clc"):
    policy_arn: str
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class SetDefaultPolicyVersion(Op[Done], role="clc", mutates=True):
    policy_arn: str
    version_id: str


@dataclass(frozen=True)
class DeletePolicyVersion(Op[Done], role="clc", mutates=True):
    policy_arn: str
    version_id: str


@dataclass(frozen=True)
class PolicyGroup:
    group_name: str | None = None
    group_id: str | None = None


@dataclass(frozen=True)
class PolicyUser:
    user_name: str | None = None
    user_id: str | None = None


@dataclass(frozen=True)
class PolicyRole:
    role_name: str | None = None
    role_id: str | None = None


@dataclass(frozen=True)
class ListEntitiesForPolicyResult:
    policy_groups: tuple[PolicyGroup, ...] = ()
    policy_users: tuple[PolicyUser, ...] = ()
    policy_roles: tuple[PolicyRole, ...] = ()
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListEntitiesForPolicy(Op[ListEntitiesForPolicyResult], role="clc"):
    policy_arn: str
    entity_filter: str | None = None
    path_prefix: str | None = None
    policy_usage_filter: str | None = None
    marker: str | None = None
    max_items: int | None = None
