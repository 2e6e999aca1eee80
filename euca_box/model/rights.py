"""What an identity may: its policies, and the answer for who asks. Pure.

Source: IAM user guide, "Policy evaluation logic". The root of an account may everything in it. A user or
a role may what its policies allow. Policies of a session narrow that, and a federated user without any
may nothing. A Deny anywhere is the end of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from euca_box.model.accounts import Principal, PrincipalKind, arn
from euca_box.model.policies import Asker, Decision, Policy, PolicyError, Question, parse_policy
from euca_box.model.policy_text import Context


@dataclass(frozen=True, slots=True)
class Grants:
    """Which policies every identity has: id (AIDA..., AROA...) -> places in `documents`."""

    documents: tuple[str, ...] = field(default=(), repr=False)
    held: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)

    def of(self, identity: str) -> tuple[Policy, ...]:
        return tuple(read(self.documents[place]) for place in self.held.get(identity, ()))


def grants_of(held: Mapping[str, Iterable[str]]) -> Grants:
    """From id -> documents. A document that many have is there once."""
    places: dict[str, int] = {}
    found = {
        identity: tuple(places.setdefault(text, len(places)) for text in dict.fromkeys(texts))
        for identity, texts in held.items()
    }
    return Grants(tuple(places), found)


_DENY_ALL = parse_policy(
    '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}', of_resource=False
)


@lru_cache(maxsize=4096)
def read(document: str) -> Policy:
    """A document that was checked when it came. One that this version cannot read denies everything."""
    try:
        return parse_policy(document, of_resource=False)
    except PolicyError:
        return _DENY_ALL


def decide(policies: Iterable[Policy], question: Question) -> Decision:
    """Of several policies: a Deny of one beats the Allow of another."""
    decisions = {policy.decide(question) for policy in policies}
    if Decision.DENY in decisions:
        return Decision.DENY
    return Decision.ALLOW if Decision.ALLOW in decisions else Decision.NOTHING


def rights(principal: Principal, grants: Grants, question: Question) -> Decision:
    """What the identity's own policies say."""
    if principal.is_unlimited:
        return Decision.ALLOW
    own = Decision.ALLOW if principal.root else decide(grants.of(principal.identity), question)
    if principal.kind is not PrincipalKind.FEDERATED and not principal.session_policies:
        return own
    session = decide(map(read, principal.session_policies), question)
    if Decision.DENY in (own, session):
        return Decision.DENY
    return Decision.ALLOW if own is session is Decision.ALLOW else Decision.NOTHING


def asker(principal: Principal) -> Asker:
    of_role = principal.kind is PrincipalKind.ROLE
    role_arn = principal_arn(principal) if of_role else ""
    return Asker(principal.account, arn(principal), principal.canonical_id, role_arn=role_arn)


def identity_context(principal: Principal) -> Context:
    """The condition keys that say who asks (IAM user guide, "AWS global condition context keys")."""
    kind = "Account" if principal.root and principal.kind is PrincipalKind.USER else ""
    words = {PrincipalKind.ROLE: "AssumedRole", PrincipalKind.FEDERATED: "FederatedUser"}
    context: dict[str, tuple[str, ...]] = {
        "aws:principaltype": (kind or words.get(principal.kind, "User"),),
        "aws:userid": (principal.user_id,),
        "aws:principalaccount": (principal.account,),
        "aws:principalarn": (principal_arn(principal),),
    }
    if principal.kind is PrincipalKind.USER:
        context["aws:username"] = (principal.user,)
    return context


def principal_arn(principal: Principal) -> str:
    """Of a role's session that is the role's (the same page, aws:PrincipalArn)."""
    if principal.kind is PrincipalKind.ROLE:
        return f"arn:aws:iam::{principal.account}:role{principal.path}{principal.user}"
    return arn(principal)
