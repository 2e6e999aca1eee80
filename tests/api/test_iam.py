"""IAM by boto3: every answer is walked beside botocore's model (`query_walker.py`)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.cloud_box import CloudBox, refused, running_cloud
from tests.api.ec2_raw import Raw

ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": [ALLOW_ALL]})
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("iam")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def iam(box: CloudBox) -> Any:
    return box.client("iam")


def test_a_user_is_made_looked_at_renamed_and_deleted(box: CloudBox, iam: Any) -> None:
    made = iam.create_user(UserName="carol", Path="/staff/", Tags=[{"Key": "team", "Value": "red"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{box.account()}:user/staff/carol"
    assert made["UserId"].startswith("AIDA") and len(made["UserId"]) == 21
    assert iam.get_user(UserName="CAROL")["User"] == made
    assert refused(iam.create_user, UserName="Carol") == ("EntityAlreadyExists", 409)
    assert [u["UserName"] for u in iam.list_users(PathPrefix="/staff/")["Users"]] == ["carol"]
    iam.update_user(UserName="carol", NewUserName="caroline", NewPath="/")
    assert iam.get_user(UserName="caroline")["User"]["UserId"] == made["UserId"]
    assert refused(iam.get_user, UserName="carol") == ("NoSuchEntity", 404)
    iam.delete_user(UserName="caroline")
    assert refused(iam.get_user, UserName="caroline") == ("NoSuchEntity", 404)


def test_users_of_another_account_do_not_exist(box: CloudBox, iam: Any) -> None:
    iam.create_user(UserName="hidden")
    other = box.client("iam", "mallory")
    assert refused(other.get_user, UserName="hidden") == ("NoSuchEntity", 404)
    assert refused(other.delete_user, UserName="hidden") == ("NoSuchEntity", 404)
    assert refused(other.create_access_key, UserName="hidden") == ("NoSuchEntity", 404)
    assert "hidden" not in [u["UserName"] for u in other.list_users()["Users"]]
    iam.delete_user(UserName="hidden")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "x" * 65, "a\nb", "<x>"])
def test_a_name_that_is_none_is_refused(iam: Any, name: str) -> None:
    assert refused(iam.create_user, UserName=name)[0] == "ValidationError"


def test_what_a_user_has_must_go_before_the_user(iam: Any) -> None:
    iam.create_user(UserName="busy")
    iam.create_group(GroupName="crowd")
    key = iam.create_access_key(UserName="busy")["AccessKey"]["AccessKeyId"]
    steps = [
        lambda: iam.delete_access_key(UserName="busy", AccessKeyId=key),
        lambda: iam.delete_user_policy(UserName="busy", PolicyName="p"),
        lambda: iam.detach_user_policy(UserName="busy", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess"),
        lambda: iam.remove_user_from_group(UserName="busy", GroupName="crowd"),
        lambda: iam.delete_login_profile(UserName="busy"),
    ]
    iam.put_user_policy(UserName="busy", PolicyName="p", PolicyDocument=DOCUMENT)
    iam.attach_user_policy(UserName="busy", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.add_user_to_group(UserName="busy", GroupName="crowd")
    iam.create_login_profile(UserName="busy", Password="long enough 1")
    for step in steps:
        assert refused(iam.delete_user, UserName="busy") == ("DeleteConflict", 409)
        step()
    iam.delete_user(UserName="busy")
    iam.delete_group(GroupName="crowd")


def test_the_first_user_of_an_account_stays(iam: Any) -> None:
    assert refused(iam.delete_user, UserName="alice") == ("DeleteConflict", 409)


def test_lists_come_in_pages(iam: Any) -> None:
    names = [f"page{n:02}" for n in range(7)]
    for name in names:
        iam.create_user(UserName=name, Path="/pages/")
    pages = list(
        iam.get_paginator("list_users").paginate(PathPrefix="/pages/", PaginationConfig={"PageSize": 3})
    )
    assert [len(page["Users"]) for page in pages] == [3, 3, 1]
    assert [u["UserName"] for page in pages for u in page["Users"]] == names
    assert refused(iam.list_users, MaxItems=0)[0] == "ValidationError"
    assert refused(iam.list_users, Marker="no marker")[0] == "ValidationError"
    for name in names:
        iam.delete_user(UserName=name)


def test_keys_are_two_can_be_switched_off_and_replaced(box: CloudBox, iam: Any) -> None:
    iam.create_user(UserName="keys")
    iam.attach_user_policy(UserName="keys", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    first = iam.create_access_key(UserName="keys")["AccessKey"]
    second = iam.create_access_key(UserName="keys")["AccessKey"]
    assert refused(iam.create_access_key, UserName="keys") == ("LimitExceeded", 409)
    sts, ec2 = box.client_of("sts", first), box.client_of("ec2", first)
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{box.account()}:user/keys"
    iam.update_access_key(UserName="keys", AccessKeyId=first["AccessKeyId"], Status="Inactive")
    assert refused(sts.get_caller_identity) == ("InvalidClientTokenId", 403)
    assert refused(ec2.describe_regions) == ("AuthFailure", 401)
    listed = iam.list_access_keys(UserName="keys")["AccessKeyMetadata"]
    assert {k["AccessKeyId"]: k["Status"] for k in listed} == {
        first["AccessKeyId"]: "Inactive",
        second["AccessKeyId"]: "Active",
    }
    iam.update_access_key(UserName="keys", AccessKeyId=first["AccessKeyId"], Status="Active")
    sts.get_caller_identity()
    iam.delete_access_key(UserName="keys", AccessKeyId=first["AccessKeyId"])
    assert refused(sts.get_caller_identity) == ("InvalidClientTokenId", 403)
    assert refused(
        iam.update_access_key, UserName="keys", AccessKeyId="AKIANOBODY1234567", Status="Active"
    ) == (
        "NoSuchEntity",
        404,
    )


def test_the_last_use_of_a_key_is_known(box: CloudBox, iam: Any) -> None:
    key = box.iam_user("seen", ALLOW_ALL)
    before = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert before["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    box.client_of("ec2", key).describe_regions()
    after = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert (after["UserName"], after["AccessKeyLastUsed"]["ServiceName"]) == ("seen", "ec2")
    other = box.client("iam", "mallory")
    assert refused(other.get_access_key_last_used, AccessKeyId=key["AccessKeyId"]) == ("AccessDenied", 403)


def test_keys_follow_the_user_to_a_new_name(box: CloudBox, iam: Any) -> None:
    key = box.iam_user("before", ALLOW_ALL)
    iam.update_user(UserName="before", NewUserName="after")
    assert box.client_of("sts", key).get_caller_identity()["Arn"].endswith(":user/after")
    assert [k["AccessKeyId"] for k in iam.list_access_keys(UserName="after")["AccessKeyMetadata"]] == [
        key["AccessKeyId"]
    ]


def test_groups_have_members_and_policies(iam: Any) -> None:
    made = iam.create_group(GroupName="devs", Path="/team/")["Group"]
    assert made["GroupId"].startswith("AGPA")
    iam.create_user(UserName="dora")
    for _ in range(2):
        iam.add_user_to_group(GroupName="devs", UserName="dora")
    assert [u["UserName"] for u in iam.get_group(GroupName="devs")["Users"]] == ["dora"]
    assert [g["GroupName"] for g in iam.list_groups_for_user(UserName="dora")["Groups"]] == ["devs"]
    iam.update_group(GroupName="devs", NewGroupName="developers")
    assert [g["GroupName"] for g in iam.list_groups(PathPrefix="/team/")["Groups"]] == ["developers"]
    iam.attach_group_policy(GroupName="developers", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2FullAccess")
    attached = iam.list_attached_group_policies(GroupName="developers")["AttachedPolicies"]
    assert [p["PolicyName"] for p in attached] == ["AmazonEC2FullAccess"]
    assert refused(iam.delete_group, GroupName="developers") == ("DeleteConflict", 409)
    iam.remove_user_from_group(GroupName="developers", UserName="dora")
    assert refused(iam.remove_user_from_group, GroupName="developers", UserName="dora") == (
        "NoSuchEntity",
        404,
    )
    iam.detach_group_policy(GroupName="developers", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2FullAccess")
    iam.delete_group(GroupName="developers")


def test_a_managed_policy_has_versions_and_one_is_the_default(iam: Any) -> None:
    policy = iam.create_policy(PolicyName="mine", PolicyDocument=DOCUMENT, Description="what I may")["Policy"]
    arn = policy["Arn"]
    assert (policy["DefaultVersionId"], policy["AttachmentCount"]) == ("v1", 0)
    assert refused(iam.create_policy, PolicyName="MINE", PolicyDocument=DOCUMENT) == (
        "EntityAlreadyExists",
        409,
    )
    for number in range(2, 6):
        made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=DOCUMENT, SetAsDefault=number == 3)[
            "PolicyVersion"
        ]
        assert made["VersionId"] == f"v{number}"
    assert refused(iam.create_policy_version, PolicyArn=arn, PolicyDocument=DOCUMENT) == (
        "LimitExceeded",
        409,
    )
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v3"
    assert refused(iam.delete_policy_version, PolicyArn=arn, VersionId="v3") == ("DeleteConflict", 409)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    found = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert (found["Document"], found["IsDefaultVersion"]) == (json.loads(DOCUMENT), True)
    assert refused(iam.delete_policy, PolicyArn=arn) == ("DeleteConflict", 409)
    for number in range(2, 6):
        iam.delete_policy_version(PolicyArn=arn, VersionId=f"v{number}")
    assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v1"]
    iam.delete_policy(PolicyArn=arn)
    assert refused(iam.get_policy, PolicyArn=arn) == ("NoSuchEntity", 404)


def test_aws_policies_are_there_and_nobodys_to_change(iam: Any) -> None:
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    names = {p["PolicyName"] for p in iam.list_policies(Scope="AWS")["Policies"]}
    assert {"AdministratorAccess", "ReadOnlyAccess", "AmazonS3FullAccess"} <= names
    document = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
    assert document["Statement"][0]["Action"] == "*"
    assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v1"]
    assert refused(iam.delete_policy, PolicyArn=arn) == ("AccessDenied", 403)
    assert refused(iam.create_policy_version, PolicyArn=arn, PolicyDocument=DOCUMENT) == (
        "AccessDenied",
        403,
    )


def test_who_has_a_policy_is_listed_by_kind(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="shared", PolicyDocument=DOCUMENT)["Policy"]["Arn"]
    iam.create_user(UserName="holder")
    iam.create_group(GroupName="holders")
    iam.create_role(RoleName="holding", AssumeRolePolicyDocument=TRUST)
    iam.attach_user_policy(UserName="holder", PolicyArn=arn)
    iam.attach_group_policy(GroupName="holders", PolicyArn=arn)
    iam.attach_role_policy(RoleName="holding", PolicyArn=arn)
    found = iam.list_entities_for_policy(PolicyArn=arn)
    assert [u["UserName"] for u in found["PolicyUsers"]] == ["holder"]
    assert [g["GroupName"] for g in found["PolicyGroups"]] == ["holders"]
    assert [r["RoleName"] for r in found["PolicyRoles"]] == ["holding"]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 3
    assert refused(iam.delete_policy, PolicyArn=arn) == ("DeleteConflict", 409)
    only = iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="Role")
    assert (only["PolicyUsers"], len(only["PolicyRoles"])) == ([], 1)


@pytest.mark.parametrize("owner", ["User", "Group", "Role"])
def test_inline_policies_are_put_read_listed_and_deleted(iam: Any, owner: str) -> None:
    verb, name = owner.lower(), f"inline-{owner}"
    more = {"AssumeRolePolicyDocument": TRUST} if owner == "Role" else {}
    getattr(iam, f"create_{verb}")(**{f"{owner}Name": name}, **more)
    who = {f"{owner}Name": name}
    getattr(iam, f"put_{verb}_policy")(**who, PolicyName="p", PolicyDocument=DOCUMENT)
    found = getattr(iam, f"get_{verb}_policy")(**who, PolicyName="p")
    assert found["PolicyDocument"] == json.loads(DOCUMENT)
    assert getattr(iam, f"list_{verb}_policies")(**who)["PolicyNames"] == ["p"]
    for bad in ("", "{}", '{"Statement":[]}', DOCUMENT[:-1], DOCUMENT.replace("Allow", "Perhaps")):
        code, _ = refused(getattr(iam, f"put_{verb}_policy"), **who, PolicyName="p", PolicyDocument=bad)
        assert code in ("MalformedPolicyDocument", "ValidationError")
    large = json.dumps({"Version": "2012-10-17", "Statement": [{**ALLOW_ALL, "Sid": "x" * 11_000}]})
    assert refused(getattr(iam, f"put_{verb}_policy"), **who, PolicyName="q", PolicyDocument=large) == (
        "LimitExceeded",
        409,
    )
    getattr(iam, f"delete_{verb}_policy")(**who, PolicyName="p")
    assert refused(getattr(iam, f"delete_{verb}_policy"), **who, PolicyName="p") == ("NoSuchEntity", 404)


def test_a_role_says_who_may_put_it_on(iam: Any) -> None:
    made = iam.create_role(
        RoleName="job",
        AssumeRolePolicyDocument=TRUST,
        Path="/x/",
        Description="for jobs",
        MaxSessionDuration=7200,
    )["Role"]
    assert made["RoleId"].startswith("AROA")
    assert iam.get_role(RoleName="job")["Role"]["AssumeRolePolicyDocument"] == json.loads(TRUST)
    iam.update_role(RoleName="job", Description="for other jobs", MaxSessionDuration=3600)
    assert iam.get_role(RoleName="job")["Role"]["MaxSessionDuration"] == 3600
    for bad in (DOCUMENT, "{}", TRUST.replace("sts:AssumeRole", "ec2:RunInstances")):
        assert refused(iam.update_assume_role_policy, RoleName="job", PolicyDocument=bad) == (
            "MalformedPolicyDocument",
            400,
        )
    iam.tag_role(RoleName="job", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    iam.untag_role(RoleName="job", TagKeys=["a"])
    assert iam.list_role_tags(RoleName="job")["Tags"] == [{"Key": "b", "Value": ""}]
    iam.create_instance_profile(InstanceProfileName="box")
    iam.add_role_to_instance_profile(InstanceProfileName="box", RoleName="job")
    assert refused(iam.delete_role, RoleName="job") == ("DeleteConflict", 409)
    profile = iam.get_instance_profile(InstanceProfileName="box")["InstanceProfile"]
    assert [r["RoleName"] for r in profile["Roles"]] == ["job"]
    assert refused(iam.add_role_to_instance_profile, InstanceProfileName="box", RoleName="job") == (
        "LimitExceeded",
        409,
    )
    [found] = iam.list_instance_profiles_for_role(RoleName="job")["InstanceProfiles"]
    assert found["InstanceProfileName"] == "box"
    assert refused(iam.delete_instance_profile, InstanceProfileName="box") == ("DeleteConflict", 409)
    iam.remove_role_from_instance_profile(InstanceProfileName="box", RoleName="job")
    iam.delete_instance_profile(InstanceProfileName="box")
    iam.delete_role(RoleName="job")


def test_a_password_is_set_changed_by_its_user_and_taken_away(box: CloudBox, iam: Any) -> None:
    key = box.iam_user("typist", {"Effect": "Allow", "Action": "iam:ChangePassword", "Resource": "*"})
    mine = box.client_of("iam", key)
    change = {"OldPassword": "correct horse", "NewPassword": "battery staple"}
    assert refused(mine.change_password, **change) == ("InvalidUserType", 400)
    assert refused(iam.create_login_profile, UserName="typist", Password="short") == (
        "PasswordPolicyViolation",
        400,
    )
    iam.create_login_profile(UserName="typist", Password="correct horse", PasswordResetRequired=True)
    assert iam.get_login_profile(UserName="typist")["LoginProfile"]["PasswordResetRequired"] is True
    assert refused(iam.create_login_profile, UserName="typist", Password="correct horse") == (
        "EntityAlreadyExists",
        409,
    )
    assert refused(mine.change_password, **{**change, "OldPassword": "wrong one"}) == ("AccessDenied", 403)
    mine.change_password(**change)
    assert iam.get_login_profile(UserName="typist")["LoginProfile"]["PasswordResetRequired"] is False
    [row] = box.rows("clc", "SELECT password_hash FROM user WHERE name = 'typist'")
    assert row["password_hash"].startswith("$argon2id$")
    iam.update_login_profile(UserName="typist", Password="a third password", PasswordResetRequired=True)
    iam.delete_login_profile(UserName="typist")
    assert refused(iam.get_login_profile, UserName="typist") == ("NoSuchEntity", 404)


def test_the_alias_is_the_name_of_the_account(box: CloudBox, iam: Any) -> None:
    iam.create_account_alias(AccountAlias="wonderland")
    assert iam.list_account_aliases()["AccountAliases"] == ["wonderland"]
    other = box.client("iam", "mallory")
    assert refused(other.create_account_alias, AccountAlias="wonderland") == ("EntityAlreadyExists", 409)
    assert refused(iam.create_account_alias, AccountAlias="No Alias")[0] == "ValidationError"
    assert refused(iam.delete_account_alias, AccountAlias="another") == ("NoSuchEntity", 404)
    iam.delete_account_alias(AccountAlias="wonderland")
    assert iam.list_account_aliases()["AccountAliases"] == []


def test_the_summary_counts_what_there_is(box: CloudBox) -> None:
    iam = box.client("iam", "mallory")
    before = iam.get_account_summary()["SummaryMap"]
    iam.create_user(UserName="one-more")
    after = iam.get_account_summary()["SummaryMap"]
    assert after["Users"] == before["Users"] + 1
    assert after["AccessKeysPerUserQuota"] == 2


def euare(box: CloudBox, user: str, action: str, **parameters: str) -> tuple[int, bytes]:
    pairs = [("Action", action), ("Version", "2010-05-08"), *parameters.items()]
    answer = Raw(box, user).v4(pairs, service="iam")
    return answer.status, answer.body


def test_the_administrator_of_the_cloud_manages_accounts_as_in_eucalyptus_3(box: CloudBox) -> None:
    status, body = euare(box, "admin", "CreateAccount", AccountName="research")
    assert status == 200 and b"<AccountName>research</AccountName>" in body
    assert euare(box, "admin", "CreateAccount", AccountName="research")[0] == 409
    account = body.partition(b"<AccountId>")[2][:12].decode()
    assert euare(box, "admin", "CreateUser", UserName="rita", DelegateAccount=account)[0] == 200
    assert b"rita" in euare(box, "admin", "ListUsers", DelegateAccount=account)[1]
    assert b"rita" not in euare(box, "admin", "ListUsers")[1]
    assert b"research" in euare(box, "admin", "ListAccounts")[1]
    assert euare(box, "admin", "DeleteAccount", AccountName="research")[0] == 409
    assert euare(box, "admin", "DeleteAccount", AccountName="research", Recursive="true")[0] == 200
    assert b"research" not in euare(box, "admin", "ListAccounts")[1]
    assert euare(box, "admin", "DeleteAccount", AccountName="eucalyptus", Recursive="true")[0] == 409


def test_others_manage_no_accounts_and_name_none(box: CloudBox) -> None:
    for action in ("CreateAccount", "DeleteAccount", "ListAccounts"):
        more = {} if action == "ListAccounts" else {"AccountName": "grab"}
        status, body = euare(box, "mallory", action, **more)
        assert status == 403 and b"AccessDenied" in body
    status, _ = euare(box, "mallory", "ListUsers", DelegateAccount=box.account())
    assert status == 403


def test_policies_are_simulated_without_doing_anything(box: CloudBox, iam: Any) -> None:
    box.iam_user(
        "simulated",
        {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"},
        {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/secret"},
    )
    arn = iam.get_user(UserName="simulated")["User"]["Arn"]
    found = iam.simulate_principal_policy(
        PolicySourceArn=arn,
        ActionNames=["s3:GetObject", "s3:PutObject"],
        ResourceArns=["arn:aws:s3:::b/k", "arn:aws:s3:::b/secret"],
    )["EvaluationResults"]
    assert [r["EvalDecision"] for r in found] == ["allowed", "explicitDeny", "implicitDeny", "implicitDeny"]
    custom = iam.simulate_custom_policy(PolicyInputList=[DOCUMENT], ActionNames=["ec2:RunInstances"])
    assert custom["EvaluationResults"][0]["EvalDecision"] == "allowed"
    other = box.client("iam", "mallory")
    assert refused(other.simulate_principal_policy, PolicySourceArn=arn, ActionNames=["s3:GetObject"]) == (
        "NoSuchEntity",
        404,
    )


@pytest.mark.parametrize(
    "pairs",
    [
        [("Action", "CreateUser")],
        [("Action", "CreateUser"), ("UserName", "x"), ("PermissionsBoundary", "y")],
        [("Action", "CreateUser"), ("UserName", "x"), ("Tags.member.x.Key", "y")],
        [("Action", "CreateUser"), ("UserName", "x"), ("Tags.1.Key", "y")],
        [("Action", "CreateUser"), ("UserName.member.1", "x")],
        [("Action", "ListUsers"), ("MaxItems", "many")],
        [("Action", "ListUsers"), ("MaxItems", "1" * 400)],
        [("Action", "CreateUser"), ("UserName", "x"), ("Version", "1999-01-01")],
    ],
)
def test_parameters_that_are_none_are_refused(box: CloudBox, pairs: list[tuple[str, str]]) -> None:
    answer = Raw(box).v4(pairs, service="iam")
    assert (answer.status, b"ValidationError" in answer.body) == (400, True)


def test_an_unknown_action_is_refused(box: CloudBox) -> None:
    answer = Raw(box).v4([("Action", "CreateSAMLProvider")], service="iam")
    assert (answer.status, b"InvalidAction" in answer.body) == (400, True)


def test_a_secret_is_told_once(box: CloudBox, iam: Any) -> None:
    key = box.iam_user("secretive")
    [row] = box.rows("clc", "SELECT * FROM access_key WHERE access_key_id = ?", key["AccessKeyId"])
    assert key["SecretAccessKey"] not in repr(row)
    assert "SecretAccessKey" not in repr(iam.list_access_keys(UserName="secretive"))


def test_everything_is_there_after_a_restart_of_walrus(box: CloudBox) -> None:
    box.iam_user("durable", ALLOW_ALL)
    rows = box.rows("walrus", "SELECT value FROM meta WHERE name = 'rights'")
    assert rows and "documents" in rows[0]["value"]


def test_an_error_is_said_as_iam_says_it(iam: Any) -> None:
    with pytest.raises(ClientError, match="The user with name nobody cannot be found"):
        iam.get_user(UserName="nobody")
