"""Policies of users at the front doors: EC2, S3, IAM and STS by boto3."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.cloud_box import RAMDISK, CloudBox, refused, running_cloud, tagged

EC2_DENIED, DENIED = ("UnauthorizedOperation", 403), ("AccessDenied", 403)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("rights")) as cloud:
        yield cloud


def allow(action: Any, resource: Any = "*", **condition: Any) -> dict[str, Any]:
    more = {"Condition": condition} if condition else {}
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*") -> dict[str, Any]:
    return {**allow(action, resource), "Effect": "Deny"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def test_a_user_without_a_policy_may_nothing_but_ask_who_it_is(box: CloudBox) -> None:
    key = box.iam_user("nobody")
    assert box.client_of("sts", key).get_caller_identity()["Account"] == box.account()
    ec2, s3, iam = (box.client_of(service, key) for service in ("ec2", "s3", "iam"))
    assert refused(ec2.describe_instances) == EC2_DENIED
    assert refused(ec2.create_key_pair, KeyName="k") == EC2_DENIED
    assert refused(s3.list_buckets) == DENIED
    assert refused(s3.create_bucket, Bucket="nobodys") == DENIED
    assert refused(iam.list_users) == DENIED
    assert refused(iam.get_user) == DENIED


def test_the_refusal_says_who_what_and_why(box: CloudBox) -> None:
    key = box.iam_user("told", deny("ec2:*"))
    with pytest.raises(ClientError, match=r"user/told is not authorized to perform: ec2:.*explicit deny"):
        box.client_of("ec2", key).describe_instances()
    with pytest.raises(ClientError, match=r"iam:ListUsers on resource: .* no identity-based policy"):
        box.client_of("iam", key).list_users()


def test_rights_come_from_groups_and_go_with_them(box: CloudBox) -> None:
    iam, key = box.client("iam"), box.iam_user("member")
    ec2, s3 = box.client_of("ec2", key), box.client_of("s3", key)
    iam.create_group(GroupName="readers")
    for name in ("AmazonEC2ReadOnlyAccess", "AmazonS3ReadOnlyAccess"):
        iam.attach_group_policy(GroupName="readers", PolicyArn=f"arn:aws:iam::aws:policy/{name}")
    assert refused(ec2.describe_instances) == EC2_DENIED
    iam.add_user_to_group(GroupName="readers", UserName="member")
    ec2.describe_instances()
    assert refused(ec2.create_key_pair, KeyName="k") == EC2_DENIED
    box.until_walrus_knows()
    s3.list_buckets()
    iam.remove_user_from_group(GroupName="readers", UserName="member")
    assert refused(ec2.describe_instances) == EC2_DENIED
    box.until_walrus_knows()
    assert refused(s3.list_buckets) == DENIED


def test_a_new_default_version_of_a_policy_acts_at_once(box: CloudBox) -> None:
    iam, key = box.client("iam"), box.iam_user("versioned")
    arn = iam.create_policy(PolicyName="versioned", PolicyDocument=policy(allow("ec2:*")))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="versioned", PolicyArn=arn)
    ec2 = box.client_of("ec2", key)
    ec2.describe_regions()
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(allow("s3:*")), SetAsDefault=True)
    assert refused(ec2.describe_regions) == EC2_DENIED
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    ec2.describe_regions()


def test_resources_are_told_apart_by_id_name_and_tag(box: CloudBox) -> None:
    account, root = box.account(), box.ec2()
    mine, other = (root.create_security_group(GroupName=n, Description="d")["GroupId"] for n in ("a1", "a2"))
    root.create_tags(Resources=[mine], Tags=[{"Key": "owner", "Value": "sg-user"}])
    groups = f"arn:aws:ec2:us-east-1:{account}:security-group"
    by_id = box.client_of("ec2", box.iam_user("by-id", allow("ec2:*", f"{groups}/{mine}")))
    by_tag = box.client_of(
        "ec2",
        box.iam_user(
            "sg-user", allow("ec2:*", "*", StringEquals={"aws:ResourceTag/owner": "${aws:username}"})
        ),
    )
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "CidrIp": "0.0.0.0/0"}
    for client, port in ((by_id, 81), (by_tag, 82)):
        client.authorize_security_group_ingress(GroupId=mine, **{**rule, "FromPort": port, "ToPort": port})
        assert refused(client.authorize_security_group_ingress, GroupId=other, **rule) == EC2_DENIED
        assert refused(client.delete_security_group, GroupName="a2") == EC2_DENIED
        assert refused(client.describe_security_groups) == EC2_DENIED  # it has no resource of its own
    by_id.delete_security_group(GroupName="a1")
    root.delete_security_group(GroupId=other)


def test_launching_needs_every_resource_and_conditions_hold_for_each(box: CloudBox) -> None:
    _, _, image = box.register_images()
    account = box.account()
    every = [
        f"arn:aws:ec2:*:{account}:{kind}/*"
        for kind in ("instance", "volume", "network-interface", "security-group", "key-pair", "subnet")
    ]
    small = {"StringEquals": {"ec2:InstanceType": "m1.small"}}
    key = box.iam_user(
        "launcher",
        allow("ec2:RunInstances", [*every[1:], f"arn:aws:ec2:*::image/{image}"]),
        allow("ec2:RunInstances", every[0], **small),
        allow("ec2:TerminateInstances", every[0]),
    )
    ec2 = box.client_of("ec2", key)
    asked = {"ImageId": image, "MinCount": 1, "MaxCount": 1}
    assert refused(ec2.run_instances, **asked, InstanceType="c1.medium") == EC2_DENIED
    assert refused(ec2.run_instances, **{**asked, "ImageId": "emi-00000000"}, InstanceType="m1.small") == (
        EC2_DENIED
    )
    with_tags = tagged("instance", team="x")
    assert refused(ec2.run_instances, **asked, InstanceType="m1.small", TagSpecifications=with_tags) == (
        EC2_DENIED
    )
    narrow = box.iam_user(
        "no-groups", allow("ec2:RunInstances", [*every[:3], f"arn:aws:ec2:*::image/{image}"])
    )
    group = box.ec2().create_security_group(GroupName="in-structure", Description="d")["GroupId"]
    interface = {"DeviceIndex": 0, "Groups": [group]}
    by_structure = box.client_of("ec2", narrow)
    assert refused(by_structure.run_instances, **asked, NetworkInterfaces=[interface]) == EC2_DENIED
    assert refused(by_structure.run_instances, **asked, DryRun=True)[0] == "DryRunOperation"
    [made] = ec2.run_instances(**asked, InstanceType="m1.small")["Instances"]
    assert box.instance(made["InstanceId"])["InstanceType"] == "m1.small"
    assert refused(ec2.stop_instances, InstanceIds=[made["InstanceId"]]) == EC2_DENIED
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    box.until_state(made["InstanceId"], "terminated")


def test_a_dry_run_tells_whether_one_may(box: CloudBox) -> None:
    ec2 = box.client_of("ec2", box.iam_user("dry", allow("ec2:CreateKeyPair")))
    assert refused(ec2.create_key_pair, KeyName="x", DryRun=True)[0] == "DryRunOperation"
    assert refused(ec2.allocate_address, DryRun=True) == EC2_DENIED


def test_buckets_of_the_account_are_a_users_as_far_as_policies_say(box: CloudBox) -> None:
    s3 = box.client("s3")
    s3.create_bucket(Bucket="shared-rights")
    s3.put_object(Bucket="shared-rights", Key="home/eve/x", Body=b"secret")
    home = "arn:aws:s3:::shared-rights/home/${aws:username}/*"
    prefix = {"StringLike": {"s3:prefix": "home/${aws:username}/*"}}
    key = box.iam_user(
        "bob", allow("s3:*Object", home), allow("s3:ListBucket", "arn:aws:s3:::shared-rights", **prefix)
    )
    bobs = box.client_of("s3", key)
    bobs.put_object(Bucket="shared-rights", Key="home/bob/x", Body=b"mine")
    assert bobs.get_object(Bucket="shared-rights", Key="home/bob/x")["Body"].read() == b"mine"
    assert refused(bobs.get_object, Bucket="shared-rights", Key="home/eve/x") == DENIED
    assert refused(bobs.put_object, Bucket="shared-rights", Key="home/eve/x", Body=b"") == DENIED
    assert refused(bobs.list_objects_v2, Bucket="shared-rights") == DENIED
    found = bobs.list_objects_v2(Bucket="shared-rights", Prefix="home/bob/")["Contents"]
    assert [o["Key"] for o in found] == ["home/bob/x"]
    assert refused(bobs.delete_bucket, Bucket="shared-rights") == DENIED
    assert refused(bobs.put_bucket_acl, Bucket="shared-rights", ACL="public-read") == DENIED
    owner = s3.get_object_attributes(Bucket="shared-rights", Key="home/bob/x", ObjectAttributes=["ETag"])
    assert owner["ETag"]  # what a user wrote is the account's


def test_a_bucket_policy_gives_a_user_what_it_has_not_and_a_deny_of_its_own_stays(box: CloudBox) -> None:
    s3, account = box.client("s3"), box.account()
    s3.create_bucket(Bucket="given-rights")
    s3.put_object(Bucket="given-rights", Key="k", Body=b"v")
    named, denied = (box.iam_user(n, *s) for n, s in (("named", ()), ("denied", (deny("s3:*"),))))
    unnamed = box.iam_user("unnamed")
    users = [f"arn:aws:iam::{account}:user/{name}" for name in ("named", "denied")]
    get = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::given-rights/*"}
    s3.put_bucket_policy(Bucket="given-rights", Policy=policy({**get, "Principal": {"AWS": users}}))
    assert box.client_of("s3", named).get_object(Bucket="given-rights", Key="k")["Body"].read() == b"v"
    assert refused(box.client_of("s3", denied).get_object, Bucket="given-rights", Key="k") == DENIED
    assert refused(box.client_of("s3", unnamed).get_object, Bucket="given-rights", Key="k") == DENIED
    s3.put_bucket_policy(Bucket="given-rights", Policy=policy({**get, "Principal": {"AWS": account}}))
    # The account's root is meant: it gives on by policies of its users.
    assert refused(box.client_of("s3", named).get_object, Bucket="given-rights", Key="k") == DENIED


def test_another_accounts_bucket_needs_both_sides(box: CloudBox) -> None:
    s3, account = box.client("s3", "mallory"), box.account()
    s3.create_bucket(Bucket="across-rights")
    s3.put_object(Bucket="across-rights", Key="k", Body=b"v")
    may, may_not = box.iam_user("across", allow("s3:*")), box.iam_user("across-not")
    get = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::across-rights/*"}
    s3.put_bucket_policy(Bucket="across-rights", Policy=policy({**get, "Principal": {"AWS": account}}))
    assert box.client_of("s3", may).get_object(Bucket="across-rights", Key="k")["Body"].read() == b"v"
    assert refused(box.client_of("s3", may_not).get_object, Bucket="across-rights", Key="k") == DENIED
    assert refused(box.client_of("s3", may).put_object, Bucket="across-rights", Key="k") == DENIED


def test_images_are_registered_from_objects_that_the_user_may_read(box: CloudBox) -> None:
    s3 = box.client("s3")
    s3.create_bucket(Bucket="rights-images")
    s3.put_object(Bucket="rights-images", Key="initrd-x", Body=RAMDISK)
    may = box.iam_user("may-register", allow(["ec2:RegisterImage", "s3:Get*", "s3:List*"]))
    may_not = box.iam_user("may-not-register", allow("ec2:RegisterImage"))
    asked = {"ImageLocation": "rights-images/initrd-x", "Name": "rights-x"}
    code, status = refused(box.client_of("ec2", may_not).register_image, **asked)
    assert status in (400, 403), code
    box.client_of("ec2", may).register_image(**asked)


def test_users_manage_themselves_where_a_policy_lets_them(box: CloudBox) -> None:
    own = f"arn:aws:iam::{box.account()}:user/${{aws:username}}"
    key = box.iam_user("selfish", allow(["iam:*AccessKey*", "iam:GetUser"], own))
    iam = box.client_of("iam", key)
    assert iam.get_user()["User"]["UserName"] == "selfish"
    made = iam.create_access_key()["AccessKey"]
    iam.delete_access_key(AccessKeyId=made["AccessKeyId"])
    assert refused(iam.create_access_key, UserName="alice") == DENIED
    assert refused(iam.put_user_policy, UserName="selfish", PolicyName="p", PolicyDocument="{}") == DENIED
    assert refused(iam.attach_user_policy, UserName="selfish", PolicyArn="arn:aws:iam::aws:policy/x") == (
        DENIED
    )
    assert refused(iam.delete_user, UserName="alice") == DENIED


def test_power_users_do_everything_but_people(box: CloudBox) -> None:
    key = box.iam_user("power")
    box.client("iam").attach_user_policy(
        UserName="power", PolicyArn="arn:aws:iam::aws:policy/PowerUserAccess"
    )
    box.client_of("ec2", key).describe_instances()
    assert refused(box.client_of("iam", key).list_users) == DENIED


def test_conditions_on_where_a_request_comes_from(box: CloudBox) -> None:
    here = box.iam_user("here", allow("ec2:*", IpAddress={"aws:SourceIp": "127.0.0.0/8"}))
    elsewhere = box.iam_user("elsewhere", allow("ec2:*", IpAddress={"aws:SourceIp": "192.0.2.0/24"}))
    box.client_of("ec2", here).describe_regions()
    assert refused(box.client_of("ec2", elsewhere).describe_regions) == EC2_DENIED


def test_nobody_else_has_the_operations_of_the_operator(box: CloudBox) -> None:
    from euca_box.messages import admin
    from euca_box.messages.base import Call
    from euca_box.model.errors import AccessDeniedByPolicy

    for user in ("alice", "mallory"):
        principal = box.app.keyring.find(box.credentials(user)[0])
        assert principal is not None
        call = Call(principal.principal, "r")
        for op in (admin.ListUsers(), admin.GetUserKeys("admin"), admin.SetPassword("admin", "x" * 12)):
            with pytest.raises(AccessDeniedByPolicy):
                box.await_in_trio(box.app.bus.ask, "clc", op, call)


# STS


def trust(*principals: str, **condition: Any) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": "sts:AssumeRole"}
    return policy({**statement, **({"Condition": condition} if condition else {})})


def test_a_role_is_put_on_and_does_what_it_may(box: CloudBox) -> None:
    iam, account = box.client("iam"), box.account()
    key = box.iam_user("actor", allow("sts:AssumeRole", f"arn:aws:iam::{account}:role/*"))
    other = box.iam_user("no-actor")
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust(account))["Role"]
    iam.attach_role_policy(RoleName="reader", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess")
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "session-1"}
    assert refused(box.client_of("sts", other).assume_role, **asked) == DENIED
    found = box.client_of("sts", key).assume_role(**asked)
    assert found["AssumedRoleUser"]["AssumedRoleId"] == f"{role['RoleId']}:session-1"
    sts, ec2 = (box.client_of(s, found["Credentials"]) for s in ("sts", "ec2"))
    who = sts.get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::{account}:assumed-role/reader/session-1"
    assert who["UserId"] == f"{role['RoleId']}:session-1"
    ec2.describe_instances()
    assert refused(ec2.create_key_pair, KeyName="k") == EC2_DENIED
    box.until_walrus_knows()
    assert refused(box.client_of("s3", found["Credentials"]).list_buckets) == DENIED
    assert refused(sts.get_session_token) == DENIED
    iam.detach_role_policy(RoleName="reader", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess")
    assert refused(ec2.describe_instances) == EC2_DENIED
    iam.delete_role(RoleName="reader")
    assert refused(sts.get_caller_identity) == ("InvalidClientTokenId", 403)


def test_a_role_narrows_its_session_by_policies(box: CloudBox) -> None:
    iam, account = box.client("iam"), box.account()
    role = iam.create_role(RoleName="wide", AssumeRolePolicyDocument=trust(account))["Role"]
    iam.put_role_policy(RoleName="wide", PolicyName="all", PolicyDocument=policy(allow("*")))
    sts = box.client("sts")
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "narrow"}
    found = sts.assume_role(**asked, Policy=policy(allow("s3:*")))
    assert 0 < found["PackedPolicySize"] <= 100
    box.until_walrus_knows()
    box.client_of("s3", found["Credentials"]).list_buckets()
    assert refused(box.client_of("ec2", found["Credentials"]).describe_regions) == EC2_DENIED
    by_arn = sts.assume_role(**asked, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"}])
    box.client_of("ec2", by_arn["Credentials"]).describe_regions()
    assert refused(sts.assume_role, **asked, Policy="{}")[0] == "MalformedPolicyDocument"
    large = policy({**allow("*"), "Sid": "x" * 2100})
    assert refused(sts.assume_role, **asked, Policy=large)[0] == "PackedPolicyTooLarge"


def test_roles_of_other_accounts_need_trust_and_a_policy(box: CloudBox) -> None:
    iam = box.client("iam", "mallory")
    role = iam.create_role(RoleName="open", AssumeRolePolicyDocument=trust(box.account()))["Role"]
    closed = iam.create_role(RoleName="closed", AssumeRolePolicyDocument=trust(box.account("mallory")))[
        "Role"
    ]
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "visit"}
    found = box.client("sts").assume_role(**asked)
    who = box.client_of("sts", found["Credentials"]).get_caller_identity()
    assert who["Account"] == box.account("mallory")
    visitor = box.client_of("sts", box.iam_user("visitor"))
    assert refused(visitor.assume_role, **asked) == DENIED
    assert refused(box.client("sts").assume_role, **{**asked, "RoleArn": closed["Arn"]}) == DENIED
    absent = closed["Arn"].replace("closed", "absent")
    assert refused(box.client("sts").assume_role, **{**asked, "RoleArn": absent}) == DENIED


def test_an_external_id_is_asked_for_where_the_trust_policy_says_so(box: CloudBox) -> None:
    wanted = {"StringEquals": {"sts:ExternalId": "4711"}}
    role = box.client("iam").create_role(
        RoleName="external", AssumeRolePolicyDocument=trust(box.account(), **wanted)
    )["Role"]
    sts, asked = box.client("sts"), {"RoleArn": role["Arn"], "RoleSessionName": "ext"}
    assert refused(sts.assume_role, **asked) == DENIED
    assert refused(sts.assume_role, **asked, ExternalId="4712") == DENIED
    sts.assume_role(**asked, ExternalId="4711")
    assert refused(sts.assume_role, **asked, ExternalId="4711", DurationSeconds=3601)[0] == "ValidationError"
    assert refused(sts.assume_role, **{**asked, "RoleSessionName": "no name"})[0] == "ValidationError"


def test_a_federated_user_may_what_both_policies_allow(box: CloudBox) -> None:
    key = box.iam_user("broker", allow(["sts:GetFederationToken", "s3:*"]))
    sts = box.client_of("sts", key)
    nothing = sts.get_federation_token(Name="guest")
    assert nothing["FederatedUser"]["Arn"] == f"arn:aws:sts::{box.account()}:federated-user/guest"
    box.until_walrus_knows()
    assert refused(box.client_of("s3", nothing["Credentials"]).list_buckets) == DENIED
    both = sts.get_federation_token(Name="guest", Policy=policy(allow("*")))
    box.client_of("s3", both["Credentials"]).list_buckets()
    assert refused(box.client_of("ec2", both["Credentials"]).describe_regions) == EC2_DENIED
    assert refused(box.client_of("iam", both["Credentials"]).list_users) == DENIED


def test_the_administrators_federated_users_administrate_nothing(box: CloudBox) -> None:
    token = box.client("sts", "admin").get_federation_token(Name="guest", Policy=policy(allow("*")))
    iam = box.client_of("iam", token["Credentials"])
    users = [user["UserName"] for user in iam.list_users()["Users"]]
    assert users == ["admin"]
    assert (
        refused(box.client_of("ec2", token["Credentials"]).describe_instances, InstanceIds=["verbose"])[1]
        == 400
    )
