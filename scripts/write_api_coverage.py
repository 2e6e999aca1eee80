#!/usr/bin/env python3
"""Write docs/api-coverage.md from the code: what each action takes, refuses, and filters by.

    python scripts/write_api_coverage.py

The messages, the shapes of the EC2 model and the route table of S3 are the only sources, so the page
cannot promise what a request would not get. tests/unit/test_api_coverage.py fails when it is old.
"""

import ast
import dataclasses
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

from euca_box.api.ec2 import shapes
from euca_box.api.s3 import routes
from euca_box.messages.iam_registry import IAM_ACTIONS, STS_ACTIONS
from euca_box.messages.not_offered import NOT_OFFERED
from euca_box.messages.registry import EC2_ACTIONS
from euca_box.roles.clc import (
    addresses,
    bundle_tasks,
    group_rules,
    groups,
    images,
    instances,
    keypairs,
    modifications,
    places,
    profiles,
    snapshots,
    statuses,
    tags,
    volume_statuses,
    volumes,
    vpcs,
)

ROOT = Path(__file__).resolve().parent.parent
CONFORMANCE = ROOT / "scripts" / "s3_conformance.md"  # written by hand
TARGET = ROOT / "docs" / "api-coverage.md"
CLC = ROOT / "euca_box" / "roles" / "clc"

# EUCALYPTUS 1.6.2, the actions of its EC2 service; those of VPC and VPN were parsed and never answered.
ACTIONS_OF_1_6_2 = [
    "AllocateAddress",
    "AssociateAddress",
    "AttachVolume",
    "AuthorizeSecurityGroupIngress",
    "ConfirmProductInstance",
    "CreateKeyPair",
    "CreateSecurityGroup",
    "CreateSnapshot",
    "CreateVolume",
    "DeleteKeyPair",
    "DeleteSecurityGroup",
    "DeleteSnapshot",
    "DeleteVolume",
    "DeregisterImage",
    "DescribeAddresses",
    "DescribeAvailabilityZones",
    "DescribeBundleTasks",
    "DescribeImageAttribute",
    "DescribeImages",
    "DescribeInstances",
    "DescribeKeyPairs",
    "DescribeRegions",
    "DescribeReservedInstances",
    "DescribeReservedInstancesOfferings",
    "DescribeSecurityGroups",
    "DescribeSnapshots",
    "DescribeVolumes",
    "DetachVolume",
    "DisassociateAddress",
    "GetConsoleOutput",
    "ModifyImageAttribute",
    "RebootInstances",
    "RegisterImage",
    "ReleaseAddress",
    "ResetImageAttribute",
    "RevokeSecurityGroupIngress",
    "RunInstances",
    "TerminateInstances",
]

NOBODY: Any = None  # the names of filters do not depend on the role that would answer them
FILTERS: dict[str, Iterable[str]] = {
    "DescribeInstances": [*instances.FILTERS, *instances._by_group_name(NOBODY)],
    "DescribeImages": images.FILTERS,
    "DescribeKeyPairs": keypairs.FILTERS,
    "DescribeSecurityGroups": [*groups.FILTERS, "vpc-id"],
    "DescribeAddresses": addresses.FILTERS,
    "DescribeSecurityGroupRules": group_rules.FILTERS,
    "DescribeVolumes": volumes.all_filters(NOBODY),
    "DescribeVolumeStatus": volume_statuses.FILTERS,
    "DescribeVolumesModifications": modifications.FILTERS,
    "DescribeSnapshots": snapshots.all_filters(NOBODY),
    "DescribeBundleTasks": bundle_tasks.FILTERS,
    "DescribeAvailabilityZones": places.ZONE_FILTERS,
    "DescribeRegions": places.REGION_FILTERS,
    "DescribeInstanceTypes": places.TYPE_FILTERS,
    "DescribeTags": tags.FILTERS,
    "DescribeInstanceStatus": statuses.FILTERS,
    "DescribeInstanceTypeOfferings": places.OFFERING_FILTERS,
    "DescribeIamInstanceProfileAssociations": profiles.FILTERS,
    "DescribeVpcs": vpcs.VPC_FILTERS,
    "DescribeSubnets": vpcs.SUBNET_FILTERS,
    "DescribeInternetGateways": vpcs.GATEWAY_FILTERS,
    "DescribeRouteTables": vpcs.TABLE_FILTERS,
    "DescribeNetworkAcls": vpcs.ACL_FILTERS,
    "DescribeDhcpOptions": vpcs.OPTIONS_FILTERS,
    "DescribeNetworkInterfaces": vpcs.INTERFACE_FILTERS,
}
TAGGED = (
    "DescribeAddresses",
    "DescribeImages",
    "DescribeInstances",
    "DescribeKeyPairs",
    "DescribeSecurityGroups",
    "DescribeSnapshots",
    "DescribeTags",
    "DescribeVolumes",
)

# Where the function has a shorter name than the operation.
S3_NAMES = {
    "create_upload": "CreateMultipartUpload",
    "complete_upload": "CompleteMultipartUpload",
    "abort_upload": "AbortMultipartUpload",
    "list_uploads": "ListMultipartUploads",
}

HEAD = """\
# API coverage

Written by `scripts/write_api_coverage.py` from the messages, the shapes and the routes; do not edit.

A parameter that is *taken* may still have values that are refused (`EbsOptimized=true`): with the AWS error,
before anything happens. A parameter of the EC2 model that is *not taken* is answered with
`UnsupportedOperation`, one that the model does not know with `UnknownParameter`.
"""


def page() -> str:
    """The text of docs/api-coverage.md."""
    parts = [HEAD, "## EC2", ""]
    parts += [
        f"{len(EC2_ACTIONS)} actions over the Query API, GET and POST, signature versions 2 and 4. Any dated",
        "`Version` is accepted and echoed in the namespace; the parameters are those of 2016-11-15, and the",
        "flat forms of older clients.",
        "",
    ]
    for action in sorted(EC2_ACTIONS):
        parts += [*_action(action), ""]
    return "\n".join([*parts, *_missing(), "", *_s3(), "", *_sts(), "", *_configuration()]) + "\n"


def _action(action: str) -> Iterator[str]:
    kind = EC2_ACTIONS[action]
    paths = list(_paths(kind, shapes.actions()[action].request, ""))
    taken = [path for path, is_taken in paths if is_taken]
    refused = [path for path, is_taken in paths if not is_taken]
    yield f"### {action}"
    yield ""
    yield f"- Takes: {_code(taken)}"
    if refused:
        yield f"- Not taken: {_code(refused)}"
    if idle := [_wire_name(action, field) for field in _idle_fields(kind)]:
        yield f"- Taken without effect: {_code(idle)}"
    if action in FILTERS:
        tags = " and `tag:KEY`, `tag-key`, `tag-value`" if action in TAGGED else ""
        yield f"- Filters: {_code(sorted(FILTERS[action]))}{tags}"


def _paths(kind: Any, members: Iterable[shapes.Member], prefix: str) -> Iterator[tuple[str, bool]]:
    """Every parameter by its wire name, and whether the message has a field for it."""
    hints = get_type_hints(kind)
    fields = {field.name for field in dataclasses.fields(kind)}
    for member in members:
        path = prefix + member.wire
        if member.name not in fields:
            yield path, False
            continue
        inner, inside = member, _plain(hints[member.name])
        while inner.kind == "L" and inner.item is not None:
            inner, inside, path = inner.item, get_args(inside)[0], path + ".N"
        if inner.kind == "S":
            yield from _paths(inside, inner.members, path + ".")
        else:
            yield path, True


def _idle_fields(kind: Any) -> list[str]:
    """Fields of the message that the role's code never looks at."""
    return [field.name for field in dataclasses.fields(kind) if field.name not in _attributes()]


@functools.cache
def _attributes() -> frozenset[str]:
    """Every name that stands behind a dot in the code of the cloud controller."""
    sources = [path.read_text() for path in CLC.glob("*.py")]
    nodes = (node for source in sources for node in ast.walk(ast.parse(source)))
    return frozenset(node.attr for node in nodes if isinstance(node, ast.Attribute))


def _wire_name(action: str, field: str) -> str:
    return next(m.wire for m in shapes.actions()[action].request if m.name == field)


def _plain(hint: Any) -> Any:
    """X for `X | None`; everything else as it is."""
    arguments = get_args(hint)
    return next(a for a in arguments if a is not type(None)) if type(None) in arguments else hint


def _missing() -> list[str]:
    missing = [name for name in ACTIONS_OF_1_6_2 if name not in EC2_ACTIONS]
    others = sorted(shapes.known_actions() - EC2_ACTIONS.keys() - NOT_OFFERED.keys())
    return [
        "### Not there yet",
        "",
        f"Of the {len(ACTIONS_OF_1_6_2)} actions of Eucalyptus 1.6.2, {len(missing)} are still to come"
        + (f": {_code(missing)}." if missing else "."),
        "",
        f"Answered with `UnsupportedOperation` and the reason: {_code(sorted(NOT_OFFERED))}.",
        "",
        f"So do the other {len(others)} actions of the EC2 model: {_code(others)}.",
        "",
        "What the model does not know answers `InvalidAction`. So does SOAP: there is none yet.",
    ]


def _s3() -> Iterator[str]:
    yield "## S3"
    yield ""
    yield "REST, path style and virtual-hosted style (`api.domain`). Signature version 4 in header or URL,"
    yield "signed chunks and trailing checksums included; that of 2006; none where ACL or policy allow it."
    yield ""
    yield "| Operation | Request |"
    yield "|---|---|"
    for name, request in sorted(_s3_rows()):
        yield f"| {name} | `{request}` |"
    refused = sorted(routes._KNOWN - _used_subresources() - {"select-type", "append"})
    yield ""
    yield f"Subresources that are refused with `NotImplemented`: {_code(refused)}."
    yield ""
    yield CONFORMANCE.read_text().strip()


def _s3_rows() -> set[tuple[str, str]]:
    rows = {("ListBuckets", "GET /")}
    for table, target in ((routes._BUCKET, "/BUCKET"), (routes._OBJECT, "/BUCKET/KEY")):
        for (method, subresources), operation in table.items():
            query = "&".join(sorted(subresources))
            request = f"{method} {target}{'?' + query if query else ''}"
            rows.add((_s3_name(operation), request))
            if operation in routes._COPIES:
                rows.add((_s3_name(routes._COPIES[operation]), f"{request} with x-amz-copy-source"))
    return rows


def _s3_name(operation: Any) -> str:
    name = operation.__name__
    return S3_NAMES.get(name, "".join(word.capitalize() for word in name.split("_")))


def _used_subresources() -> set[str]:
    return {name for table in (routes._BUCKET, routes._OBJECT) for _, names in table for name in names}


def _configuration() -> Iterator[str]:
    yield "## Configuration of Eucalyptus"
    yield ""
    yield "At `/services/Configuration`, for the administrator: `DescribeClusters`, `DescribeWalruses`,"
    yield "`DescribeStorageControllers`, `DescribeNodes`. `Register...` and `Deregister...` answer"
    yield "`UnsupportedOperation`: other hosts cannot join yet."


def _sts() -> list[str]:
    return [
        "## STS and IAM",
        "",
        f"STS 2011-06-15: {_code(STS_ACTIONS)}.",
        "",
        f"IAM 2010-05-08: {_code(name for name in sorted(IAM_ACTIONS) if name not in _EUARE)}.",
        "",
        f"For the administrator of the cloud, as in Eucalyptus 3: {_code(_EUARE)}; with `DelegateAccount`",
        "any action of IAM is about that account.",
        "",
        "Policies of users, groups and roles decide over EC2, S3, IAM and STS. Every other action",
        "answers `InvalidAction`, every other parameter `ValidationError`: no permissions boundaries,",
        "SAML and OpenID providers, server certificates, service-linked roles or MFA devices.",
    ]


_EUARE = ("CreateAccount", "DeleteAccount", "ListAccounts")


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(page())
    print(f"{TARGET}: {len(EC2_ACTIONS)} actions of EC2, {len(_s3_rows())} requests of S3")
