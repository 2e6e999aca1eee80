"""Which resources an operation is about, as ARNs with their condition keys: what policies are asked of.

Source: service authorization reference, "Actions, resources, and condition keys" for EC2, IAM and STS.
Operations that AWS decides without a resource (Describe...) are about `*`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from euca_box.messages import ec2_tags
from euca_box.messages.base import Call, Op
from euca_box.model.policy_text import Context
from euca_box.roles.clc import groups, identities, keypairs
from euca_box.roles.clc.identities import GROUP, PROFILE, ROLE, USER, account_of
from euca_box.roles.clc.tags import KINDS

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


@dataclass(frozen=True)
class Resource:
    """`action`: where an operation needs a second one for this resource (iam:PassRole)."""

    arn: str
    context: Context = field(default_factory=dict)
    action: str = ""


ANY = Resource("*")
# Field of a message -> EC2's word for the resource.
_FIELDS = {
    "instance_id": "instance",
    "instance_ids": "instance",
    "image_id": "image",
    "image_ids": "image",
    "source_image_id": "image",
    "kernel_id": "image",
    "ramdisk_id": "image",
    "group_id": "security-group",
    "group_ids": "security-group",
    "group_name": "security-group",
    "security_group_ids": "security-group",
    "security_groups": "security-group",
    "allocation_id": "elastic-ip",
    "key_name": "key-pair",
    "key_pair_id": "key-pair",
    "volume_id": "volume",
    "snapshot_id": "snapshot",
    "source_snapshot_id": "snapshot",
    "subnet_id": "subnet",
    "vpc_id": "vpc",
}
# Operation -> what it makes.
_MADE = {
    "RunInstances": ("instance", "volume", "network-interface"),
    "CreateSecurityGroup": ("security-group",),
    "CreateKeyPair": ("key-pair",),
    "ImportKeyPair": ("key-pair",),
    "AllocateAddress": ("elastic-ip",),
    "CreateImage": ("image",),
    "CopyImage": ("image",),
    "RegisterImage": ("image",),
    "CreateVolume": ("volume",),
    "CreateSnapshot": ("snapshot",),
    "CreateSnapshots": ("snapshot",),
    "CopySnapshot": ("snapshot",),
}
_WITHOUT_ACCOUNT = ("image", "snapshot")


async def of(clc: "Clc", call: Call, op: Op[Any]) -> list[Resource]:
    """At least one."""
    module = type(op).__module__.rpartition(".")[2]
    if module.startswith("iam"):
        return [Resource(arn) for arn in await _of_iam(clc, call, op)] or [ANY]
    if module == "sts":
        name = getattr(op, "name", None)
        return [Resource(f"arn:aws:sts::{call.account}:federated-user/{name}")] if name else [ANY]
    found = list(_of_ec2(clc, call, op)) or [ANY]
    profile = getattr(op, "iam_instance_profile", None)
    return found if profile is None else [*found, *await _passed(clc, call, profile)]


async def _passed(clc: "Clc", call: Call, given: Any) -> list[Resource]:
    """The role of an instance profile is given away: iam:PassRole (IAM user guide)."""
    name = given.name or (given.arn or "").rpartition("/")[2]
    profile = await identities.look_up(clc, call.account, PROFILE, name)
    if profile is None or profile["role_id"] is None:
        return []
    rows = await clc.store.read("SELECT * FROM iam_role WHERE id = ?", profile["role_id"])
    to_ec2 = {"iam:passedtoservice": ("ec2.amazonaws.com",)}
    return [Resource(identities.arn(ROLE, row), to_ec2, "iam:PassRole") for row in rows]


# EC2


def _of_ec2(clc: "Clc", call: Call, op: Op[Any]) -> Iterator[Resource]:
    name = type(op).__name__
    if name.startswith("Describe") and not name.endswith("Attribute"):
        return
    if isinstance(op, ec2_tags.CreateTags | ec2_tags.DeleteTags):
        yield from _tagged(clc, call, op)
        return
    asked = _asked_tags(getattr(op, "tag_specifications", ()))
    for kind in _MADE.get(name, ()):
        made = getattr(op, "key_name", "*") if kind == "key-pair" else "*"
        yield Resource(_arn(clc, call, kind, made), {**asked.get(kind, {}), **_of_type(op)})
    for attribute, kind in _FIELDS.items():
        if name in _MADE and kind in _MADE[name]:
            continue
        for value in _texts(getattr(op, attribute, None)):
            yield _existing(clc, call, kind, value)
    yield from _within(clc, call, op)
    for kind, context in asked.items():  # tags at creation need a second action (EC2 user guide)
        yield Resource(
            _arn(clc, call, kind, "*"), {**context, "ec2:createaction": (name,)}, action="ec2:CreateTags"
        )


def _within(clc: "Clc", call: Call, op: Op[Any]) -> Iterator[Resource]:
    """What stands in structures of the message: snapshots that disks come of, the instance of a copy."""
    for mapping in getattr(op, "block_device_mappings", ()):
        if snapshot := getattr(getattr(mapping, "ebs", None), "snapshot_id", None):
            yield _existing(clc, call, "snapshot", snapshot)
    for interface in getattr(op, "network_interfaces", ()):
        for group in getattr(interface, "groups", ()):
            yield _existing(clc, call, "security-group", group)
        if subnet := getattr(interface, "subnet_id", None):
            yield _existing(clc, call, "subnet", subnet)
    given = getattr(op, "instance_specification", None)
    if (instance_id := getattr(given, "instance_id", None)) is not None:
        yield _existing(clc, call, "instance", instance_id)


def _existing(clc: "Clc", call: Call, kind: str, value: str) -> Resource:
    """By id, or by name where groups and key pairs are named."""
    record = _record(clc, call, kind, value)
    if kind == "key-pair":
        value = record.name if record is not None else value
    elif kind == "security-group" and record is not None:
        value = record.group_id
    return Resource(_arn(clc, call, kind, value), _of_record(record))


def _record(clc: "Clc", call: Call, kind: str, value: str) -> Any:
    if kind == "security-group" and not value.startswith("sg-"):
        return groups.find_by_name(clc, call.account, value)
    if kind == "key-pair" and not value.startswith("key-"):
        return keypairs.find_by_name(clc, call.account, value)
    records = next((k.records(clc) for k in KINDS if k.resource_type == kind), None)
    return records.find(value) if records is not None else None


def _of_record(record: Any) -> Context:
    """Tags of what is there, and of an instance its type."""
    if record is None:
        return {}
    context: dict[str, tuple[str, ...]] = {}
    for key, value in getattr(record, "tags", ()):
        context[f"aws:resourcetag/{key}".lower()] = context[f"ec2:resourcetag/{key}".lower()] = (value,)
    if (vm_type := getattr(record, "vm_type", None)) is not None:
        context["ec2:instancetype"] = (getattr(vm_type, "name", str(vm_type)),)
    return context


def _of_type(op: Op[Any]) -> Context:
    wanted = getattr(op, "instance_type", None)
    return {"ec2:instancetype": (wanted,)} if isinstance(wanted, str) else {}


def _asked_tags(specifications: Iterable[Any]) -> dict[str, Context]:
    """Resource type -> the condition keys of the tags it shall get."""
    found: dict[str, Context] = {}
    for given in specifications:
        found[given.resource_type] = {**found.get(given.resource_type, {}), **_tag_keys(given.tags)}
    return found


def _tag_keys(tags: Iterable[Any]) -> Context:
    given = [(tag.key or "", tag.value or "") for tag in tags]
    keys = {f"aws:requesttag/{key}".lower(): (value,) for key, value in given}
    return {**keys, "aws:tagkeys": tuple(key for key, _ in given)}


def _tagged(clc: "Clc", call: Call, op: ec2_tags.CreateTags | ec2_tags.DeleteTags) -> Iterator[Resource]:
    asked = _tag_keys(op.tags)
    for resource_id in op.resources:
        kind = next((k for k in KINDS if resource_id.partition("-")[0] in k.prefixes), None)
        if kind is None:
            yield Resource(_arn(clc, call, "*", resource_id), asked)
        else:
            found = _existing(clc, call, kind.resource_type, resource_id)
            yield Resource(found.arn, {**found.context, **asked})


def _arn(clc: "Clc", call: Call, kind: str, name: str) -> str:
    account = "" if kind in _WITHOUT_ACCOUNT else call.account
    return f"arn:aws:ec2:{clc.settings.region}:{account}:{kind}/{name}"


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, tuple) else ()


# IAM

_IAM_FIELDS = {
    "user_name": USER,
    "group_name": GROUP,
    "role_name": ROLE,
    "instance_profile_name": PROFILE,
}


async def _of_iam(clc: "Clc", call: Call, op: Op[Any]) -> list[str]:
    """The user, group, role or policy that is named; without a name the caller, for what is a user's own."""
    name, account = type(op).__name__, account_of(clc, call)
    if name.startswith("List") and "For" not in name and not hasattr(op, "user_name"):
        return []
    kind_names = [f for f in _IAM_FIELDS if getattr(op, f, None)]
    if name in ("AddUserToGroup", "RemoveUserFromGroup"):
        kind_names = ["group_name"]  # service authorization reference: the group alone
    if name in ("AddRoleToInstanceProfile", "RemoveRoleFromInstanceProfile"):
        kind_names = ["instance_profile_name"]
    found = [await _arn_of(clc, account, f, getattr(op, f), getattr(op, "path", None)) for f in kind_names]
    if found:
        return found
    if hasattr(op, "policy_name"):
        return [f"arn:aws:iam::{account}:policy{getattr(op, 'path', None) or '/'}{op.policy_name}"]
    if (policy := getattr(op, "policy_arn", None)) is not None:
        return [policy]
    if (source := getattr(op, "policy_source_arn", None)) is not None:
        return [source]
    if hasattr(op, "user_name") or name == "ChangePassword":
        return [f"arn:aws:iam::{call.account}:user{call.principal.path}{call.principal.user}"]
    return []


async def _arn_of(clc: "Clc", account: str, attribute: str, name: str, path: str | None) -> str:
    kind = _IAM_FIELDS[attribute]
    row = await identities.look_up(clc, account, kind, name)
    if row is not None:
        return identities.arn(kind, row)
    return f"arn:aws:iam::{account}:{kind.arn_kind}{path or '/'}{name}"
