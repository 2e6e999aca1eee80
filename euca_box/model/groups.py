"""What a security group is (EC2 2016-11-15 SecurityGroup), as the CLC keeps it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GroupRule:
    """One permission with exactly one source: a CIDR, or a group of an account.

    For icmp `from_port` is the type and `to_port` the code; -1 is any.
    """

    rule_id: str
    protocol: str
    from_port: int
    to_port: int
    cidr: str | None = None
    group_id: str | None = None
    group_account: str | None = None
    description: str | None = None

    @property
    def same_as(self) -> tuple[str, int, int, str | None, str | None]:
        """What makes two rules the same: everything but id and description."""
        return (self.protocol, self.from_port, self.to_port, self.cidr, self.group_id)


@dataclass(frozen=True)
class SecurityGroup:
    group_id: str
    account: str
    name: str
    description: str
    ingress: tuple[GroupRule, ...] = ()
    egress: tuple[GroupRule, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


DEFAULT = "default"
ANYWHERE = "0.0.0.0/0"
ALLOW_ALL_RULE = ("-1", -1, -1, ANYWHERE)
