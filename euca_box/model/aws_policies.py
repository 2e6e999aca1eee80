"""The managed policies that every account finds there: `arn:aws:iam::aws:policy/NAME`.

They have AWS's names and meaning, said in the services that this cloud has.
"""

import json

PREFIX = "arn:aws:iam::aws:policy/"
CREATED_AT = 1423162800.0  # when AWS made the first of its own, 2015-02-05


def _allow(actions: list[str] | str, name: str = "Action") -> str:
    statement = {"Effect": "Allow", name: actions, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)


_S3_READ = ["s3:Get*", "s3:List*", "s3:Describe*"]
_IAM_READ = ["iam:Get*", "iam:List*", "iam:Simulate*"]

# name -> (description, document)
AWS_POLICIES: dict[str, tuple[str, str]] = {
    "AdministratorAccess": ("Provides full access to AWS services and resources.", _allow("*")),
    "PowerUserAccess": (
        "Provides full access to services and resources, but not to users and groups.",
        _allow(["iam:*"], "NotAction"),
    ),
    "ReadOnlyAccess": (
        "Provides read-only access to services and resources.",
        _allow(["ec2:Describe*", "ec2:Get*", *_S3_READ, *_IAM_READ, "sts:Get*"]),
    ),
    "AmazonEC2FullAccess": ("Provides full access to EC2.", _allow(["ec2:*"])),
    "AmazonEC2ReadOnlyAccess": ("Provides read-only access to EC2.", _allow(["ec2:Describe*", "ec2:Get*"])),
    "AmazonS3FullAccess": ("Provides full access to all buckets.", _allow(["s3:*"])),
    "AmazonS3ReadOnlyAccess": ("Provides read-only access to all buckets.", _allow(_S3_READ)),
    "IAMFullAccess": ("Provides full access to IAM.", _allow(["iam:*"])),
    "IAMReadOnlyAccess": ("Provides read-only access to IAM.", _allow(_IAM_READ)),
    "IAMUserChangePassword": (
        "Lets a user change the own password.",
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "iam:ChangePassword",
                        "Resource": "arn:aws:iam::*:user/${aws:username}",
                    },
                    {"Effect": "Allow", "Action": "iam:GetAccountPasswordPolicy", "Resource": "*"},
                ],
            },
            indent=1,
        ),
    ),
}


def document_of(arn: str) -> str | None:
    found = AWS_POLICIES.get(arn.removeprefix(PREFIX)) if arn.startswith(PREFIX) else None
    return found[1] if found else None
