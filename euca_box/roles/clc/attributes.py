"""Attributes of one instance: read, changed, put back (EC2 2016-11-15).

What a node must know goes down with a new generation: at once when the instance runs, else when it starts.
"""

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from euca_box.messages import ec2_attributes as ec2
from euca_box.messages.base import Call, Done
from euca_box.messages.ec2_instances import InstanceMetadataOptions, InstanceMetadataOptionsRequest
from euca_box.model.ec2_errors import (
    IncorrectInstanceState,
    InvalidAMIIDUnavailable,
    InvalidInstanceAttributeValue,
)
from euca_box.model.errors import (
    EucaError,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    UnsupportedOperation,
)
from euca_box.model.images import ImageType
from euca_box.model.instances import Instance, InstanceState
from euca_box.roles.clc import admission, groups, images, instances, network_rules, stops
from euca_box.roles.clc.rules import stop_if_dry_run
from euca_box.roles.clc.views import mappings_view, product_codes_view
from euca_box.store.store import Statement, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Change:
    """What a request changes. `below`: a node must hear of it; `stopped`: only of a stopped instance."""

    apply: Callable[[Instance], Instance]
    below: bool = False
    stopped: bool = False
    rows: tuple[Statement, ...] = ()


async def describe_instance_attribute(
    clc: "Clc", call: Call, op: ec2.DescribeInstanceAttribute
) -> ec2.InstanceAttribute:
    [record] = instances.reachable(clc, call, (op.instance_id,))
    stop_if_dry_run(op.dry_run)
    shown = ec2.InstanceAttribute(record.instance_id)
    if op.attribute == "userData":
        row = one(
            await clc.store.read("SELECT data FROM user_data WHERE instance_id = ?", record.instance_id)
        )
        text = base64.b64encode(row["data"]).decode() if row else None
        return replace(shown, user_data=ec2.AttributeValue(text))
    return _described(clc, record, op.attribute)


async def modify_instance_attribute(clc: "Clc", call: Call, op: ec2.ModifyInstanceAttribute) -> Done:
    """Raises IncorrectInstanceState where the instance must be stopped, UnsupportedOperation."""
    [record] = instances.reachable(clc, call, (op.instance_id,))
    change = _change(clc, call, record, _one_attribute(op))
    _check_state(record, change)
    stop_if_dry_run(op.dry_run)
    await _commit(clc, record, change)
    return Done()


async def reset_instance_attribute(clc: "Clc", call: Call, op: ec2.ResetInstanceAttribute) -> Done:
    [record] = instances.reachable(clc, call, (op.instance_id,))
    if op.attribute == "sourceDestCheck":
        stop_if_dry_run(op.dry_run)
        return Done()  # it cannot be switched off
    if op.attribute not in ("kernel", "ramdisk"):
        raise InvalidParameterValue(f"The attribute '{op.attribute[:64]}' cannot be reset.")
    image = clc.images.find(record.image_id)
    if image is None:
        raise InvalidAMIIDUnavailable(record.image_id)
    original = image.kernel_id if op.attribute == "kernel" else image.ramdisk_id
    if op.attribute == "kernel" and original is None and not image.data.bootable:
        raise InvalidParameterCombination(f"The image {image.image_id} has no kernel and cannot start alone.")
    if op.attribute == "kernel":
        change = _Change(lambda r: replace(r, kernel_id=original), below=True, stopped=True)
    else:
        change = _Change(lambda r: replace(r, ramdisk_id=original), below=True, stopped=True)
    _check_state(record, change)
    stop_if_dry_run(op.dry_run)
    await _commit(clc, record, change)
    return Done()


async def modify_instance_metadata_options(
    clc: "Clc", call: Call, op: ec2.ModifyInstanceMetadataOptions
) -> ec2.ModifyInstanceMetadataOptionsResult:
    [record] = instances.reachable(clc, call, (op.instance_id,))
    asked = InstanceMetadataOptionsRequest(
        op.http_tokens, op.http_put_response_hop_limit, op.http_endpoint, op.instance_metadata_tags
    )
    admission.check_metadata_options(asked)
    if asked == InstanceMetadataOptionsRequest():
        raise MissingParameter("HttpTokens")

    def apply(current: Instance) -> Instance:
        return replace(
            current,
            http_tokens=op.http_tokens or current.http_tokens,
            http_endpoint=op.http_endpoint or current.http_endpoint,
            hop_limit=op.http_put_response_hop_limit or current.hop_limit,
            metadata_tags=op.instance_metadata_tags or current.metadata_tags,
        )

    change = _Change(apply, below=True)
    _check_state(record, change)
    stop_if_dry_run(op.dry_run)
    in_force = await _commit(clc, record, change)
    now = clc.instances.find(record.instance_id) or record
    return ec2.ModifyInstanceMetadataOptionsResult(
        record.instance_id,
        InstanceMetadataOptions(
            "applied" if in_force else "pending",
            now.http_tokens,
            now.hop_limit,
            now.http_endpoint,
            now.metadata_tags,
        ),
    )


def _described(clc: "Clc", record: Instance, attribute: str) -> ec2.InstanceAttribute:
    text, flag = ec2.AttributeValue, ec2.AttributeBooleanValue
    shown = ec2.InstanceAttribute(record.instance_id)
    match attribute:
        case "instanceType":
            return replace(shown, instance_type=text(record.instance_type))
        case "kernel":
            return replace(shown, kernel_id=text(record.kernel_id))
        case "ramdisk":
            return replace(shown, ramdisk_id=text(record.ramdisk_id))
        case "disableApiTermination":
            return replace(shown, disable_api_termination=flag(record.disable_api_termination))
        case "disableApiStop":
            return replace(shown, disable_api_stop=flag(record.disable_api_stop))
        case "instanceInitiatedShutdownBehavior":
            return replace(shown, instance_initiated_shutdown_behavior=text(record.shutdown_behavior))
        case "rootDeviceName":
            return replace(shown, root_device_name=text(record.root_device_name))
        case "blockDeviceMapping":  # of volumes; the root disk may be an instance store
            return replace(shown, block_device_mappings=mappings_view(record))
        case "productCodes":
            return replace(shown, product_codes=product_codes_view(record.product_codes))
        case "sourceDestCheck":  # the network lets no guest speak with another address
            return replace(shown, source_dest_check=flag(True))
        case "groupSet":
            return replace(shown, groups=clc.views.group_identifiers(record.group_ids))
        case "ebsOptimized":
            return replace(shown, ebs_optimized=flag(False))
        case "enaSupport":
            return replace(shown, ena_support=flag(False))
        case "sriovNetSupport":
            return replace(shown, sriov_net_support=text())
    raise InvalidParameterValue(f"Value ({attribute[:64]}) for parameter attribute is invalid.")


BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
FLAGS = ("disableApiTermination", "disableApiStop", "sourceDestCheck")


def _one_attribute(op: ec2.ModifyInstanceAttribute) -> ec2.ModifyInstanceAttribute:
    """The request in its new form, with exactly one attribute. `Attribute` and `Value` are the flat form."""
    if op.attribute is not None and op.value is not None:
        op = replace(_from_flat(op.attribute, op.value, op), attribute=None, value=None)
    elif op.value is not None:
        raise MissingParameter("Attribute")
    nothing = ec2.ModifyInstanceAttribute(op.instance_id, attribute=op.attribute, dry_run=op.dry_run)
    given = [name for name in nothing.__dataclass_fields__ if getattr(op, name) != getattr(nothing, name)]
    if len(given) != 1:
        raise InvalidParameterCombination("Exactly one attribute is changed by one request.")
    return op


def _from_flat(attribute: str, value: str, op: ec2.ModifyInstanceAttribute) -> ec2.ModifyInstanceAttribute:
    text, flag = ec2.AttributeValue(value), ec2.AttributeBooleanValue(False)
    if attribute in FLAGS:
        if value.lower() not in BOOLEANS:
            raise InvalidParameterValue(f"Value ({value[:64]}) for parameter value is no boolean.")
        flag = ec2.AttributeBooleanValue(BOOLEANS[value.lower()])
    match attribute:
        case "instanceType":
            return replace(op, instance_type=text)
        case "kernel":
            return replace(op, kernel=text)
        case "ramdisk":
            return replace(op, ramdisk=text)
        case "instanceInitiatedShutdownBehavior":
            return replace(op, instance_initiated_shutdown_behavior=text)
        case "userData":
            return replace(op, user_data=ec2.BlobAttributeValue(admission.decoded_user_data(value)))
        case "disableApiTermination":
            return replace(op, disable_api_termination=flag)
        case "disableApiStop":
            return replace(op, disable_api_stop=flag)
        case "sourceDestCheck":
            return replace(op, source_dest_check=flag)
        case "groupSet":
            return replace(op, groups=(value,))
        case "ebsOptimized" | "enaSupport" | "sriovNetSupport" | "blockDeviceMapping":
            raise UnsupportedOperation(f"The attribute {attribute} cannot be changed here.")
    raise InvalidParameterValue(f"Value ({attribute[:64]}) for parameter attribute is invalid.")


def _change(clc: "Clc", call: Call, record: Instance, op: ec2.ModifyInstanceAttribute) -> _Change:
    """What the one attribute of this request means. Raises the AWS error of the first reason to refuse."""
    if op.groups:
        found = [groups.named(clc, record.account, group_id, None) for group_id in op.groups]
        group_ids = tuple(dict.fromkeys(group.group_id for group in found))
        network_rules.check_groups(clc, group_ids, record.group_ids)
        return _Change(lambda r: replace(r, group_ids=group_ids), below=True)
    if op.block_device_mappings:
        return _mapping_change(record, op.block_device_mappings)
    if (protects := op.disable_api_termination) is not None:
        return _Change(lambda r: replace(r, disable_api_termination=protects.value))
    if (stays := op.disable_api_stop) is not None:
        return _Change(lambda r: replace(r, disable_api_stop=stays.value))
    if op.instance_initiated_shutdown_behavior is not None:
        behavior = op.instance_initiated_shutdown_behavior.value or ""
        if behavior not in admission.SHUTDOWN_BEHAVIORS:
            raise InvalidParameterValue("InstanceInitiatedShutdownBehavior is stop or terminate.")
        return _Change(lambda r: replace(r, shutdown_behavior=behavior), below=True)
    if op.instance_type is not None:
        return _type_change(clc, op.instance_type.value or "")
    if op.kernel is not None or op.ramdisk is not None:
        return _boot_change(clc, call, record, op)
    if op.user_data is not None:
        return _user_data_change(record, op.user_data.value)
    if op.source_dest_check is not None and op.source_dest_check.value:
        return _Change(lambda r: r)
    raise UnsupportedOperation("The source check cannot be switched off: no guest may use another's address.")


def _mapping_change(
    record: Instance, mappings: tuple[ec2.InstanceBlockDeviceMappingSpecification, ...]
) -> _Change:
    """Whether volumes go with the instance. Raises InvalidInstanceAttributeValue."""
    wanted = {}
    for mapping in mappings:
        found = next((a for a in record.volumes if a.device == mapping.device_name and a.wanted), None)
        if found is None or mapping.ebs is None or mapping.ebs.volume_id not in (None, found.volume_id):
            where = (mapping.device_name or "")[:64]
            raise InvalidInstanceAttributeValue(f"No such volume is attached to the instance at {where}.")
        if mapping.ebs.delete_on_termination is not None:
            wanted[found.volume_id] = mapping.ebs.delete_on_termination

    def apply(current: Instance) -> Instance:
        return replace(
            current,
            volumes=tuple(
                replace(a, delete_on_termination=wanted.get(a.volume_id, a.delete_on_termination))
                for a in current.volumes
            ),
        )

    return _Change(apply)


def _type_change(clc: "Clc", name: str) -> _Change:
    """The root disk keeps its size, so only cores and memory change."""
    if name not in clc.vm_types:
        raise InvalidParameterValue(f"Invalid value '{name[:64]}' for InstanceType.")
    return _Change(lambda r: replace(r, instance_type=name), below=True, stopped=True)


def _boot_change(clc: "Clc", call: Call, record: Instance, op: ec2.ModifyInstanceAttribute) -> _Change:
    if op.kernel is not None:
        kernel = images.usable(clc, record.account, op.kernel.value or "", ImageType.KERNEL)
        return _Change(lambda r: replace(r, kernel_id=kernel.image_id), below=True, stopped=True)
    ramdisk = images.usable(
        clc, record.account, op.ramdisk.value or "" if op.ramdisk else "", ImageType.RAMDISK
    )
    if record.kernel_id is None:
        raise InvalidParameterCombination("A ramdisk needs a kernel.")
    return _Change(lambda r: replace(r, ramdisk_id=ramdisk.image_id), below=True, stopped=True)


def _user_data_change(record: Instance, data: bytes) -> _Change:
    admission.check_user_data(data)
    row = insert("user_data", {"instance_id": record.instance_id, "data": data}, or_replace=True)
    return _Change(lambda r: r, below=True, stopped=True, rows=(row,))


def _check_state(record: Instance, change: _Change) -> None:
    if record.state in (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED):
        raise IncorrectInstanceState(f"The instance '{record.instance_id}' is {record.state}.")
    if change.stopped and record.state is not InstanceState.STOPPED:
        raise IncorrectInstanceState(f"The instance '{record.instance_id}' is not in the 'stopped' state.")


async def _commit(clc: "Clc", record: Instance, change: _Change) -> bool:
    """Write it, then have it in force below; False when that comes later."""

    def apply(current: Instance) -> Instance:
        _check_state(current, change)
        changed = change.apply(current)
        if change.below and (changed != current or change.rows):
            changed = replace(changed, generation=changed.generation + 1)
        return changed

    after = await clc.instances.change(record.instance_id, apply, *change.rows)
    if after is None or not change.below or after.state is InstanceState.STOPPED:
        return True
    return await have_in_force(clc, record.instance_id)


async def have_in_force(clc: "Clc", instance_id: str) -> bool:
    """Have the node take what was changed; False when that comes later."""
    try:
        return await stops.push_changes(clc, instance_id)
    except EucaError as error:
        log.warning("%s is not changed yet: %s", instance_id, error.message)
        return False
