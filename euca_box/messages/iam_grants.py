"""IAM 2010-05-08: what policies users, groups and roles have: attached and inline.

Names, and which members are optional, are those of the API reference.
"""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op


@dataclass(frozen=True)
class AttachUserPolicy(Op[Done], role="clc", mutates=True):
    user_name: str
    policy_arn: str


@dataclass(frozen=True)
class DetachUserPolicy(Op[Done], role="clc", mutates=True):
    user_name: str
    policy_arn: str


@dataclass(frozen=True)
class AttachedPolicy:
    policy_name: str | None = None
    policy_arn: str | None = None


@dataclass(frozen=True)
class ListAttachedUserPoliciesResult:
    attached_policies: tuple[AttachedPolicy, ...] = ()
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListAttachedUserPolicies(Op[ListAttachedUserPoliciesResult], role="clc"):
    user_name: str
    path_prefix: str | None = None
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class AttachGroupPolicy(Op[Done], role="clc", mutates=True):
    group_name: str
    policy_arn: str


@dataclass(frozen=True)
class DetachGroupPolicy(Op[Done], role="clc", mutates=True):
    group_name: str
    policy_arn: str


@dataclass(frozen=True)
class ListAttachedGroupPoliciesResult:
    attached_policies: tuple[AttachedPolicy, ...] = ()
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListAttachedGroupPolicies(Op[ListAttachedGroupPoliciesResult], role="clc"):
    group_name: str
    path_prefix: str | None = None
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class AttachRolePolicy(Op[Done], role="clc", mutates=True):
    role_name: str
    policy_arn: str


@dataclass(frozen=True)
class DetachRolePolicy(Op[Done], role="clc", mutates=True):
    role_name: str
    policy_arn: str


@dataclass(frozen=True)
class ListAttachedRolePoliciesResult:
    attached_policies: tuple[AttachedPolicy, ...] = ()
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListAttachedRolePolicies(Op[ListAttachedRolePoliciesResult], role="clc"):
    role_name: str
    path_prefix: str | None = None
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class PutUserPolicy(Op[Done], role="clc", mutates=True):
    user_name: str
    policy_name: str
    policy_document: str


@dataclass(frozen=True)
class GetUserPolicyResult:
    user_name: str
    policy_name: str
    policy_document: str


@dataclass(frozen=True)
class GetUserPolicy(Op[GetUserPolicyResult], role="clc"):
    user_name: str
    policy_name: str


@dataclass(frozen=True)
class DeleteUserPolicy(Op[Done], role="clc", mutates=True):
    user_name: str
    policy_name: str


@dataclass(frozen=True)
class ListUserPoliciesResult:
    policy_names: tuple[str, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListUserPolicies(Op[ListUserPoliciesResult], role="clc"):
    user_name: str
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class PutGroupPolicy(Op[Done], role="clc", mutates=True):
    group_name: str
    policy_name: str
    policy_document: str


@dataclass(frozen=True)
class GetGroupPolicyResult:
    group_name: str
    policy_name: str
    policy_document: str


@dataclass(frozen=True)
class GetGroupPolicy(Op[GetGroupPolicyResult], role="clc"):
    group_name: str
    policy_name: str


@dataclass(frozen=True)
class DeleteGroupPolicy(Op[Done], role="clc", mutates=True):
    group_name: str
    policy_name: str


@dataclass(frozen=True)
class ListGroupPoliciesResult:
    policy_names: tuple[str, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListGroupPolicies(Op[ListGroupPoliciesResult], role="clc"):
    group_name: str
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class PutRolePolicy(Op[Done], role="clc", mutates=True):
    role_name: str
    policy_name: str
    policy_document: str


@dataclass(frozen=True)
class GetRolePolicyResult:
    role_name: str
    policy_name: str
    policy_document: str


@dataclass(frozen=True)
class GetRolePolicy(Op[GetRolePolicyResult], role="clc"):
    role_name: str
    policy_name: str


@dataclass(frozen=True)
class DeleteRolePolicy(Op[Done], role="clc", mutates=True):
    role_name: str
    policy_name: str


@dataclass(frozen=True)
class ListRolePoliciesResult:
    policy_names: tuple[str, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListRolePolicies(Op[ListRolePoliciesResult], role="clc"):
    role_name: str
    marker: str | None = None
    max_items: int | None = None
