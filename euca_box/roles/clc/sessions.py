"""Temporary credentials: GetSessionToken, AssumeRole, GetFederationToken; the key that seals their tokens.

Source: STS API reference 2011-06-15.
"""

import os
import re
from typing import TYPE_CHECKING

from euca_box.auth import secrets, sessions
from euca_box.messages import sts
from euca_box.messages.base import Call
from euca_box.messages.moments import Moment
from euca_box.model import aws_policies
from euca_box.model.accounts import PrincipalKind, arn
from euca_box.model.errors import AccessDeniedByPolicy, ValidationError
from euca_box.model.iam_errors import MalformedPolicyDocument, NothingThere, PackedPolicyTooLarge
from euca_box.model.policies import Decision, PolicyError, Question, parse_policy, parse_trust
from euca_box.model.rights import asker, identity_context
from euca_box.store.store import Row, Statement, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

_META = "session_key"
SHORTEST_SECONDS, LONGEST_SECONDS = 900, 129_600  # GetSessionToken
_ROOTS_LONGEST_SECONDS = 3600  # the same: credentials of an account's root
_CHAINED_LONGEST_SECONDS = 3600  # IAM user guide, "Role chaining"
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
LONGEST_POLICIES, MOST_POLICIES = 2048, 10


async def get_session_token(clc: "Clc", call: Call, op: sts.GetSessionToken) -> sts.GetSessionTokenResult:
    """Credentials for some hours that may do what the caller may.

    Raises AccessDenied when the caller has temporary ones himself, or gives an MFA code (nobody has a
    device), ValidationError for a duration out of bounds.
    """
    parent = clc.keyring.find(call.access_key_id)
    if parent is None:
        raise AccessDeniedByPolicy("Cannot call GetSessionToken with session credentials")
    if op.serial_number or op.token_code:
        raise AccessDeniedByPolicy(
            "MultiFactorAuthentication failed, unable to validate MFA code. No user here has an MFA device."
        )
    seconds = _within(op.duration_seconds, LONGEST_SECONDS)
    if parent.principal.admin:
        seconds = min(seconds, _ROOTS_LONGEST_SECONDS)
    return sts.GetSessionTokenResult(issued(clc, parent.access_key_id, seconds))


async def get_federation_token(
    clc: "Clc", call: Call, op: sts.GetFederationToken
) -> sts.GetFederationTokenResult:
    """For somebody whom the caller knows and this cloud does not: what both the caller and the policies of
    the session allow; without policies nothing but what a bucket's policy gives."""
    parent = clc.keyring.find(call.access_key_id)
    if parent is None:
        raise AccessDeniedByPolicy("Cannot call GetFederationToken with session credentials")
    if not re.fullmatch(r"[\w+=,.@-]{2,32}", op.name, re.ASCII):
        raise ValidationError("Name has 2 to 32 letters, digits and +=,.@_-")
    seconds = _within(op.duration_seconds, LONGEST_SECONDS)
    if parent.principal.root:
        seconds = min(seconds, _ROOTS_LONGEST_SECONDS)
    policies = await _session_policies(clc, parent.principal.account, op.policy, op.policy_arns)
    made = issued(clc, parent.access_key_id, seconds, op.name, policies)
    account = parent.principal.account
    user = sts.FederatedUser(f"{account}:{op.name}", f"arn:aws:sts::{account}:federated-user/{op.name}")
    return sts.GetFederationTokenResult(made, user, _packed(policies))


async def assume_role(clc: "Clc", call: Call, op: sts.AssumeRole) -> sts.AssumeRoleResult:
    """Raises AccessDenied, also for a role that is not there; ValidationError."""
    if not _SESSION_NAME.fullmatch(op.role_session_name):
        raise ValidationError("RoleSessionName has 2 to 64 letters, digits and +=,.@_-")
    role = await _assumable(clc, call, op)
    longest = role["longest_seconds"]
    if call.principal.kind is PrincipalKind.ROLE:
        longest = min(longest, _CHAINED_LONGEST_SECONDS)
    seconds = 3600 if op.duration_seconds is None else op.duration_seconds
    if not SHORTEST_SECONDS <= seconds <= longest:
        raise ValidationError(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            if seconds > longest
            else f"DurationSeconds must be at least {SHORTEST_SECONDS}."
        )
    policies = await _session_policies(clc, role["account"], op.policy, op.policy_arns)
    made = issued(clc, role["id"], seconds, op.role_session_name, policies)
    user = sts.AssumedRoleUser(
        f"{role['id']}:{op.role_session_name}",
        f"arn:aws:sts::{role['account']}:assumed-role/{role['name']}/{op.role_session_name}",
    )
    return sts.AssumeRoleResult(made, user, _packed(policies))


async def _assumable(clc: "Clc", call: Call, op: sts.AssumeRole) -> Row:
    """The role, if its trust policy and the caller's own let it be put on. Raises AccessDenied."""
    refusal = AccessDeniedByPolicy(
        f"User: {arn(call.principal)} is not authorized to perform: sts:AssumeRole on resource: "
        f"{op.role_arn[:200]}"
    )
    match = re.fullmatch(r"arn:aws:iam::(\d{12}):role(/|/.+/)([^/]+)", op.role_arn)
    if match is None:
        raise ValidationError(f"{op.role_arn[:200]} is invalid")
    sql = "SELECT * FROM iam_role WHERE account = ? AND path = ? AND name = ?"
    role = one(await clc.store.read(sql, match[1], match[2], match[3]))
    if role is None:
        raise refusal
    who = call.principal
    context = {**identity_context(who), "sts:rolesessionname": (op.role_session_name,)}
    if op.external_id is not None:
        context["sts:externalid"] = (op.external_id,)
    if call.source_ip:
        context["aws:sourceip"] = (call.source_ip,)
    question = Question(asker(who), "sts:AssumeRole", op.role_arn, context)
    trust = parse_trust(role["trust"])
    if trust.decide(question) is not Decision.ALLOW:
        raise refusal
    # A trust policy that names the caller itself is enough within an account; one that names its account
    # leaves it to the caller's own policies, and so does every role of another account.
    direct = role["account"] == who.account and trust.names_user(question) and not who.session_policies
    own = clc.rights_of(who, question)
    if own is Decision.DENY or (own is Decision.NOTHING and not direct):
        raise refusal
    return role


async def get_access_key_info(clc: "Clc", call: Call, op: sts.GetAccessKeyInfo) -> sts.GetAccessKeyInfoResult:
    """The account of a key. Raises ValidationError for one that nobody has."""
    key = clc.keyring.find(op.access_key_id)
    if key is None:
        raise ValidationError("The access key is not known here.")
    return sts.GetAccessKeyInfoResult(key.principal.account)


def _within(seconds: int, longest: int) -> int:
    if not SHORTEST_SECONDS <= seconds <= longest:
        raise ValidationError(f"DurationSeconds must be from {SHORTEST_SECONDS} to {longest}, not {seconds}.")
    return seconds


async def _session_policies(
    clc: "Clc", account: str, policy: str | None, arns: tuple[sts.PolicyDescriptorType, ...]
) -> tuple[str, ...]:
    """Raises MalformedPolicyDocument, PackedPolicyTooLarge, NothingThere, ValidationError."""
    if len(arns) > MOST_POLICIES:
        raise ValidationError(f"A session takes at most {MOST_POLICIES} managed policies.")
    documents = [] if policy is None else [policy]
    documents += [await _document(clc, account, given.arn or "") for given in arns]
    if sum(map(len, documents)) > LONGEST_POLICIES:
        raise PackedPolicyTooLarge(f"The policies of a session have at most {LONGEST_POLICIES} characters.")
    for document in documents:
        try:
            parse_policy(document, of_resource=False)
        except PolicyError as error:
            raise MalformedPolicyDocument(str(error)) from None
    return tuple(documents)


async def _document(clc: "Clc", account: str, policy_arn: str) -> str:
    if (known := aws_policies.document_of(policy_arn)) is not None:
        return known
    row = one(
        await clc.store.read(
            "SELECT document FROM managed_policy JOIN policy_version "
            "ON policy_id = id AND version = default_version "
            "WHERE account = ? AND 'arn:aws:iam::' || account || ':policy' || path || name = ?",
            account, policy_arn,
        )
    )  # fmt: skip
    if row is None:
        raise NothingThere(f"Policy {policy_arn[:200]} was not found.")
    return str(row["document"])


def _packed(policies: tuple[str, ...]) -> int | None:
    """How full it is, in percent."""
    return sum(map(len, policies)) * 100 // LONGEST_POLICIES if policies else None


def issued(
    clc: "Clc", parent: str, seconds: int, session: str = "", policies: tuple[str, ...] = ()
) -> sts.Credentials:
    """`parent` is an access key id or the id of a role."""
    claim = sessions.Claim(
        secrets.new_access_key_id("ASIA"),
        secrets.new_secret(),
        parent,
        int(clc.now()) + seconds,
        session,
        policies,
    )
    token = sessions.new_token(clc.keyring.session_key, claim)
    return sts.Credentials(
        claim.access_key_id, claim.secret_access_key, token, Moment(float(claim.expires_at))
    )


async def session_key(clc: "Clc") -> bytes:
    """The key of this cloud, made at the first start and kept sealed."""
    fresh = clc.sealer.seal(os.urandom(sessions.KEY_BYTES).hex(), _META)
    await clc.store.write(
        Statement("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", (_META, fresh))
    )
    [row] = await clc.store.read("SELECT value FROM meta WHERE name = ?", _META)
    return bytes.fromhex(clc.sealer.open(row["value"], _META))
