"""Instance profiles: from IAM to the credentials that a guest finds in its metadata, used by boto3."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.cloud_box import CloudBox, refused, running_cloud

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
    with running_cloud(tmp_path_factory.mktemp("profiles")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def image(box: CloudBox) -> str:
    iam = box.client("iam")
    for name, policy in (("reader", "AmazonEC2ReadOnlyAccess"), ("storer", "AmazonS3FullAccess")):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
        iam.create_instance_profile(InstanceProfileName=f"{name}-profile")
        iam.add_role_to_instance_profile(InstanceProfileName=f"{name}-profile", RoleName=name)
    return box.register_images()[2]


def metadata(box: CloudBox, instance_id: str, path: str) -> tuple[int, str]:
    """As the guest itself asks."""
    private_ip = box.instance(instance_id)["PrivateIpAddress"]
    gateway = str(box.app.plan.gateway) if box.app.plan else ""
    connection = http.client.HTTPConnection(
        gateway, box.metadata_port, timeout=10, source_address=(private_ip, 0)
    )
    try:
        connection.request("GET", f"/latest/meta-data/{path}")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def credentials(box: CloudBox, instance_id: str, role: str) -> dict[str, str]:
    path = f"iam/security-credentials/{role}"
    box.until(lambda: metadata(box, instance_id, path)[0] == 200)
    found: dict[str, str] = json.loads(metadata(box, instance_id, path)[1])
    return found


def as_key(found: dict[str, str]) -> dict[str, str]:
    return {
        "AccessKeyId": found["AccessKeyId"],
        "SecretAccessKey": found["SecretAccessKey"],
        "SessionToken": found["Token"],
    }


def test_a_guest_finds_its_roles_credentials_and_they_do_what_the_role_may(box: CloudBox, image: str) -> None:
    [instance] = box.run_instances(image, IamInstanceProfile={"Name": "reader-profile"})
    box.until_state(instance, "running")
    shown = box.instance(instance)["IamInstanceProfile"]
    assert shown["Arn"] == f"arn:aws:iam::{box.account()}:instance-profile/reader-profile"
    found = credentials(box, instance, "reader")
    assert (found["Code"], found["Type"]) == ("Success", "AWS-HMAC")
    assert metadata(box, instance, "iam/security-credentials/") == (200, "reader")
    info = json.loads(metadata(box, instance, "iam/info")[1])
    assert info["InstanceProfileArn"] == shown["Arn"] and info["InstanceProfileId"] == shown["Id"]
    who = box.client_of("sts", as_key(found)).get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::{box.account()}:assumed-role/reader/{instance}"
    ec2 = box.client_of("ec2", as_key(found))
    ec2.describe_instances()
    assert refused(ec2.terminate_instances, InstanceIds=[instance])[0] == "UnauthorizedOperation"
    box.terminate([instance])


def test_a_profile_is_given_changed_and_taken_away_while_the_guest_runs(box: CloudBox, image: str) -> None:
    ec2 = box.ec2()
    [instance] = box.run_instances(image)
    box.until_state(instance, "running")
    assert metadata(box, instance, "iam/info")[0] == 404
    asked = {"InstanceId": instance, "IamInstanceProfile": {"Name": "reader-profile"}}
    made = ec2.associate_iam_instance_profile(**asked)["IamInstanceProfileAssociation"]
    assert refused(ec2.associate_iam_instance_profile, **asked) == ("IncorrectState", 400)
    credentials(box, instance, "reader")
    box.until(lambda: associations(ec2, instance) == ["associated"])
    arn = f"arn:aws:iam::{box.account()}:instance-profile/storer-profile"
    changed = ec2.replace_iam_instance_profile_association(
        AssociationId=made["AssociationId"], IamInstanceProfile={"Arn": arn}
    )["IamInstanceProfileAssociation"]
    key = as_key(credentials(box, instance, "storer"))
    box.until_walrus_knows()
    box.client_of("s3", key).list_buckets()
    assert metadata(box, instance, "iam/security-credentials/") == (200, "storer")
    ec2.disassociate_iam_instance_profile(AssociationId=changed["AssociationId"])
    box.until(lambda: metadata(box, instance, "iam/info")[0] == 404)
    box.until(lambda: associations(ec2, instance) == [])
    box.terminate([instance])


def associations(ec2: Any, instance_id: str) -> list[str]:
    found = ec2.describe_iam_instance_profile_associations(
        Filters=[{"Name": "instance-id", "Values": [instance_id]}]
    )
    return [a["State"] for a in found["IamInstanceProfileAssociations"]]


def test_a_node_that_lost_them_gets_them_again_and_deleted_roles_are_over(box: CloudBox, image: str) -> None:
    iam = box.client("iam")
    iam.create_role(RoleName="short", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="short-profile")
    [instance] = box.run_instances(image, IamInstanceProfile={"Name": "short-profile"})
    box.until_state(instance, "running")
    box.until(lambda: metadata(box, instance, "iam/info")[0] == 200)
    assert metadata(box, instance, "iam/security-credentials/")[0] == 404  # no role in the profile yet
    iam.add_role_to_instance_profile(InstanceProfileName="short-profile", RoleName="short")
    key = as_key(credentials(box, instance, "short"))
    box.in_trio(box.app.nc.credentials.clear)
    assert metadata(box, instance, "iam/info")[0] == 404
    box.in_trio(box.app.clc.profiles_bell.ring)  # what the loop does each minute
    assert as_key(credentials(box, instance, "short")) == key
    iam.remove_role_from_instance_profile(InstanceProfileName="short-profile", RoleName="short")
    box.until(lambda: metadata(box, instance, "iam/security-credentials/")[0] == 404)
    iam.delete_role(RoleName="short")
    assert refused(box.client_of("sts", key).get_caller_identity) == ("InvalidClientTokenId", 403)
    box.terminate([instance])


def test_giving_a_role_away_needs_the_right_to(box: CloudBox, image: str) -> None:
    account = box.account()
    every = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    pass_role = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": f"arn:aws:iam::{account}:role/reader",
        "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    }
    ec2 = box.client_of("ec2", box.iam_user("giver", every, pass_role))
    asked = {"ImageId": image, "MinCount": 1, "MaxCount": 1, "DryRun": True}
    assert refused(ec2.run_instances, **asked, IamInstanceProfile={"Name": "reader-profile"})[0] == (
        "DryRunOperation"
    )
    assert refused(ec2.run_instances, **asked, IamInstanceProfile={"Name": "storer-profile"})[1] == 403


@pytest.mark.parametrize(
    "profile",
    [
        {"Name": "nobodys"},
        {"Name": ""},
        {"Arn": "arn:aws:iam::000000000000:instance-profile/reader-profile"},
        {"Arn": "nonsense"},
        {"Name": "storer-profile", "Arn": "arn:aws:iam::{account}:instance-profile/reader-profile"},
    ],
)
def test_profiles_that_are_not_there_are_refused(box: CloudBox, image: str, profile: dict[str, str]) -> None:
    given = {name: text.replace("{account}", box.account()) for name, text in profile.items()}
    asked = {"ImageId": image, "MinCount": 1, "MaxCount": 1, "IamInstanceProfile": given}
    assert refused(box.ec2().run_instances, **asked) == ("InvalidParameterValue", 400)
    other = box.ec2("mallory")
    asked["IamInstanceProfile"] = {"Name": "reader-profile"}
    assert refused(other.run_instances, **asked) == ("InvalidParameterValue", 400)


def test_secrets_of_guests_are_on_no_disk(box: CloudBox, image: str) -> None:
    [instance] = box.run_instances(image, IamInstanceProfile={"Name": "reader-profile"})
    box.until_state(instance, "running")
    found = credentials(box, instance, "reader")
    assert time.strptime(found["Expiration"], "%Y-%m-%dT%H:%M:%SZ")
    for path in box.data_dir.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert found["SecretAccessKey"].encode() not in content, path
            assert found["Token"].encode() not in content, path
    box.terminate([instance])
