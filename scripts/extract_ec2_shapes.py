#!/usr/bin/env python3
"""Write euca_box/api/ec2/shapes.json from botocore's EC2 model: wire names of the actions we serve.

    python scripts/extract_ec2_shapes.py

botocore (Apache-2.0) is needed at development time only. A tree is a list of
[member, wire name, type, subtree]; types: s string, i integer, f float, b boolean, t timestamp,
B blob, S structure (subtree is a tree), L list (subtree is [item name, type, subtree]).
An action may carry members of older API versions: see LEGACY.
"""

import json
from pathlib import Path

import botocore.session

FOLDER = Path(__file__).resolve().parent.parent / "euca_box" / "api" / "ec2"
TARGET = FOLDER / "shapes.json"
NAMES = FOLDER / "actions.txt"  # every action of the model, a line each

ACTIONS = [
    "AssociateIamInstanceProfile",
    "DisassociateIamInstanceProfile",
    "ReplaceIamInstanceProfileAssociation",
    "DescribeIamInstanceProfileAssociations",
    "DescribeInstanceAttribute",
    "ModifyInstanceAttribute",
    "ResetInstanceAttribute",
    "ModifyInstanceMetadataOptions",
    "DescribeInstanceStatus",
    "MonitorInstances",
    "UnmonitorInstances",
    "GetPasswordData",
    "GetConsoleScreenshot",
    "DescribeAccountAttributes",
    "DescribeReservedInstances",
    "DescribeReservedInstancesOfferings",
    "DescribeInstanceTypeOfferings",
    "CreateTags",
    "CreateImage",
    "CopyImage",
    "BundleInstance",
    "CancelBundleTask",
    "StopInstances",
    "StartInstances",
    "DeleteTags",
    "DescribeTags",
    "DescribeVpcs",
    "DescribeVpcAttribute",
    "DescribeSubnets",
    "DescribeInternetGateways",
    "DescribeRouteTables",
    "DescribeNetworkAcls",
    "DescribeDhcpOptions",
    "DescribeNetworkInterfaces",
    "RunInstances",
    "DescribeInstances",
    "TerminateInstances",
    "RebootInstances",
    "GetConsoleOutput",
    "AllocateAddress",
    "ReleaseAddress",
    "AssociateAddress",
    "DisassociateAddress",
    "DescribeAddresses",
    "CreateKeyPair",
    "ImportKeyPair",
    "DescribeKeyPairs",
    "DeleteKeyPair",
    "RegisterImage",
    "DeregisterImage",
    "DescribeImages",
    "ModifyImageAttribute",
    "ResetImageAttribute",
    "DescribeImageAttribute",
    "ConfirmProductInstance",
    "CreateVolume",
    "DeleteVolume",
    "AttachVolume",
    "DetachVolume",
    "DescribeVolumeAttribute",
    "ModifyVolumeAttribute",
    "EnableVolumeIO",
    "ModifyVolume",
    "DescribeVolumesModifications",
    "DescribeVolumes",
    "DescribeVolumeStatus",
    "CreateSnapshot",
    "CreateSnapshots",
    "DeleteSnapshot",
    "CopySnapshot",
    "DescribeSnapshots",
    "ModifySnapshotAttribute",
    "DescribeSnapshotAttribute",
    "ResetSnapshotAttribute",
    "DescribeBundleTasks",
    "DescribeAvailabilityZones",
    "DescribeRegions",
    "DescribeInstanceTypes",
    "CreateSecurityGroup",
    "DescribeSecurityGroups",
    "DeleteSecurityGroup",
    "AuthorizeSecurityGroupIngress",
    "RevokeSecurityGroupIngress",
    "AuthorizeSecurityGroupEgress",
    "RevokeSecurityGroupEgress",
    "DescribeSecurityGroupRules",
    "UpdateSecurityGroupRuleDescriptionsIngress",
    "UpdateSecurityGroupRuleDescriptionsEgress",
]

# Read as far as their parameters go, then refused.
READ_ONLY: list[str] = []

# Parameters that clients of older versions send and the model of 2016-11-15 no longer has.
LEGACY = {
    "RunInstances": [["AddressingType", "AddressingType", "s", None]],  # WSDL 2009-04-04
    "AuthorizeSecurityGroupIngress": [["UserId", "UserId", "s", None]],
    "RevokeSecurityGroupIngress": [["UserId", "UserId", "s", None]],
}
DEEPEST = 12
SCALARS = {
    "string": "s",
    "integer": "i",
    "long": "i",
    "double": "f",
    "float": "f",
    "boolean": "b",
    "timestamp": "t",
    "blob": "B",
}


def request_name(member: str, shape) -> str:
    """queryName, else locationName with a capital, else the member's own name (botocore serialize.py)."""
    wire = shape.serialization
    if "queryName" in wire:
        return wire["queryName"]
    name = wire.get("name", member)
    return name[0].upper() + name[1:]


def response_name(member: str, shape) -> str:
    return shape.serialization.get("name", member)


def described(shape, name_of, depth: int):
    if shape.type_name == "structure":
        return "S", tree(shape, name_of, depth + 1)
    if shape.type_name == "list":
        kind, sub = described(shape.member, name_of, depth + 1)
        return "L", [shape.member.serialization.get("name", "item"), kind, sub]
    return SCALARS[shape.type_name], None


def tree(shape, name_of, depth: int = 0):
    if shape is None:
        return []
    if depth > DEEPEST:
        raise SystemExit(f"{shape.name} is deeper than {DEEPEST}")
    return [[m, name_of(m, s), *described(s, name_of, depth)] for m, s in shape.members.items()]


def main() -> None:
    model = botocore.session.get_session().get_service_model("ec2")
    shapes = {}
    for action in sorted(ACTIONS):
        operation = model.operation_model(action)
        shapes[action] = {
            "in": tree(operation.input_shape, request_name) + LEGACY.get(action, []),
            "out": tree(operation.output_shape, response_name),
        }
    for action in READ_ONLY:
        shape = model.operation_model(action).input_shape
        required = [request_name(name, shape.members[name]) for name in shape.required_members]
        shapes[action] = {"in": tree(shape, request_name), "out": [], "required": required}
    lines = ",\n".join(
        f'"{name}": {json.dumps(shape, separators=(",", ":"))}' for name, shape in shapes.items()
    )
    TARGET.write_text("{\n" + lines + "\n}\n")
    NAMES.write_text("\n".join(model.operation_names) + "\n")
    print(f"{TARGET}: {len(shapes)} actions of {model.api_version}, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
