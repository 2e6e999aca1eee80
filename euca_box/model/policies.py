"""Policies: who may do what to which resource, under which conditions; read, checked, decided. Pure.

Source: IAM user guide, "IAM JSON policy reference" and "Policy evaluation logic". A policy decides
three ways: it denies, it allows, or it says nothing, and then others decide.
"""

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from euca_box.model.policy_conditions import Condition, parse_conditions
from euca_box.model.policy_text import Context, Pattern, parse_pattern

NEWEST_VERSION = "2012-10-17"
MOST_SINGLE_WILDCARDS = 200  # each is looked at once for each character of a key
_FIELDS = ("Principal", "Action", "Resource")
_STATEMENT = {"Sid", "Effect", "Condition", *_FIELDS, *(f"Not{name}" for name in _FIELDS)}
_PRINCIPAL_ARN = re.compile(r"arn:aws(?:-[a-z-]+)?:(?:iam|sts)::([^:\s]+):(root|[a-z-]+/[^\s]+)")
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_USER_ID = re.compile(r"A[A-Z0-9]{15,127}", re.ASCII)
_ANYONE = "*"


class Decision(enum.Enum):
    DENY = "deny"
    ALLOW = "allow"
    NOTHING = "nothing"


class PolicyError(ValueError):
    """The document is no policy; the text says why, as AWS does."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as policies name it. All empty: nobody who is known. `role_arn`: of a role's session."""

    account: str = ""
    arn: str = ""
    canonical_id: str = ""
    service: str = ""
    role_arn: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """May `asker` do `action` (s3:GetObject) to `resource` (an ARN)? `context`: keys in lower case."""

    asker: Asker
    action: str
    resource: str
    context: Context


@dataclass(frozen=True, slots=True)
class Statement:
    effect: Decision
    action_names: tuple[str, ...]
    resource_names: tuple[str, ...]
    actions: tuple[Pattern, ...]
    resources: tuple[Pattern, ...]
    principals: tuple[tuple[str, str], ...]  # kind (AWS, CanonicalUser, ...) and name
    conditions: tuple[Condition, ...]
    not_actions: bool = False
    not_resources: bool = False
    not_principals: bool = False
    sid: str = ""

    def applies(self, question: Question) -> bool:
        action, context = question.action.casefold(), question.context
        return (
            any(p.matches(action, context) for p in self.actions) != self.not_actions
            and any(p.matches(question.resource, context) for p in self.resources) != self.not_resources
            and self.names(question.asker)
            and all(condition.holds(context) for condition in self.conditions)
        )

    def names(self, asker: Asker) -> bool:
        if not self.principals:
            return True  # a policy of an identity: it is whose it is
        return any(_is_meant(kind, name, asker) for kind, name in self.principals) != self.not_principals

    def is_direct(self, asker: Asker) -> bool:
        names = {name for kind, name in self.principals if kind == "AWS"}
        return bool(names & {_ANYONE, asker.arn, asker.role_arn or asker.arn})

    @property
    def is_public(self) -> bool:
        """S3 user guide, "The meaning of public": anybody may, and no fixed value narrows it."""
        if self.effect is not Decision.ALLOW:
            return False
        anybody = self.not_principals or any(name == _ANYONE for _, name in self.principals)
        return anybody and not any(c.key in _NARROWING and c.is_fixed for c in self.conditions)


_NARROWING = {
    "aws:sourceip",
    "aws:sourcearn",
    "aws:sourceaccount",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:sourceowner",
    "aws:sourceorgid",
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:userid",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:dataaccesspointarn",
    "s3:dataaccesspointaccount",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """`text` is the document as it was given."""

    text: str
    statements: tuple[Statement, ...]

    def decide(self, question: Question) -> Decision:
        """An explicit Deny beats every Allow."""
        decision = Decision.NOTHING
        for statement in self.statements:
            if statement.effect is decision or not statement.applies(question):
                continue
            if statement.effect is Decision.DENY:
                return Decision.DENY
            decision = Decision.ALLOW
        return decision

    def condition_keys(self) -> frozenset[str]:
        """The condition keys that it asks for, in lower case."""
        return frozenset(c.key for statement in self.statements for c in statement.conditions)

    def names_user(self, question: Question) -> bool:
        """Does an Allow name the user itself, or everybody, and not only its account?

        Then a user needs no policy of its own (IAM user guide, "Policy evaluation for requests within a
        single account"); an Allow for the account only lets the account give it on.
        """
        return any(
            statement.effect is Decision.ALLOW
            and statement.applies(question)
            and statement.is_direct(question.asker)
            for statement in self.statements
        )

    @property
    def is_public(self) -> bool:
        return any(statement.is_public for statement in self.statements)


def parse_policy(text: str, *, of_resource: bool) -> Policy:
    """A policy document; one of a resource says for whom it is, one of an identity does not.

    Raises PolicyError.
    """
    if text.count("?") + text.lower().count("\\u003f") > MOST_SINGLE_WILDCARDS:
        raise PolicyError(f"A policy has at most {MOST_SINGLE_WILDCARDS} question marks.")
    document = _object(_json(text), "Policies must be valid JSON and the first byte must be '{'")
    if unknown := set(document) - {"Version", "Id", "Statement"}:
        raise PolicyError(f"Unknown field {min(unknown)}")
    version = document.get("Version", "2008-10-17")
    if version not in ("2008-10-17", NEWEST_VERSION):
        raise PolicyError("The policy must contain a valid version string")
    if not isinstance(document.get("Id", ""), str):
        raise PolicyError("Invalid Id")
    given = document.get("Statement")
    given = given if isinstance(given, list) else [given]
    if not given or given == [None]:
        raise PolicyError("Missing required field Statement")
    reader = _Reader(variables=version == NEWEST_VERSION, of_resource=of_resource)
    statements = tuple(reader.statement(item) for item in given)
    sids = [statement.sid for statement in statements if statement.sid]
    if len(sids) != len(set(sids)):
        raise PolicyError("Statement IDs (SID) in a single policy must be unique.")
    return Policy(text, statements)


def parse_trust(text: str) -> Policy:
    """The policy of a role that says who may put it on: principals, and no resource but the role itself.

    Raises PolicyError.
    """
    document = _object(_json(text), "Policies must be valid JSON and the first byte must be '{'")
    given = document.get("Statement")
    statements = given if isinstance(given, list) else [given]
    if any(isinstance(item, dict) and {"Resource", "NotResource"} & set(item) for item in statements):
        raise PolicyError("Has prohibited field Resource")
    with_resource = [{**item, "Resource": "*"} if isinstance(item, dict) else item for item in statements]
    policy = parse_policy(json.dumps({**document, "Statement": with_resource}), of_resource=True)
    names = (name.lower() for statement in policy.statements for name in statement.action_names)
    if not all(name.startswith("sts:") for name in names):
        raise PolicyError("AssumeRole policy may only specify STS AssumeRole actions.")
    return policy


def _json(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise PolicyError("Duplicate field in the policy")
        return dict(pairs)

    try:
        if not text.lstrip().startswith("{"):
            raise ValueError
        return json.loads(text, object_pairs_hook=unique)
    except PolicyError:
        raise
    except (ValueError, RecursionError):
        raise PolicyError("Policies must be valid JSON and the first byte must be '{'") from None


def _object(value: Any, message: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError(message)
    return value


def _strings(value: Any, what: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(item, str) and item for item in values):
        raise PolicyError(f"Policy has invalid {what}")
    return values


@dataclass(frozen=True, slots=True)
class _Reader:
    variables: bool
    of_resource: bool

    def statement(self, value: Any) -> Statement:
        given = _object(value, "Invalid policy syntax.")
        if unknown := set(given) - _STATEMENT:
            raise PolicyError(f"Unknown field {min(unknown)}")
        if given.get("Effect") not in ("Allow", "Deny"):
            raise PolicyError(f"Invalid effect: {given.get('Effect', '')}"[:200])
        if not isinstance(given.get("Sid", ""), str):
            raise PolicyError("Invalid Sid")
        actions, not_actions = _one_of(given, "Action")
        resources, not_resources = _one_of(given, "Resource")
        principals, not_principals = self._principals(given)
        if not_principals and given["Effect"] == "Allow":
            raise PolicyError("Allow with NotPrincipal is not allowed.")
        return Statement(
            Decision.ALLOW if given["Effect"] == "Allow" else Decision.DENY,
            tuple(names := _strings(actions, "action")),
            tuple(arns := _strings(resources, "resource")),
            tuple(_action(name) for name in names),
            tuple(self._resource(name) for name in arns),
            principals,
            self._conditions(given.get("Condition", {})),
            not_actions,
            not_resources,
            not_principals,
            given.get("Sid", ""),
        )

    def _resource(self, name: str) -> Pattern:
        if name != "*" and not re.fullmatch(r"arn:[^:\s]+:[^:\s]+:[^:]*:[^:]*:.+", name, re.DOTALL):
            raise PolicyError("Policy has invalid resource")
        try:
            return parse_pattern(name, variables=self.variables)
        except ValueError as error:
            raise PolicyError(str(error)) from None

    def _principals(self, given: Mapping[str, Any]) -> tuple[tuple[tuple[str, str], ...], bool]:
        if not self.of_resource:
            if "Principal" in given or "NotPrincipal" in given:
                raise PolicyError("Policy document should not specify a principal.")
            return (), False
        value, negated = _one_of(given, "Principal")
        if value == _ANYONE:
            return (("AWS", _ANYONE),), negated
        named = _object(value, "Invalid policy syntax.")
        principals = tuple(
            (kind, _principal(kind, name))
            for kind, names in named.items()
            for name in _strings(names, "principal")
        )
        if not principals:
            raise PolicyError("Invalid principal in policy")
        return principals, negated

    def _conditions(self, value: Any) -> tuple[Condition, ...]:
        conditions = []
        for operator, keys in _object(value, "Invalid Condition").items():
            for key, values in _object(keys, "Invalid Condition").items():
                texts = [_text(v) for v in (values if isinstance(values, list) else [values])]
                try:
                    conditions.append(parse_conditions(operator, key, texts, variables=self.variables))
                except ValueError as error:
                    raise PolicyError(str(error)) from None
        return tuple(conditions)


def _text(value: Any) -> str:
    """A value of a condition; JSON's own numbers and booleans are taken for their texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise PolicyError("Policy has an invalid condition value")


def _one_of(given: Mapping[str, Any], name: str) -> tuple[Any, bool]:
    """The element or its Not-form, and whether it is that."""
    if (name in given) == (f"Not{name}" in given):
        raise PolicyError(f"Missing required field {name}" if name not in given else "Invalid policy syntax.")
    return (given[name], False) if name in given else (given[f"Not{name}"], True)


def _action(name: str) -> Pattern:
    if name != "*" and not re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9*?]+", name, re.IGNORECASE | re.ASCII):
        raise PolicyError("Policy has invalid action")
    return parse_pattern(name, variables=False, ignore_case=True)


def _principal(kind: str, name: str) -> str:
    if kind not in ("AWS", "CanonicalUser", "Federated", "Service"):
        raise PolicyError("Invalid principal in policy")
    if name == _ANYONE and kind == "AWS":
        return name
    if "*" in name:
        raise PolicyError("Invalid principal in policy")
    known = _ACCOUNT.fullmatch(name) or _PRINCIPAL_ARN.fullmatch(name) or _USER_ID.fullmatch(name)
    if kind == "AWS" and not known:
        raise PolicyError("Invalid principal in policy")
    return name


def _is_meant(kind: str, name: str, asker: Asker) -> bool:
    if name == _ANYONE:
        return True
    if kind == "CanonicalUser":
        return name == asker.canonical_id
    if kind == "Service":
        return name == asker.service
    if kind != "AWS" or not asker.account:
        return False
    match = _PRINCIPAL_ARN.fullmatch(name)
    if match is not None and match[2] != "root":
        return name in (asker.arn, asker.role_arn)
    return (match[1] if match else name) == asker.account
