"""The AWS CLI as a user runs it: a program of its own, told by its environment alone where the cloud is.

No flag names the endpoint and no file is read from the user's home, so that what is tested is what
`euca-box credentials` promises. Every run is a new process and takes about a second.
"""

import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.cloud_box import FILE_SYSTEM, KERNEL, RAMDISK, CloudBox, running_cloud

MIB = 1 << 20
SECONDS = 60.0
PROGRAMS = Path(sys.executable).parent
# What AWS CLI 1 ends with (its clidriver.py and argparse); version 2 says 254 and 252.
REFUSED, USAGE = 255, 2

Ran = subprocess.CompletedProcess[str]
Program = Callable[..., Ran]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        yield box


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty: nothing of the person who runs the tests may answer for the cloud."""
    return tmp_path_factory.mktemp("home")


def environment(home: Path, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "EUCA_"))}
    own = {"HOME": str(home), "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
    return clean | own | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"} | more


def keys_of(box: CloudBox, user: str) -> dict[str, str]:
    key, secret = box.credentials(user)
    return {
        "AWS_ENDPOINT_URL": box.url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def run(argv: list[str], variables: dict[str, str]) -> Ran:
    return subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.fixture(scope="module")
def aws(box: CloudBox, home: Path) -> Program:
    """Run `aws ...` as a user of the box, and get its end, whatever it is."""

    def program(*args: object, user: str = "alice", **variables: str) -> Ran:
        found = environment(home, **(keys_of(box, user) | variables))
        return run([str(PROGRAMS / "aws"), *map(str, args)], found)

    return program


def said(ran: Ran) -> str:
    """What a run that went well printed."""
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def found(ran: Ran) -> Any:
    """The JSON that a run printed."""
    return json.loads(said(ran))


def uploaded(aws: Program, folder: Path, bucket: str, **files: bytes) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    said(aws("s3", "mb", f"s3://{bucket}"))
    said(aws("s3", "sync", folder, f"s3://{bucket}"))


# STS


def test_get_caller_identity_names_the_user(box: CloudBox, aws: Program) -> None:
    who = found(aws("sts", "get-caller-identity"))
    assert who["Account"] == box.account()
    assert who["Arn"] == f"arn:aws:iam::{box.account()}:user/alice"


# S3


@pytest.mark.parametrize("size", [0, 5, 20 * MIB + 3])
def test_s3_cp_there_and_back_is_the_same_file(aws: Program, tmp_path: Path, size: int) -> None:
    """20 MiB go in parts of 8 MiB, the CLI's own threshold."""
    data = os.urandom(size)
    (tmp_path / "there").write_bytes(data)
    bucket = f"s3://cp-{size}"

    said(aws("s3", "mb", bucket))
    said(aws("s3", "cp", tmp_path / "there", f"{bucket}/a dir/ä+b"))
    said(aws("s3", "cp", f"{bucket}/a dir/ä+b", tmp_path / "back"))

    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == hashlib.sha256(data).digest()
    parts = found(aws("s3api", "head-object", "--bucket", bucket[5:], "--key", "a dir/ä+b"))["ETag"]
    assert parts.strip('"').endswith("-3") == (size > 8 * MIB)


def test_s3_sync_moves_what_changed_and_deletes_what_is_gone(aws: Program, tmp_path: Path) -> None:
    local, copy = tmp_path / "local", tmp_path / "copy"
    (local / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        (local / name).write_text(name * 10)
    said(aws("s3", "mb", "s3://synced"))
    assert said(aws("s3", "sync", "--no-progress", local, "s3://synced")).count("upload:") == 3
    assert said(aws("s3", "sync", "--no-progress", local, "s3://synced")) == ""

    (local / "a").write_text("longer than it was")
    (local / "b").unlink()
    changed = said(aws("s3", "sync", "--no-progress", "--delete", local, "s3://synced"))
    assert sorted(line.split(":")[0] for line in changed.splitlines()) == ["delete", "upload"]

    said(aws("s3", "sync", "s3://synced", copy))
    assert {str(p.relative_to(copy)) for p in copy.rglob("*") if p.is_file()} == {"a", "sub/c"}
    assert (copy / "a").read_text() == "longer than it was"


def test_s3_ls_shows_buckets_folders_and_sums(aws: Program, tmp_path: Path) -> None:
    uploaded(aws, tmp_path, "listed", one=b"1", two=b"22")
    said(aws("s3", "cp", tmp_path / "two", "s3://listed/deep/two"))

    assert "listed" in [line.split()[-1] for line in said(aws("s3", "ls")).splitlines()]
    assert [line.split()[-1] for line in said(aws("s3", "ls", "s3://listed")).splitlines()] == [
        "deep/",
        "one",
        "two",
    ]
    summed = said(aws("s3", "ls", "--recursive", "--summarize", "--page-size", "1", "s3://listed"))
    assert "Total Objects: 3" in summed
    assert "Total Size: 5" in summed


def test_s3_rb_wants_an_empty_bucket_unless_it_is_forced(aws: Program, tmp_path: Path) -> None:
    uploaded(aws, tmp_path, "full", one=b"1", two=b"2")

    refused = aws("s3", "rb", "s3://full")
    assert refused.returncode == 1
    assert "BucketNotEmpty" in refused.stderr

    said(aws("s3", "rm", "s3://full/one"))
    said(aws("s3", "rb", "--force", "s3://full"))
    gone = aws("s3", "ls", "s3://full")
    assert (gone.returncode, "NoSuchBucket" in gone.stderr) == (REFUSED, True)


def test_s3_presign_gives_a_link_that_opens_one_object_only(
    box: CloudBox, aws: Program, tmp_path: Path
) -> None:
    uploaded(aws, tmp_path, "linked", shown=b"for all to see", hidden=b"not this")

    link = said(aws("s3", "presign", "--expires-in", "60", "s3://linked/shown")).strip()

    assert link.startswith(box.url + "/linked/shown?")
    assert urllib.request.urlopen(link).read() == b"for all to see"
    # Version 1 of the CLI signs links as in 2006: `Expires` is a moment.
    for other in (link.replace("shown", "hidden"), link.replace("Expires=1", "Expires=2")):
        assert other != link
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(other)
        assert caught.value.code == 403


def test_s3_of_another_user_is_refused(aws: Program, tmp_path: Path) -> None:
    uploaded(aws, tmp_path, "hers", one=b"1")

    taken = aws("s3", "cp", "s3://hers/one", tmp_path / "stolen", user="mallory")

    assert (taken.returncode, (tmp_path / "stolen").exists()) == (1, False)
    assert "403" in taken.stderr


# EC2


def test_an_instance_from_key_pair_to_terminated(box: CloudBox, aws: Program, tmp_path: Path) -> None:
    image = registered(aws, tmp_path)
    key = found(aws("ec2", "create-key-pair", "--key-name", "cli", "--key-type", "ed25519"))
    assert key["KeyMaterial"].startswith("-----BEGIN ")
    group = opened_group(aws)

    asked = found(
        aws(
            *("ec2", "run-instances", "--image-id", image, "--count", "2", "--key-name", "cli"),
            *("--security-group-ids", group, "--instance-type", "m1.small", "--user-data", "#!/bin/sh"),
            *("--tag-specifications", "ResourceType=instance,Tags=[{Key=Name,Value=from the CLI}]"),
        )
    )
    ids = [instance["InstanceId"] for instance in asked["Instances"]]
    assert said(aws("ec2", "wait", "instance-running", "--instance-ids", *ids)) == ""
    states = "Reservations[].Instances[].[InstanceId,State.Name,KeyName,SecurityGroups[0].GroupId]"
    named = ("ec2", "describe-instances", "--filters", "Name=tag:Name,Values=from*")
    rows = said(aws(*named, "--query", states, "--output", "text"))
    assert sorted(rows.splitlines()) == sorted(f"{i}\trunning\tcli\t{group}" for i in ids)
    running = "Name=instance-state-name,Values=stopped,terminated"
    assert found(aws(*named, running)) == {"Reservations": []}

    ended = found(aws("ec2", "terminate-instances", "--instance-ids", *ids))["TerminatingInstances"]
    assert {i["CurrentState"]["Name"] for i in ended} == {"shutting-down"}
    assert said(aws("ec2", "wait", "instance-terminated", "--instance-ids", *ids)) == ""
    assert box.hypervisor.machines == {}
    # A waiter says so at once when what it waits for can no longer come.
    late = aws("ec2", "wait", "instance-running", "--instance-ids", ids[0])
    assert (late.returncode, "Waiter InstanceRunning failed" in late.stderr) == (REFUSED, True)


def registered(aws: Program, folder: Path) -> str:
    """A machine image with a kernel and a ramdisk of its own."""
    files = folder / "images"
    files.mkdir()
    uploaded(aws, files, "cli-images", kernel=KERNEL, ramdisk=RAMDISK, root=FILE_SYSTEM)
    ids = {}
    for name in ("kernel", "ramdisk"):
        place = f"cli-images/{name}"
        ids[name] = found(aws("ec2", "register-image", "--image-location", place, "--name", name))["ImageId"]
    assert {name: image[:4] for name, image in ids.items()} == {"kernel": "eki-", "ramdisk": "eri-"}
    root = found(
        aws(
            *("ec2", "register-image", "--image-location", "cli-images/root", "--name", "root"),
            *("--kernel-id", ids["kernel"], "--ramdisk-id", ids["ramdisk"]),
        )
    )["ImageId"]
    seen = found(aws("ec2", "describe-images", "--owners", "self", "--image-ids", root))["Images"]
    assert [(i["Name"], i["KernelId"], i["State"]) for i in seen] == [("root", ids["kernel"], "available")]
    return str(root)


def opened_group(aws: Program) -> str:
    """A security group with a rule of each kind."""
    made = ("ec2", "create-security-group", "--group-name", "cli", "--description", "of the CLI")
    group = str(found(aws(*made))["GroupId"])
    rule = ("ec2", "authorize-security-group-ingress", "--group-id", group)
    said(aws(*rule, "--protocol", "tcp", "--port", "22", "--cidr", "0.0.0.0/0"))
    said(aws(*rule, "--protocol", "all", "--source-group", group))
    said(aws(*rule, "--ip-permissions", '[{"IpProtocol":"icmp","FromPort":-1,"ToPort":-1,"IpRanges":'
             '[{"CidrIp":"10.0.0.0/8","Description":"ping"}]}]'))  # fmt: skip
    [shown] = found(aws("ec2", "describe-security-groups", "--group-ids", group))["SecurityGroups"]
    assert sorted(p["IpProtocol"] for p in shown["IpPermissions"]) == ["-1", "icmp", "tcp"]
    twice = aws(*rule, "--protocol", "tcp", "--port", "22", "--cidr", "0.0.0.0/0")
    assert (twice.returncode, "InvalidPermission.Duplicate" in twice.stderr) == (REFUSED, True)
    return group


def test_places_are_described(aws: Program) -> None:
    zones = ("ec2", "describe-availability-zones", "--query", "AvailabilityZones[].[ZoneName,State]")
    assert said(aws(*zones, "--output", "text")) == "us-east-1a\tavailable\n"
    assert "us-east-1" in said(aws("ec2", "describe-regions", "--output", "text"))
    wanted = ("--filters", "Name=instance-type,Values=m1.*")
    types = found(aws("ec2", "describe-instance-types", *wanted))["InstanceTypes"]
    assert "m1.small" in [t["InstanceType"] for t in types]
    assert all(t["InstanceType"].startswith("m1.") for t in types)


def test_lists_come_in_pages_of_the_size_that_is_asked_for(box: CloudBox, aws: Program) -> None:
    """EC2 wants pages of 5 at least, so there have to be more groups than that."""
    for n in range(7):
        box.ec2().create_security_group(GroupName=f"page-{n}", Description="d")
    listed = ("ec2", "describe-security-groups", "--query", "SecurityGroups[].GroupName", "--no-paginate")
    paged = (*listed[:-1], "--page-size", "5")
    whole = found(aws(*listed))
    assert len(whole) >= 8

    assert len(found(aws(*listed, "--max-results", "5"))) == 5
    assert sorted(found(aws(*paged))) == sorted(whole)
    first = found(aws("ec2", "describe-security-groups", "--page-size", "5", "--max-items", "6"))
    assert len(first["SecurityGroups"]) == 6
    rest = found(aws(*paged, "--starting-token", first["NextToken"]))
    assert sorted(rest + [group["GroupName"] for group in first["SecurityGroups"]]) == sorted(whole)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("ec2", "describe-instances", "--instance-ids", "i-00000000"), REFUSED,
         "(InvalidInstanceID.NotFound) when calling the DescribeInstances operation"),
        (("ec2", "describe-instances", "--instance-ids", "pear"), REFUSED, "InvalidInstanceID.Malformed"),
        (("ec2", "describe-instances", "--filters", "Name=nope,Values=x"), REFUSED,
         "The filter 'nope' is invalid"),
        (("ec2", "run-instances", "--image-id", "ami-00000000"), REFUSED, "InvalidAMIID.NotFound"),
        (("ec2", "describe-fpga-images",), REFUSED, "(UnsupportedOperation)"),
        (("s3api", "head-bucket", "--bucket", "absent-bucket"), REFUSED, "(404)"),
        (("s3api", "get-bucket-policy", "--bucket", "absent-bucket"), REFUSED, "(NoSuchBucket)"),
        (("s3api", "get-bucket-accelerate-configuration", "--bucket", "absent"), REFUSED, "(NotImplemented)"),
        (("ec2", "run-instances", "--count", "many"), REFUSED, "count"),
        (("ec2", "nothing-like-this"), USAGE, "choice"),
    ],
)  # fmt: skip
def test_a_refusal_is_an_exit_code_and_the_words_of_the_service(
    aws: Program, args: tuple[str, ...], code: int, words: str
) -> None:
    ran = aws(*args)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert words in ran.stderr


def test_dry_run_does_nothing_and_says_that_it_would_have(box: CloudBox, aws: Program) -> None:
    ran = aws("ec2", "create-key-pair", "--key-name", "never", "--dry-run")
    assert (ran.returncode, "(DryRunOperation)" in ran.stderr) == (REFUSED, True)
    assert "never" not in said(aws("ec2", "describe-key-pairs"))


@pytest.mark.parametrize(
    ("service", "code"),
    [(("ec2", "describe-regions"), "AuthFailure"), (("sts", "get-caller-identity"), "SignatureDoesNotMatch"),
     (("s3api", "list-buckets"), "SignatureDoesNotMatch")],
)  # fmt: skip
def test_a_wrong_secret_is_refused_by_every_service(
    aws: Program, service: tuple[str, ...], code: str
) -> None:
    ran = aws(*service, AWS_SECRET_ACCESS_KEY="wrong")
    assert (ran.returncode, f"({code})" in ran.stderr) == (REFUSED, True)


def test_a_path_of_1_6_works_as_the_endpoint_of_each_service(box: CloudBox, aws: Program) -> None:
    paths = {
        "AWS_ENDPOINT_URL_EC2": box.url + "/services/Eucalyptus",
        "AWS_ENDPOINT_URL_S3": box.url + "/services/Walrus",
        "AWS_ENDPOINT_URL_STS": box.url + "/services/Tokens",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    assert "us-east-1a" in said(aws("ec2", "describe-availability-zones", **paths))
    assert box.account() in said(aws("sts", "get-caller-identity", **paths))
    said(aws("s3", "mb", "s3://by-path", **paths))
    assert "by-path" in said(aws("s3", "ls", **paths))


# Our own commands around it


def euca_box(box: CloudBox, home: Path, *args: str) -> Ran:
    return run([str(PROGRAMS / "euca-box"), *args], environment(home))


def test_euca_box_aws_runs_the_cli_against_this_cloud(box: CloudBox, home: Path) -> None:
    command = ("aws", "--data-dir", str(box.data_dir))
    assert found(euca_box(box, home, *command, "sts", "get-caller-identity"))["Account"] == box.account(
        "admin"
    )
    mine = euca_box(
        box, home, *command, "--user", "alice", "sts", "get-caller-identity", "--query", "Account"
    )
    assert found(mine) == box.account()
    refused = euca_box(box, home, *command, "ec2", "describe-instances", "--instance-ids", "i-00000000")
    assert (refused.returncode, refused.stdout) == (REFUSED, "")
    assert "InvalidInstanceID.NotFound" in refused.stderr


def test_the_printed_variables_are_all_that_the_cli_needs(box: CloudBox, home: Path) -> None:
    printed = said(
        euca_box(box, home, "credentials", "alice", "--format", "env", "--data-dir", str(box.data_dir))
    )
    told = ["sh", "-c", 'eval "$0" && exec aws sts get-caller-identity --query Account', printed]
    assert found(run(told, environment(home))) == box.account()


def test_the_printed_profile_is_all_that_the_cli_needs(box: CloudBox, home: Path, tmp_path: Path) -> None:
    printed = said(
        euca_box(box, home, "credentials", "alice", "--format", "aws", "--data-dir", str(box.data_dir))
    )
    config, _, credentials = printed.partition("# ~/.aws/credentials")
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "config").write_text(config)
    (folder / "credentials").write_text(credentials)

    def by_profile(*args: str) -> Ran:
        return run([str(PROGRAMS / "aws"), "--profile", "euca-box", *args], environment(tmp_path))

    assert found(by_profile("sts", "get-caller-identity"))["Account"] == box.account()
    assert said(by_profile("s3", "mb", "s3://of-the-profile")).startswith("make_bucket")
    assert "us-east-1a" in said(by_profile("ec2", "describe-availability-zones"))


# IAM


def test_a_user_from_her_policy_to_her_role(box: CloudBox, aws: Program, tmp_path: Path) -> None:
    account = box.account()
    trust = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    (tmp_path / "trust.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    put_on = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{account}:role/cli"}
    (tmp_path / "policy.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [put_on]}))
    assert found(aws("iam", "create-user", "--user-name", "cli-user"))["User"]["UserName"] == "cli-user"
    key = found(aws("iam", "create-access-key", "--user-name", "cli-user"))["AccessKey"]
    as_her = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    refused = aws("ec2", "describe-instances", **as_her)
    assert refused.returncode == REFUSED and "UnauthorizedOperation" in refused.stderr
    policy = f"file://{tmp_path}/policy.json"
    said(
        aws(
            "iam",
            "put-user-policy",
            "--user-name",
            "cli-user",
            "--policy-name",
            "p",
            "--policy-document",
            policy,
        )
    )
    trust_file = f"file://{tmp_path}/trust.json"
    role = found(aws("iam", "create-role", "--role-name", "cli", "--assume-role-policy-document", trust_file))
    read_only = "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"
    said(aws("iam", "attach-role-policy", "--role-name", "cli", "--policy-arn", read_only))
    arn = role["Role"]["Arn"]
    asked = ("sts", "assume-role", "--role-arn", arn, "--role-session-name", "me")
    session = found(aws(*asked, **as_her))["Credentials"]
    as_role = {
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
    }
    assert "Reservations" in found(aws("ec2", "describe-instances", **as_role))
    assert "UnauthorizedOperation" in aws("ec2", "allocate-address", **as_role).stderr
    found_users = found(aws("iam", "list-users", "--max-items", "1"))
    assert len(found_users["Users"]) == 1 and found_users["NextToken"]
    summary = found(aws("iam", "get-account-summary"))["SummaryMap"]
    assert (summary["Users"], summary["Roles"]) == (2, 1)
    simulated = found(
        aws(
            "iam",
            "simulate-principal-policy",
            "--policy-source-arn",
            arn,
            "--action-names",
            "ec2:RunInstances",
        )
    )
    assert simulated["EvaluationResults"][0]["EvalDecision"] == "implicitDeny"
