"""May this caller do that? Asked at the desk of the cloud controller, before any operation of a user begins.

The root of an account may everything in it. What others may, their policies say: `ec2:RunInstances` on
`arn:aws:ec2:REGION:ACCOUNT:instance/*`, under conditions. Which resources an operation is about is in
`resources.py`. What the operator asks (`messages/admin.py`) is for administrators of the cloud only.

Source: service authorization reference; IAM user guide, "Policy evaluation logic".
"""

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from euca_box.messages import admin, components, sts
from euca_box.messages.base import Call, Op
from euca_box.model.accounts import Principal, PrincipalKind, arn
from euca_box.model.errors import AccessDeniedByPolicy, EucaError, UnauthorizedOperation
from euca_box.model.policies import Decision, Question
from euca_box.model.policy_text import Context
from euca_box.model.rights import asker, identity_context
from euca_box.roles.clc import iam_access_keys, resources

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

# STS API reference: no permission is needed to ask who one is, nor for a session with the own rights; who
# may put a role on is decided with its trust policy.
_FREE = (sts.GetCallerIdentity, sts.GetSessionToken, sts.AssumeRole, sts.GetAccessKeyInfo)
_ADMINISTRATION = (admin.__name__, components.__name__)


async def check(clc: "Clc", call: Call, op: Op[Any]) -> None:
    """Raises UnauthorizedOperation (EC2), AccessDeniedByPolicy (IAM, STS, administration)."""
    kind: Any = type(op)
    action = action_of(kind)
    if action is None:
        if kind.__module__ in _ADMINISTRATION and not call.admin:
            raise AccessDeniedByPolicy("This is for administrators of the cloud.")
        return
    iam_access_keys.note_use(clc, call, action.partition(":")[0])
    if call.principal.is_unlimited or isinstance(op, _FREE):
        return
    context = circumstances(clc, call)
    for resource in await resources.of(clc, call, op):
        verb = resource.action or action
        question = Question(asker(call.principal), verb, resource.arn, {**context, **resource.context})
        decision = clc.rights_of(call.principal, question)
        if decision is not Decision.ALLOW:
            raise _refusal(call.principal, verb, resource.arn, decision)


@functools.cache
def action_of(kind: Any) -> str | None:
    """`ec2:RunInstances`; None for what is no action of a service."""
    module = kind.__module__.rpartition(".")[2]
    service = module.partition("_")[0]
    return f"{service}:{kind.__name__}" if service in ("ec2", "iam", "sts") else None


def circumstances(clc: "Clc", call: Call) -> Context:
    """IAM user guide, "AWS global condition context keys"."""
    now = datetime.fromtimestamp(clc.now(), UTC)
    context = {
        **identity_context(call.principal),
        "aws:currenttime": (f"{now:%Y-%m-%dT%H:%M:%SZ}",),
        "aws:epochtime": (str(int(now.timestamp())),),
        "aws:securetransport": ("true" if call.secure else "false",),
        "aws:requestedregion": (clc.settings.region,),
        "ec2:region": (clc.settings.region,),
    }
    if call.source_ip:
        context["aws:sourceip"] = (call.source_ip,)
    if call.user_agent:
        context["aws:useragent"] = (call.user_agent,)
    return context


def _refusal(who: Principal, action: str, resource: str, decision: Decision) -> EucaError:
    why = (
        "with an explicit deny in a policy"
        if decision is Decision.DENY
        else f"because no {_kind_of(who)} policy allows the {action} action"
    )
    text = f"User: {arn(who)} is not authorized to perform: {action} on resource: {resource} {why}"
    if action.startswith("ec2:"):
        return UnauthorizedOperation(f"You are not authorized to perform this operation. {text}")
    return AccessDeniedByPolicy(text)


def _kind_of(who: Principal) -> str:
    narrowed = who.session_policies or who.kind is PrincipalKind.FEDERATED
    return "session" if narrowed else "identity-based"
