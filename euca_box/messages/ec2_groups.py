"""EC2 actions on security groups (EC2 2016-11-15), with the flat rule form of 2009-04-04."""

from dataclasses import dataclass

from euca_box.messages.base import Op
from euca_box.messages.ec2_common import Filter, Tag, TagSpecification


@dataclass(frozen=True)
class UserIdGroupPair:
    group_id: str | None = None
    group_name: str | None = None
    user_id: str | None = None
    vpc_id: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class IpRange:
    cidr_ip: str
    description: str | None = None


@dataclass(frozen=True)
class Ipv6Range:
    cidr_ipv6: str
    description: str | None = None


@dataclass(frozen=True)
class IpPermission:
    ip_protocol: str
    from_port: int | None = None
    to_port: int | None = None
    user_id_group_pairs: tuple[UserIdGroupPair, ...] = ()
    ip_ranges: tuple[IpRange, ...] = ()
    ipv6_ranges: tuple[Ipv6Range, ...] = ()


@dataclass(frozen=True)
class SecurityGroup:
    group_id: str
    group_name: str
    description: str
    owner_id: str
    vpc_id: str
    ip_permissions: tuple[IpPermission, ...] = ()
    ip_permissions_egress: tuple[IpPermission, ...] = ()
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class CreateSecurityGroupResult:
    group_id: str
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class CreateSecurityGroup(Op[CreateSecurityGroupResult], role="clc"):
    group_name: str
    description: str
    vpc_id: str | None = None
    tag_specifications: tuple[TagSpecification, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class DeleteSecurityGroupResult:
    return_: bool = True
    group_id: str | None = None


@dataclass(frozen=True)
class DeleteSecurityGroup(Op[DeleteSecurityGroupResult], role="clc"):
    group_id: str | None = None
    group_name: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeSecurityGroupsResult:
    security_groups: tuple[SecurityGroup, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeSecurityGroups(Op[DescribeSecurityGroupsResult], role="clc"):
    group_ids: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class ReferencedSecurityGroup:
    group_id: str
    user_id: str


@dataclass(frozen=True)
class SecurityGroupRule:
    security_group_rule_id: str
    group_id: str
    group_owner_id: str
    is_egress: bool
    ip_protocol: str
    from_port: int
    to_port: int
    cidr_ipv4: str | None = None
    referenced_group_info: ReferencedSecurityGroup | None = None
    description: str | None = None
    security_group_rule_arn: str | None = None


@dataclass(frozen=True)
class AuthorizeSecurityGroupIngressResult:
    return_: bool = True
    security_group_rules: tuple[SecurityGroupRule, ...] = ()


@dataclass(frozen=True)
class RevokedSecurityGroupRule:
    security_group_rule_id: str
    group_id: str
    is_egress: bool
    ip_protocol: str
    from_port: int
    to_port: int
    cidr_ipv4: str | None = None
    referenced_group_id: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class AuthorizeSecurityGroupIngress(Op[AuthorizeSecurityGroupIngressResult], role="clc"):
    """Let traffic in: by `ip_permissions`, or by the flat fields that clients before 2010 send."""

    group_id: str | None = None
    group_name: str | None = None
    ip_permissions: tuple[IpPermission, ...] = ()
    ip_protocol: str | None = None
    from_port: int | None = None
    to_port: int | None = None
    cidr_ip: str | None = None
    source_security_group_name: str | None = None
    source_security_group_owner_id: str | None = None
    user_id: str | None = None
    tag_specifications: tuple[TagSpecification, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class RevokeSecurityGroupIngressResult:
    return_: bool = True
    revoked_security_group_rules: tuple[RevokedSecurityGroupRule, ...] = ()


@dataclass(frozen=True)
class RevokeSecurityGroupIngress(Op[RevokeSecurityGroupIngressResult], role="clc"):
    """Established connections stay, as on AWS; new ones are refused at once."""

    group_id: str | None = None
    group_name: str | None = None
    ip_permissions: tuple[IpPermission, ...] = ()
    security_group_rule_ids: tuple[str, ...] = ()
    ip_protocol: str | None = None
    from_port: int | None = None
    to_port: int | None = None
    cidr_ip: str | None = None
    source_security_group_name: str | None = None
    source_security_group_owner_id: str | None = None
    user_id: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class AuthorizeSecurityGroupEgressResult:
    return_: bool = True
    security_group_rules: tuple[SecurityGroupRule, ...] = ()


@dataclass(frozen=True)
class AuthorizeSecurityGroupEgress(Op[AuthorizeSecurityGroupEgressResult], role="clc"):
    """Let traffic out. There is no flat form: egress rules are younger than it."""

    group_id: str
    ip_permissions: tuple[IpPermission, ...] = ()
    tag_specifications: tuple[TagSpecification, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class RevokeSecurityGroupEgressResult:
    return_: bool = True
    revoked_security_group_rules: tuple[RevokedSecurityGroupRule, ...] = ()


@dataclass(frozen=True)
class RevokeSecurityGroupEgress(Op[RevokeSecurityGroupEgressResult], role="clc"):
    """A group without egress rules lets nothing out; established connections stay."""

    group_id: str
    ip_permissions: tuple[IpPermission, ...] = ()
    security_group_rule_ids: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeSecurityGroupRulesResult:
    security_group_rules: tuple[SecurityGroupRule, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeSecurityGroupRules(Op[DescribeSecurityGroupRulesResult], role="clc"):
    security_group_rule_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class SecurityGroupRuleDescription:
    security_group_rule_id: str
    description: str | None = None


@dataclass(frozen=True)
class UpdateSecurityGroupRuleDescriptionsResult:
    return_: bool = True


@dataclass(frozen=True)
class UpdateSecurityGroupRuleDescriptionsIngress(Op[UpdateSecurityGroupRuleDescriptionsResult], role="clc"):
    """Rules are named by what they allow, or by id; one without a new description loses its old one."""

    group_id: str | None = None
    group_name: str | None = None
    ip_permissions: tuple[IpPermission, ...] = ()
    security_group_rule_descriptions: tuple[SecurityGroupRuleDescription, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class UpdateSecurityGroupRuleDescriptionsEgress(Op[UpdateSecurityGroupRuleDescriptionsResult], role="clc"):
    group_id: str | None = None
    group_name: str | None = None
    ip_permissions: tuple[IpPermission, ...] = ()
    security_group_rule_descriptions: tuple[SecurityGroupRuleDescription, ...] = ()
    dry_run: bool = False
