"""What policies would decide, without doing it. IAM API reference 2010-05-08, SimulatePrincipalPolicy."""

import re
from itertools import product
from typing import TYPE_CHECKING

from euca_box.messages import iam_simulation as iam
from euca_box.messages.base import Call
from euca_box.model.accounts import Principal, PrincipalKind
from euca_box.model.errors import ValidationError
from euca_box.model.iam_errors import InvalidInput, NothingThere
from euca_box.model.policies import Decision, Policy, PolicyError, Question, parse_policy
from euca_box.model.policy_text import Context
from euca_box.model.rights import asker, decide, identity_context
from euca_box.roles.clc import rights, users
from euca_box.roles.clc.identities import account_of, cut
from euca_box.store.store import one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

MOST_QUESTIONS = 1000
_WORDS = {
    Decision.ALLOW: "allowed",
    Decision.DENY: "explicitDeny",
    Decision.NOTHING: "implicitDeny",
}
_SOURCE = re.compile(r"arn:aws:iam::(\d{12}):(user|group|role)(/|/.+/)([^/]+)")
_TABLES = {"user": "user", "group": "iam_group", "role": "iam_role"}
_ACTION = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9*?]+|\*")

Results = tuple[tuple[iam.EvaluationResult, ...], str | None]


async def simulate_principal_policy(
    clc: "Clc", call: Call, op: iam.SimulatePrincipalPolicy
) -> iam.SimulatePrincipalPolicyResult:
    """Of a user (with its groups), group or role. Raises NoSuchEntity, InvalidInput, ValidationError."""
    who, identity = await _source(clc, call, op.policy_source_arn)
    texts = (await rights.held(clc)).get(identity, [])
    policies = [*map(_parsed, texts), *map(_parsed, op.policy_input_list)]
    found, marker = _evaluated(op, policies, who)
    return iam.SimulatePrincipalPolicyResult(found, marker is not None, marker)


async def simulate_custom_policy(
    clc: "Clc", call: Call, op: iam.SimulateCustomPolicy
) -> iam.SimulateCustomPolicyResult:
    policies = [_parsed(text) for text in op.policy_input_list]
    found, marker = _evaluated(op, policies, call.principal)
    return iam.SimulateCustomPolicyResult(found, marker is not None, marker)


async def _source(clc: "Clc", call: Call, arn: str) -> tuple[Principal, str]:
    """Whose policies, as who would ask."""
    match = _SOURCE.fullmatch(arn)
    if match is None:
        raise InvalidInput("Invalid Entity Arn: " + arn[:200])
    account = account_of(clc, call)
    table = _TABLES[match[2]]
    sql = f"SELECT * FROM {table} WHERE account = ? AND path = ? AND name = ?"  # noqa: S608
    row = one(await clc.store.read(sql, account, match[3], match[4])) if match[1] == account else None
    if row is None:
        raise NothingThere(f"The {match[2]} {arn[:200]} cannot be found.")
    if match[2] == "user":
        return users.principal_of(row), row["id"]
    kind = PrincipalKind.ROLE if match[2] == "role" else PrincipalKind.USER
    return Principal(account, row["name"], "", row["name"], root=False, kind=kind), row["id"]


def _parsed(text: str) -> Policy:
    try:
        return parse_policy(text, of_resource=False)
    except PolicyError as error:
        raise InvalidInput(str(error)) from None


def _evaluated(
    op: iam.SimulatePrincipalPolicy | iam.SimulateCustomPolicy, policies: list[Policy], who: Principal
) -> Results:
    resources = op.resource_arns or ("*",)
    if len(op.action_names) * len(resources) > MOST_QUESTIONS:
        raise InvalidInput(f"At most {MOST_QUESTIONS} pairs of action and resource can be simulated at once.")
    for name in op.action_names:
        if not _ACTION.fullmatch(name):
            raise ValidationError(f"The action {name[:128]!r} is none.")
    context: Context = {**identity_context(who), **_given(op.context_entries)}
    found = []
    for number, (action, resource) in enumerate(product(op.action_names, resources)):
        question = Question(asker(who), action, resource, context)
        decision = Decision.ALLOW if who.is_unlimited else decide(policies, question)
        missing = sorted({key for policy in policies for key in policy.condition_keys()} - set(context))
        result = iam.EvaluationResult(action, _WORDS[decision], resource, (), tuple(missing))
        found.append((f"{number:06}", result))
    shown, marker = cut(found, op, lambda pair: pair[0])
    return tuple(result for _, result in shown), marker


def _given(entries: tuple[iam.ContextEntry, ...]) -> Context:
    return {(e.context_key_name or "").lower(): e.context_key_values for e in entries}
