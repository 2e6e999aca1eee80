"""What identities may by their policies: a table of cases, each with what AWS's documentation says.

Source: IAM user guide, "IAM JSON policy elements reference" and "Policy evaluation logic".
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from euca_box.model.accounts import Principal, PrincipalKind, arn
from euca_box.model.policies import Decision, PolicyError, Question, parse_policy, parse_trust
from euca_box.model.rights import Grants, asker, grants_of, identity_context, rights

ACCOUNT = "111122223333"
USER = Principal(ACCOUNT, "bob", "b" * 64, "bob", identity="AIDABOB", root=False, path="/staff/")
ROOT = Principal(ACCOUNT, "alice", "a" * 64, "alice", identity="AIDAALICE")
ROLE = Principal(
    ACCOUNT, "job", "a" * 64, "alice", identity="AROAJOB", root=False, kind=PrincipalKind.ROLE, session="run1"
)
YES, NO, NEVER = Decision.ALLOW, Decision.NOTHING, Decision.DENY
I1 = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-00000001"
I2 = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-00000002"
OTHERS = "arn:aws:ec2:us-east-1:444455556666:instance/i-00000001"
OBJECT, BUCKET = "arn:aws:s3:::photos/2026/a.jpg", "arn:aws:s3:::photos"


def allow(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **_named(more)}


def deny(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **_named(more)}


def _named(more: dict[str, Any]) -> dict[str, Any]:
    return {"Condition": more["when"]} if "when" in more else {}


def but(effect: str, **elements: Any) -> dict[str, Any]:
    """A statement of exactly these elements."""
    return {"Effect": effect, **elements}


def document(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def decided(
    statements: list[Any],
    action: str,
    resource: str,
    context: dict[str, Any] | None = None,
    who: Principal = USER,
) -> Decision:
    grants = grants_of({USER.identity: [document(*statements)], ROLE.identity: [document(*statements)]})
    given = {key.lower(): (v,) if isinstance(v, str) else tuple(v) for key, v in (context or {}).items()}
    question = Question(asker(who), action, resource, {**identity_context(who), **given})
    return rights(who, grants, question)


# statements, action, resource, decision
PLAIN = [
    # one statement
    ([allow()], "ec2:RunInstances", I1, YES),
    ([allow()], "iam:CreateUser", "*", YES),
    ([deny()], "ec2:RunInstances", I1, NEVER),
    ([allow("ec2:*")], "ec2:RunInstances", I1, YES),
    ([allow("ec2:*")], "s3:GetObject", OBJECT, NO),
    ([allow("EC2:*")], "ec2:RunInstances", I1, YES),
    ([allow("ec2:runinstances")], "ec2:RunInstances", I1, YES),
    ([allow("ec2:RUNINSTANCES")], "ec2:RunInstances", I1, YES),
    ([allow("ec2:RunInstances")], "ec2:RunInstance", I1, NO),
    ([allow("ec2:RunInstance")], "ec2:RunInstances", I1, NO),
    ([allow("ec2:Run*")], "ec2:RunInstances", I1, YES),
    ([allow("ec2:*Instances")], "ec2:RunInstances", I1, YES),
    ([allow("ec2:*Instances")], "ec2:RunInstancesNow", I1, NO),
    ([allow("ec2:*stance*")], "ec2:RunInstances", I1, YES),
    ([allow("ec2:R?nInstances")], "ec2:RunInstances", I1, YES),
    ([allow("ec2:R?Instances")], "ec2:RunInstances", I1, NO),
    ([allow("ec2:Describe*")], "ec2:DescribeInstances", "*", YES),
    ([allow("ec2:Describe*")], "ec2:TerminateInstances", I1, NO),
    ([allow("s3:Get*")], "s3:GetObject", OBJECT, YES),
    ([allow("s3:Get*")], "s3:PutObject", OBJECT, NO),
    ([allow("s3:*Object")], "s3:PutObject", OBJECT, YES),
    ([allow("s3:*Object")], "s3:PutObjectAcl", OBJECT, NO),
    ([allow("iam:Get*")], "iam:GetUser", f"arn:aws:iam::{ACCOUNT}:user/bob", YES),
    ([allow("sts:AssumeRole")], "sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/job", YES),
    # lists
    ([allow(["ec2:RunInstances", "ec2:StopInstances"])], "ec2:StopInstances", I1, YES),
    ([allow(["ec2:RunInstances", "ec2:StopInstances"])], "ec2:StartInstances", I1, NO),
    ([allow("*", [I1, I2])], "ec2:StopInstances", I2, YES),
    ([allow("*", [I1, I2])], "ec2:StopInstances", OTHERS, NO),
    # resources
    ([allow("*", I1)], "ec2:StopInstances", I1, YES),
    ([allow("*", I1)], "ec2:StopInstances", I2, NO),
    ([allow("*", I1)], "ec2:StopInstances", "*", NO),
    ([allow("*", I1[:-1] + "*")], "ec2:StopInstances", I2, YES),
    ([allow("*", I1[:-1] + "?")], "ec2:StopInstances", I2, YES),
    ([allow("*", I1 + "?")], "ec2:StopInstances", I1, NO),
    ([allow("*", "arn:aws:ec2:*:*:instance/*")], "ec2:StopInstances", I1, YES),
    ([allow("*", "arn:aws:ec2:*:*:volume/*")], "ec2:StopInstances", I1, NO),
    ([allow("*", f"arn:aws:ec2:*:{ACCOUNT}:*")], "ec2:StopInstances", I1, YES),
    ([allow("*", f"arn:aws:ec2:*:{ACCOUNT}:*")], "ec2:StopInstances", OTHERS, NO),
    ([allow("*", "arn:aws:ec2:us-east-1:*:instance/*")], "ec2:StopInstances", I1, YES),
    ([allow("*", "arn:aws:ec2:eu-west-1:*:instance/*")], "ec2:StopInstances", I1, NO),
    ([allow("*", "arn:aws:s3:::photos/*")], "s3:GetObject", OBJECT, YES),
    ([allow("*", "arn:aws:s3:::photos/*")], "s3:ListBucket", BUCKET, NO),
    ([allow("*", BUCKET)], "s3:ListBucket", BUCKET, YES),
    ([allow("*", BUCKET)], "s3:GetObject", OBJECT, NO),
    ([allow("*", "arn:aws:s3:::photos*")], "s3:GetObject", OBJECT, YES),
    ([allow("*", "arn:aws:s3:::*/2026/*")], "s3:GetObject", OBJECT, YES),
    ([allow("*", "arn:aws:s3:::*/2025/*")], "s3:GetObject", OBJECT, NO),
    ([allow("*", "arn:aws:s3:::PHOTOS/*")], "s3:GetObject", OBJECT, NO),
    ([allow("*", "arn:aws:s3:::photos/*.jpg")], "s3:GetObject", OBJECT, YES),
    ([allow("*", "arn:aws:s3:::photos/*.png")], "s3:GetObject", OBJECT, NO),
    ([allow("*", "arn:aws:s3:::photos/????/?.jpg")], "s3:GetObject", OBJECT, YES),
    # several statements
    ([allow(), deny("ec2:TerminateInstances")], "ec2:TerminateInstances", I1, NEVER),
    ([deny("ec2:TerminateInstances"), allow()], "ec2:TerminateInstances", I1, NEVER),
    ([allow(), deny("ec2:TerminateInstances")], "ec2:StopInstances", I1, YES),
    ([allow(), deny("*", I1)], "ec2:StopInstances", I1, NEVER),
    ([allow(), deny("*", I1)], "ec2:StopInstances", I2, YES),
    ([allow("s3:*"), allow("ec2:*")], "ec2:StopInstances", I1, YES),
    ([allow("s3:*"), allow("iam:*")], "ec2:StopInstances", I1, NO),
    ([allow("ec2:*", I1), allow("s3:*", "*")], "ec2:StopInstances", I2, NO),
    ([deny("s3:*"), allow("ec2:*")], "ec2:StopInstances", I1, YES),
    ([deny("s3:*")], "ec2:StopInstances", I1, NO),
    # NotAction, NotResource
    ([but("Allow", NotAction="iam:*", Resource="*")], "ec2:StopInstances", I1, YES),
    ([but("Allow", NotAction="iam:*", Resource="*")], "iam:CreateUser", "*", NO),
    ([but("Allow", NotAction=["iam:*", "ec2:*"], Resource="*")], "ec2:StopInstances", I1, NO),
    ([but("Allow", NotAction=["iam:*", "ec2:*"], Resource="*")], "s3:GetObject", OBJECT, YES),
    ([but("Allow", NotAction="IAM:*", Resource="*")], "iam:CreateUser", "*", NO),
    ([but("Deny", NotAction="s3:*", Resource="*"), allow()], "ec2:StopInstances", I1, NEVER),
    ([but("Deny", NotAction="s3:*", Resource="*"), allow()], "s3:GetObject", OBJECT, YES),
    ([but("Allow", Action="s3:*", NotResource=BUCKET)], "s3:GetObject", OBJECT, YES),
    ([but("Allow", Action="s3:*", NotResource=BUCKET)], "s3:ListBucket", BUCKET, NO),
    ([but("Allow", Action="s3:*", NotResource=[BUCKET, BUCKET + "/*"])], "s3:GetObject", OBJECT, NO),
    ([but("Deny", Action="s3:*", NotResource=BUCKET), allow()], "s3:GetObject", OBJECT, NEVER),
    ([but("Deny", Action="s3:*", NotResource=BUCKET), allow()], "s3:ListBucket", BUCKET, YES),
    ([but("Deny", NotAction="s3:*", NotResource=I1), allow()], "ec2:StopInstances", I1, YES),
    ([but("Deny", NotAction="s3:*", NotResource=I1), allow()], "ec2:StopInstances", I2, NEVER),
    # variables
    ([allow("*", f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}")], "iam:GetUser",
     f"arn:aws:iam::{ACCOUNT}:user/bob", YES),
    ([allow("*", f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}")], "iam:GetUser",
     f"arn:aws:iam::{ACCOUNT}:user/eve", NO),
    ([allow("*", "arn:aws:s3:::home/${aws:username}/*")], "s3:GetObject", "arn:aws:s3:::home/bob/x", YES),
    ([allow("*", "arn:aws:s3:::home/${aws:username}/*")], "s3:GetObject", "arn:aws:s3:::home/eve/x", NO),
    ([allow("*", "arn:aws:s3:::home/${aws:userid}/*")], "s3:GetObject", "arn:aws:s3:::home/AIDABOB/x", YES),
    ([allow("*", "arn:aws:s3:::home/${aws:nothing}/*")], "s3:GetObject", "arn:aws:s3:::home//x", NO),
    ([allow("*", "arn:aws:s3:::home/${aws:nothing, 'x'}/*")], "s3:GetObject", "arn:aws:s3:::home/x/y", YES),
    ([allow("*", "arn:aws:s3:::a${*}b")], "s3:GetObject", "arn:aws:s3:::a*b", YES),
    ([allow("*", "arn:aws:s3:::a${*}b")], "s3:GetObject", "arn:aws:s3:::axb", NO),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "action", "resource", "decision"), PLAIN)
def test_statements_decide(statements: Any, action: str, resource: str, decision: Decision) -> None:
    assert decided(statements, action, resource) is decision


# condition, context, does it hold
CONDITIONS = [
    ({"StringEquals": {"aws:RequestTag/a": "1"}}, {"aws:RequestTag/a": "1"}, True),
    ({"StringEquals": {"aws:RequestTag/a": "1"}}, {"aws:RequestTag/a": "2"}, False),
    ({"StringEquals": {"aws:RequestTag/a": "1"}}, {}, False),
    ({"StringEquals": {"aws:RequestTag/a": ["1", "2"]}}, {"aws:RequestTag/a": "2"}, True),
    ({"StringEquals": {"AWS:requesttag/A": "1"}}, {"aws:RequestTag/a": "1"}, True),
    ({"StringEquals": {"ec2:InstanceType": "m1.small"}}, {"ec2:InstanceType": "M1.small"}, False),
    ({"StringEqualsIgnoreCase": {"ec2:InstanceType": "m1.small"}}, {"ec2:InstanceType": "M1.SMALL"}, True),
    ({"StringNotEquals": {"ec2:InstanceType": "m1.small"}}, {"ec2:InstanceType": "c1.xlarge"}, True),
    ({"StringNotEquals": {"ec2:InstanceType": "m1.small"}}, {"ec2:InstanceType": "m1.small"}, False),
    ({"StringNotEquals": {"ec2:InstanceType": "m1.small"}}, {}, True),
    ({"StringNotEquals": {"ec2:InstanceType": ["a", "b"]}}, {"ec2:InstanceType": "b"}, False),
    ({"StringLike": {"ec2:InstanceType": "m1.*"}}, {"ec2:InstanceType": "m1.large"}, True),
    ({"StringLike": {"ec2:InstanceType": "m1.*"}}, {"ec2:InstanceType": "c1.large"}, False),
    ({"StringLike": {"s3:prefix": ["", "home/*"]}}, {"s3:prefix": ""}, True),
    ({"StringLike": {"s3:prefix": ["", "home/*"]}}, {"s3:prefix": "etc/"}, False),
    ({"StringLike": {"s3:prefix": "home/${aws:username}/*"}}, {"s3:prefix": "home/bob/x"}, True),
    ({"StringLike": {"s3:prefix": "home/${aws:username}/*"}}, {"s3:prefix": "home/eve/x"}, False),
    ({"StringNotLike": {"ec2:InstanceType": "c1.*"}}, {"ec2:InstanceType": "m1.small"}, True),
    ({"StringNotLike": {"ec2:InstanceType": "c1.*"}}, {"ec2:InstanceType": "c1.medium"}, False),
    ({"StringEqualsIfExists": {"ec2:InstanceType": "m1.small"}}, {}, True),
    ({"StringEqualsIfExists": {"ec2:InstanceType": "m1.small"}}, {"ec2:InstanceType": "x"}, False),
    ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:SourceIp": "10.1.2.3"}, True),
    ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:SourceIp": "11.1.2.3"}, False),
    ({"IpAddress": {"aws:SourceIp": ["10.0.0.1", "10.0.0.2"]}}, {"aws:SourceIp": "10.0.0.2"}, True),
    ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {}, False),
    ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:SourceIp": "11.1.2.3"}, True),
    ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:SourceIp": "10.1.2.3"}, False),
    ({"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}, {"aws:SourceIp": "2001:db8::1"}, True),
    ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:SourceIp": "::ffff:10.1.2.3"}, True),
    ({"Bool": {"aws:SecureTransport": "true"}}, {"aws:SecureTransport": "true"}, True),
    ({"Bool": {"aws:SecureTransport": True}}, {"aws:SecureTransport": "false"}, False),
    ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:SecureTransport": "false"}, True),
    ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, {}, False),
    ({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}, {}, True),
    ({"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}},
     {"aws:CurrentTime": "2026-11-30T12:00:00Z"}, True),
    ({"DateGreaterThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}},
     {"aws:CurrentTime": "2026-11-30T12:00:00Z"}, False),
    ({"DateLessThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}},
     {"aws:CurrentTime": "2026-11-30T12:00:00Z"}, True),
    ({"DateLessThanEquals": {"aws:CurrentTime": "2026-11-30T12:00:00Z"}},
     {"aws:CurrentTime": "2026-11-30T12:00:00Z"}, True),
    ({"NumericLessThan": {"s3:max-keys": "10"}}, {"s3:max-keys": "9"}, True),
    ({"NumericLessThan": {"s3:max-keys": "10"}}, {"s3:max-keys": "10"}, False),
    ({"NumericLessThanEquals": {"s3:max-keys": 10}}, {"s3:max-keys": "10"}, True),
    ({"NumericEquals": {"s3:max-keys": "10"}}, {"s3:max-keys": "10.0"}, True),
    ({"NumericNotEquals": {"s3:max-keys": "10"}}, {"s3:max-keys": "11"}, True),
    ({"NumericGreaterThan": {"s3:max-keys": "10"}}, {"s3:max-keys": "nine"}, False),
    ({"Null": {"aws:RequestTag/a": "true"}}, {}, True),
    ({"Null": {"aws:RequestTag/a": "true"}}, {"aws:RequestTag/a": "1"}, False),
    ({"Null": {"aws:RequestTag/a": "false"}}, {"aws:RequestTag/a": "1"}, True),
    ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/staff/*"}}, {}, True),
    ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/other/*"}}, {}, False),
    ({"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/staff/bob"}}, {}, True),
    ({"ArnNotEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/staff/bob"}}, {}, False),
    ({"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, {}, True),
    ({"StringEquals": {"aws:PrincipalType": "User"}}, {}, True),
    ({"StringEquals": {"aws:username": "bob"}}, {}, True),
    ({"StringEquals": {"aws:username": "eve"}}, {}, False),
    ({"StringEquals": {"aws:ResourceTag/owner": "${aws:username}"}}, {"aws:ResourceTag/owner": "bob"}, True),
    ({"StringEquals": {"aws:ResourceTag/owner": "${aws:username}"}}, {"aws:ResourceTag/owner": "x"}, False),
    ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws:TagKeys": ["a"]}, True),
    ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws:TagKeys": ["a", "c"]}, False),
    ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {}, True),
    ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws:TagKeys": ["c", "a"]}, True),
    ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws:TagKeys": ["c"]}, False),
    ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {}, False),
    ({"ForAnyValue:StringLike": {"aws:TagKeys": "te*"}}, {"aws:TagKeys": ["team"]}, True),
    # all operators, and all keys of one, must hold
    ({"StringEquals": {"aws:username": "bob"}, "Bool": {"aws:SecureTransport": "true"}},
     {"aws:SecureTransport": "true"}, True),
    ({"StringEquals": {"aws:username": "bob"}, "Bool": {"aws:SecureTransport": "true"}},
     {"aws:SecureTransport": "false"}, False),
    ({"StringEquals": {"aws:username": "bob", "ec2:Region": "x"}}, {"ec2:Region": "x"}, True),
    ({"StringEquals": {"aws:username": "bob", "ec2:Region": "x"}}, {"ec2:Region": "y"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "context", "holds"), CONDITIONS)
def test_conditions_narrow_an_allow_and_a_deny(condition: Any, context: Any, holds: bool) -> None:
    allowed = decided([allow(when=condition)], "ec2:RunInstances", I1, context)
    assert allowed is (YES if holds else NO)
    denied = decided([allow(), deny(when=condition)], "ec2:RunInstances", I1, context)
    assert denied is (NEVER if holds else YES)


def test_there_are_as_many_cases_as_were_asked_for() -> None:
    assert len(PLAIN) + 2 * len(CONDITIONS) >= 150


def test_without_a_policy_nothing_is_allowed_but_to_the_root() -> None:
    question = Question(asker(USER), "ec2:RunInstances", I1, {})
    assert rights(USER, Grants(), question) is NO
    assert rights(ROOT, Grants(), question) is YES


# of the user, of the session, decision
SESSIONS = [
    ([allow()], [allow("ec2:*")], YES),
    ([allow()], [allow("s3:*")], NO),
    ([allow("ec2:*")], [allow()], YES),
    ([allow("s3:*")], [allow()], NO),
    ([allow()], [deny()], NEVER),
    ([deny()], [allow()], NEVER),
    ([], [allow()], NO),
    ([allow()], [allow("ec2:*"), deny("*", I2)], YES),
    ([allow()], [allow("ec2:*"), deny("*", I1)], NEVER),
]


@pytest.mark.parametrize(("own", "session", "decision"), SESSIONS)
@pytest.mark.parametrize("who", [USER, ROLE, replace(USER, kind=PrincipalKind.FEDERATED, session="x")])
def test_a_session_may_what_both_allow(
    own: list[Any], session: list[Any], decision: Decision, who: Principal
) -> None:
    given = replace(who, session_policies=(document(*session),))
    if not own:
        assert rights(given, Grants(), Question(asker(given), "ec2:StopInstances", I1, {})) is NO
    else:
        assert decided(own, "ec2:StopInstances", I1, who=given) is decision


def test_policies_of_one_session_add_up() -> None:
    given = replace(USER, session_policies=(document(allow("s3:*")), document(allow("ec2:*"))))
    assert decided([allow()], "ec2:StopInstances", I1, who=given) is YES


def test_a_federated_user_without_policies_may_nothing() -> None:
    for who in (USER, ROOT):
        federated = replace(who, kind=PrincipalKind.FEDERATED, session="eve", admin=False)
        assert decided([allow()], "ec2:StopInstances", I1, who=federated) is NO


def test_a_session_of_the_root_is_narrowed_too() -> None:
    narrowed = replace(ROOT, session_policies=(document(allow("s3:*")),))
    question = Question(asker(narrowed), "ec2:StopInstances", I1, {})
    assert rights(narrowed, Grants(), question) is NO
    assert rights(narrowed, Grants(), replace(question, action="s3:GetObject")) is YES


def test_names_of_who_asks_are_those_of_aws() -> None:
    assert arn(USER) == f"arn:aws:iam::{ACCOUNT}:user/staff/bob"
    assert arn(ROLE) == f"arn:aws:sts::{ACCOUNT}:assumed-role/job/run1"
    assert identity_context(ROLE)["aws:principalarn"] == (f"arn:aws:iam::{ACCOUNT}:role/job",)
    assert identity_context(ROLE)["aws:userid"] == ("AROAJOB:run1",)
    assert "aws:username" not in identity_context(ROLE)


def test_a_document_that_many_have_is_kept_once() -> None:
    grants = grants_of({"AIDA1": ["x", "y", "x"], "AIDA2": ["y"]})
    assert (grants.documents, grants.held) == (("x", "y"), {"AIDA1": (0, 1), "AIDA2": (1,)})


def test_a_document_that_cannot_be_read_denies() -> None:
    grants = grants_of({USER.identity: [document(allow()), '{"Version": "2030-01-01"}']})
    assert rights(USER, grants, Question(asker(USER), "ec2:StopInstances", I1, {})) is NEVER


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Resource": "*"},
        {"Effect": "Allow", "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"AWS": "nobody"}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "ec2:RunInstances"},
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "*"},
        "text",
        None,
    ],
)
def test_what_is_no_trust_policy_is_refused(statement: Any) -> None:
    with pytest.raises(PolicyError):
        parse_trust(json.dumps({"Version": "2012-10-17", "Statement": statement}))


def test_a_policy_of_an_identity_names_nobody() -> None:
    with pytest.raises(PolicyError, match="should not specify a principal"):
        parse_policy(document({**allow(), "Principal": "*"}), of_resource=False)
