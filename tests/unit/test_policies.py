"""Policies as the IAM user guide describes them: what is refused, and what each statement decides."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from euca_box.model.policies import Asker, Decision, Policy, PolicyError, Question, parse_policy
from euca_box.model.policy_text import parse_pattern

ALICE = Asker("000000000002", "arn:aws:iam::000000000002:user/alice", "a" * 64)
ROOT = Asker("000000000002", "arn:aws:iam::000000000002:root", "a" * 64)
NOBODY = Asker()
OBJECT = "arn:aws:s3:::bucket/docs/report.txt"


def policy_of(version: str = "2012-10-17", **statement: Any) -> Policy:
    whole = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*", **statement}
    whole = {name: value for name, value in whole.items() if value is not None}
    return parse_policy(json.dumps({"Version": version, "Statement": [whole]}), of_resource=True)


def ask(
    policy: Policy,
    asker: Asker = ALICE,
    action: str = "s3:GetObject",
    resource: str = OBJECT,
    **context: tuple[str, ...],
) -> Decision:
    keys = {name.replace("__", ":").replace("_", "-").lower(): values for name, values in context.items()}
    return policy.decide(Question(asker, action, resource, keys))


@pytest.mark.parametrize(
    ("actions", "action", "meant"),
    [
        ("s3:GetObject", "s3:GetObject", True),
        ("S3:getobject", "s3:GetObject", True),
        ("s3:Get*", "s3:GetObject", True),
        ("s3:*", "s3:DeleteBucket", True),
        ("*", "ec2:RunInstances", True),
        ("s3:GetObjec?", "s3:GetObject", True),
        ("s3:GetObject?", "s3:GetObject", False),
        ("s3:*Object", "s3:GetObjectAcl", False),
        ("s3:*Object*", "s3:GetObjectAcl", True),
        ("s3:GetObject", "s3:GetObjectVersion", False),
        ("ec2:*", "s3:GetObject", False),
        (["s3:PutObject", "s3:GetObject"], "s3:GetObject", True),
        (["s3:PutObject", "s3:DeleteObject"], "s3:GetObject", False),
    ],
)
def test_an_action_is_meant_by_name_and_by_wildcard(actions: Any, action: str, meant: bool) -> None:
    assert (ask(policy_of(Action=actions), action=action) is Decision.ALLOW) == meant
    opposite = ask(policy_of(Action=None, NotAction=actions), action=action)
    assert (opposite is Decision.NOTHING) == meant


@pytest.mark.parametrize(
    ("resources", "meant"),
    [
        (OBJECT, True),
        ("*", True),
        ("arn:aws:s3:::bucket/*", True),
        ("arn:aws:s3:::bucket/docs/*", True),
        ("arn:aws:s3:::bucket", False),
        ("arn:aws:s3:::bucket*", True),
        ("arn:aws:s3:::other/*", False),
        ("arn:aws:s3:::bucket/DOCS/*", False),
        ("arn:aws:s3:::bucket/*.txt", True),
        ("arn:aws:s3:::bucket/*.tx", False),
        ("arn:aws:s3:::bucket/docs/report.??t", True),
        ("arn:aws:s3:::bucket/docs/report.?", False),
        ("arn:aws:s3:::*/*/*", True),
        ("arn:aws:s3:::bucket/${aws:username}/*", False),
        (["arn:aws:s3:::other/*", OBJECT], True),
    ],
)
def test_a_resource_is_meant_by_its_arn(resources: Any, meant: bool) -> None:
    assert (ask(policy_of(Resource=resources)) is Decision.ALLOW) == meant
    assert (ask(policy_of(Resource=None, NotResource=resources)) is Decision.NOTHING) == meant


@pytest.mark.parametrize(
    ("principal", "alice", "nobody"),
    [
        ("*", True, True),
        ({"AWS": "*"}, True, True),
        ({"AWS": "000000000002"}, True, False),
        ({"AWS": "000000000003"}, False, False),
        ({"AWS": "arn:aws:iam::000000000002:root"}, True, False),
        ({"AWS": "arn:aws:iam::000000000002:user/alice"}, True, False),
        ({"AWS": "arn:aws:iam::000000000002:user/bob"}, False, False),
        ({"AWS": "arn:aws:iam::000000000003:user/alice"}, False, False),
        ({"AWS": ["000000000009", "000000000002"]}, True, False),
        ({"CanonicalUser": "a" * 64}, True, False),
        ({"CanonicalUser": "b" * 64}, False, False),
        ({"Service": "logging.s3.amazonaws.com"}, False, False),
        ({"Federated": "accounts.google.com"}, False, False),
        ({"AWS": "AIDAJQABLZS4A3QDU576Q"}, False, False),
    ],
)
def test_a_principal_is_an_account_a_user_or_everybody(principal: Any, alice: bool, nobody: bool) -> None:
    allow = policy_of(Principal=principal)
    assert (ask(allow, ALICE) is Decision.ALLOW) == alice
    assert (ask(allow, NOBODY) is Decision.ALLOW) == nobody
    deny = policy_of(Effect="Deny", Principal=None, NotPrincipal=principal)
    assert (ask(deny, ALICE) is Decision.NOTHING) == alice
    assert (ask(deny, NOBODY) is Decision.NOTHING) == nobody


CONDITIONS = [
    # operator, values of the policy, value of the request (None: absent), holds?
    ("StringEquals", "a", "a", True),
    ("StringEquals", "a", "A", False),
    ("StringEquals", ["a", "b"], "b", True),
    ("StringEquals", "a*", "ab", False),
    ("StringEquals", "a", None, False),
    ("StringEqualsIfExists", "a", None, True),
    ("StringEqualsIfExists", "a", "b", False),
    ("StringNotEquals", "a", "b", True),
    ("StringNotEquals", "a", "a", False),
    ("StringNotEquals", ["a", "b"], "b", False),
    ("StringNotEquals", "a", None, True),
    ("StringEqualsIgnoreCase", "aB", "Ab", True),
    ("StringEqualsIgnoreCase", "aB", "Ac", False),
    ("StringNotEqualsIgnoreCase", "aB", "Ab", False),
    ("StringLike", "a*c", "abbbc", True),
    ("StringLike", "a?c", "abc", True),
    ("StringLike", "a?c", "abbc", False),
    ("StringLike", "*", "", True),
    ("StringLike", "home/*", "home/x/y", True),
    ("StringLike", "${*}x", "*x", True),
    ("StringLike", "${*}x", "ax", False),
    ("StringLikeIfExists", "a*", None, True),
    ("StringNotLike", "a*", "ab", False),
    ("StringNotLike", "a*", "ba", True),
    ("stringlike", "a*", "ab", True),
    ("NumericEquals", "10", "10.0", True),
    ("NumericEquals", 10, "10", True),
    ("NumericEquals", "10", "ten", False),
    ("NumericNotEquals", "10", "11", True),
    ("NumericNotEquals", "10", "10", False),
    ("NumericLessThan", "10", "9", True),
    ("NumericLessThan", "10", "10", False),
    ("NumericLessThanEquals", "10", "10", True),
    ("NumericGreaterThan", "10", "11", True),
    ("NumericGreaterThan", "10", "10", False),
    ("NumericGreaterThanEquals", "10", "10", True),
    ("NumericGreaterThanEquals", "10", "9.99", False),
    ("NumericLessThanIfExists", "10", None, True),
    ("NumericLessThan", "-1", "-2", True),
    ("DateEquals", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00", True),
    ("DateNotEquals", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", True),
    ("DateLessThan", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z", True),
    ("DateLessThan", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", False),
    ("DateLessThanEquals", "2026-01-01", "2026-01-01T00:00:00Z", True),
    ("DateGreaterThan", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+02:00", False),
    ("DateGreaterThanEquals", "1767225600", "2026-01-01T00:00:00Z", True),
    ("DateGreaterThan", "2026-01-01T00:00:00Z", "yesterday", False),
    ("Bool", "true", "true", True),
    ("Bool", True, "true", True),
    ("Bool", "false", "true", False),
    ("Bool", "TRUE", "true", True),
    ("Bool", "true", None, False),
    ("BoolIfExists", "false", None, True),
    ("BinaryEquals", "QUJD", "QUJD", True),
    ("BinaryEquals", "QUJD", "QUJE", False),
    ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
    ("IpAddress", "10.0.0.0/8", "11.1.2.3", False),
    ("IpAddress", "10.0.0.7", "10.0.0.7", True),
    ("IpAddress", "10.0.0.1/8", "10.200.0.1", True),
    ("IpAddress", ["10.0.0.0/8", "192.168.0.0/16"], "192.168.3.4", True),
    ("IpAddress", "10.0.0.0/8", "::ffff:10.1.2.3", True),
    ("IpAddress", "2001:db8::/32", "2001:db8::1", True),
    ("IpAddress", "2001:db8::/32", "10.0.0.1", False),
    ("IpAddress", "10.0.0.0/8", "not an address", False),
    ("NotIpAddress", "10.0.0.0/8", "11.1.2.3", True),
    ("NotIpAddress", "10.0.0.0/8", "10.1.2.3", False),
    ("NotIpAddress", "10.0.0.0/8", None, True),
    ("ArnEquals", "arn:aws:s3:::bucket", "arn:aws:s3:::bucket", True),
    ("ArnEquals", "arn:aws:iam::*:user/*", "arn:aws:iam::000000000002:user/alice", True),
    ("ArnLike", "arn:aws:iam::00000000000?:root", "arn:aws:iam::000000000002:root", True),
    ("ArnLike", "arn:*:user/alice", "arn:aws:iam::000000000002:user/alice", None),
    ("ArnLike", "arn:aws:*:*:*:user/alice", "arn:aws:iam::000000000002:user/alice", True),
    ("ArnLike", "arn:aws:s3:::bucket", "no arn", False),
    ("ArnNotEquals", "arn:aws:s3:::bucket", "arn:aws:s3:::other", True),
    ("ArnNotLike", "arn:aws:s3:::b*", "arn:aws:s3:::bucket", False),
    ("Null", "true", None, True),
    ("Null", "true", "x", False),
    ("Null", "false", "x", True),
    ("Null", "false", None, False),
    ("Null", True, None, True),
    ("ForAnyValue:StringEquals", ["a", "b"], ("b", "c"), True),
    ("ForAnyValue:StringEquals", ["a", "b"], ("c", "d"), False),
    ("ForAnyValue:StringEquals", "a", None, False),
    ("ForAnyValue:StringNotEquals", "a", ("a", "b"), True),
    ("ForAnyValue:StringNotEquals", "a", ("a",), False),
    ("ForAnyValue:StringLike", "a*", ("xx", "ab"), True),
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "c"), False),
    ("ForAllValues:StringEquals", "a", None, True),
    ("ForAllValues:StringNotEquals", ["a", "b"], ("c", "d"), True),
    ("ForAllValues:StringNotEquals", ["a", "b"], ("c", "a"), False),
    ("ForAllValues:StringLike", "a*", ("ab", "ac"), True),
    ("StringNotEquals", "a", ("b", "a"), False),
    ("StringEquals", "a", ("b", "a"), True),
]


@pytest.mark.parametrize(("operator", "values", "given", "holds"), CONDITIONS)
def test_a_condition_holds_or_does_not(operator: str, values: Any, given: Any, holds: bool | None) -> None:
    statement = {"Condition": {operator: {"s3:Prefix": values}}}
    if holds is None:
        with pytest.raises(PolicyError):
            policy_of(**statement)
        return
    context = {} if given is None else {"s3__prefix": given if isinstance(given, tuple) else (given,)}
    assert (ask(policy_of(**statement), **context) is Decision.ALLOW) == holds


def test_all_conditions_must_hold() -> None:
    policy = policy_of(
        Condition={
            "StringLike": {"s3:prefix": "a*", "aws:Referer": "*"},
            "Bool": {"aws:SecureTransport": "true"},
        }
    )
    whole = {"s3__prefix": ("ab",), "aws__referer": ("x",), "aws__securetransport": ("true",)}
    assert ask(policy, **whole) is Decision.ALLOW
    for missing in whole:
        rest = {name: value for name, value in whole.items() if name != missing}
        assert ask(policy, **rest) is Decision.NOTHING


def test_a_deny_beats_every_allow_in_any_order() -> None:
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    deny = {"Effect": "Deny", "Principal": {"AWS": "000000000002"}, "Action": "s3:Get*", "Resource": "*"}
    for statements in ([allow, deny], [deny, allow], [allow, deny, allow]):
        policy = parse_policy(json.dumps({"Statement": statements}), of_resource=True)
        assert ask(policy, ALICE) is Decision.DENY
        assert ask(policy, NOBODY) is Decision.ALLOW
        assert ask(policy, ALICE, "s3:PutObject") is Decision.ALLOW


def test_a_variable_stands_for_its_value_and_its_wildcards_are_none() -> None:
    policy = policy_of(Resource="arn:aws:s3:::bucket/${aws:username}/*")
    mine = "arn:aws:s3:::bucket/alice/x"
    assert ask(policy, resource=mine, aws__username=("alice",)) is Decision.ALLOW
    assert ask(policy, resource=mine, aws__username=("bob",)) is Decision.NOTHING
    assert ask(policy, resource=mine, aws__username=("*",)) is Decision.NOTHING
    assert ask(policy, resource=mine) is Decision.NOTHING
    defaulted = policy_of(Resource="arn:aws:s3:::bucket/${aws:username, 'alice'}/*")
    assert ask(defaulted, resource=mine) is Decision.ALLOW


def test_the_old_version_knows_no_variables() -> None:
    policy = policy_of("2008-10-17", Resource="arn:aws:s3:::bucket/${aws:username}/*")
    mine = "arn:aws:s3:::bucket/alice/x"
    assert ask(policy, resource=mine, aws__username=("alice",)) is Decision.NOTHING
    assert ask(policy, resource="arn:aws:s3:::bucket/${aws:username}/x") is Decision.ALLOW


def test_the_policy_of_an_identity_names_no_principal() -> None:
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = parse_policy(json.dumps({"Statement": statement}), of_resource=False)
    assert ask(policy, ALICE) is Decision.ALLOW
    with pytest.raises(PolicyError, match="principal"):
        parse_policy(json.dumps({"Statement": {**statement, "Principal": "*"}}), of_resource=False)


@pytest.mark.parametrize(
    ("statement", "public"),
    [
        ({}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": "000000000002"}}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/1"]}}}, True),
        ({"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, True),
        ({"Condition": {"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-91237329"}}}, False),
        ({"Condition": {"StringLike": {"aws:SourceVpc": "vpc-*"}}}, True),
        ({"Condition": {"StringEquals": {"s3:prefix": "x"}}}, True),
    ],
)
def test_public_is_what_anybody_may_without_a_fixed_condition(statement: Any, public: bool) -> None:
    assert policy_of(**statement).is_public == public


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "x",
        "{",
        '{"Statement": []}',
        '{"Version": "2012-10-17"}',
        '{"Version": "2013-01-01", "Statement": {}}',
        '{"Version": 5, "Statement": {}}',
        '{"Statement": [1]}',
        '{"Statement": {}, "Statement": {}}',
        '{"Extra": 1, "Statement": {}}',
        '{"Id": 1, "Statement": {}}',
        '{"Statement": ' + "[" * 5000,
    ],
)
def test_what_is_no_policy_document_is_refused(document: str) -> None:
    with pytest.raises(PolicyError):
        parse_policy(document, of_resource=True)


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "allow"},
        {"Effect": None},
        {"Effect": ["Allow"]},
        {"Action": None},
        {"Action": ""},
        {"Action": []},
        {"Action": "GetObject"},
        {"Action": "s3:Get Object"},
        {"Action": 7},
        {"NotAction": "s3:*"},
        {"Resource": None},
        {"Resource": "bucket/*"},
        {"Resource": "arn:aws:s3:bucket"},
        {"Resource": "arn:aws:s3:::bucket/${}"},
        {"NotResource": "*"},
        {"Principal": None},
        {"Principal": "alice"},
        {"Principal": []},
        {"Principal": {}},
        {"Principal": {"AWS": []}},
        {"Principal": {"AWS": "alice"}},
        {"Principal": {"AWS": "arn:aws:iam::000000000002:*"}},
        {"Principal": {"AWS": "arn:aws:iam::000000000002:user/*"}},
        {"Principal": {"Martian": "x"}},
        {"Principal": {"Service": "*"}},
        {"Principal": None, "NotPrincipal": "*"},
        {"Sid": 3},
        {"Unknown": "x"},
        {"Condition": []},
        {"Condition": {"StringEquals": "x"}},
        {"Condition": {"StringEqual": {"s3:prefix": "x"}}},
        {"Condition": {"StringNotEqualsNot": {"s3:prefix": "x"}}},
        {"Condition": {"NullIfExists": {"s3:prefix": "true"}}},
        {"Condition": {"Null": {"s3:prefix": "maybe"}}},
        {"Condition": {"Bool": {"s3:prefix": "maybe"}}},
        {"Condition": {"NumericEquals": {"s3:max-keys": "many"}}},
        {"Condition": {"NumericEquals": {"s3:max-keys": "nan"}}},
        {"Condition": {"DateEquals": {"aws:CurrentTime": "soon"}}},
        {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}}},
        {"Condition": {"IpAddress": {"aws:SourceIp": "here"}}},
        {"Condition": {"BinaryEquals": {"s3:prefix": "*"}}},
        {"Condition": {"ArnEquals": {"aws:SourceArn": "bucket"}}},
        {"Condition": {"StringEquals": {"prefix": "x"}}},
        {"Condition": {"StringEquals": {"s3:prefix": {"a": 1}}}},
        {"Condition": {"StringEquals": {"s3:prefix": "${a b}"}}},
    ],
)
def test_a_statement_that_says_nothing_clear_is_refused(statement: Any) -> None:
    with pytest.raises(PolicyError):
        policy_of(**statement)


@pytest.mark.parametrize("mark", ["?", "\\u003f", "\\U003F".lower()])
def test_a_policy_that_would_cost_seconds_a_request_is_refused(mark: str) -> None:
    text = json.dumps({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "X"}})
    with pytest.raises(PolicyError, match="question marks"):
        parse_policy(text.replace("X", "arn:aws:s3:::*" + f"a{mark}" * 201), of_resource=True)


def test_sids_are_given_once() -> None:
    one = {"Sid": "x", "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    with pytest.raises(PolicyError, match="unique"):
        parse_policy(json.dumps({"Statement": [one, one]}), of_resource=True)


def _matches_slowly(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_matches_slowly(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and _matches_slowly(pattern[1:], text[1:])


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wildcards_match_as_their_definition_says(pattern: str, text: str) -> None:
    assert parse_pattern(pattern).matches(text, {}) == _matches_slowly(pattern, text)


def test_many_stars_cost_no_more_than_a_moment() -> None:
    assert not parse_pattern("*a" * 5000 + "b").matches("a" * 5000, {})


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Statement", "Effect", "Action", "Principal", "AWS"]), inner, max_size=3
            )
        ),
        max_leaves=10,
    )
)
def test_any_json_is_a_policy_or_is_refused(document: Any) -> None:
    with contextlib.suppress(PolicyError):
        parse_policy(json.dumps(document), of_resource=True)
