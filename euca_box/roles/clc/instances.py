"""Instances: what users may wish. The loops in `launches.py` make it true."""

import base64
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from euca_box.messages import base
from euca_box.messages import ec2_instances as ec2
from euca_box.messages.base import Call, Done
from euca_box.messages.cc import CcGetConsoleOutput, CcGetConsoleScreenshot, CcRebootInstance
from euca_box.messages.consoles import ConsolePlace, FindConsole
from euca_box.messages.ec2_common import ProductCode
from euca_box.model import ids
from euca_box.model.ec2_errors import IncorrectInstanceState, InvalidInstanceIDNotFound
from euca_box.model.errors import IdempotentParameterMismatch, MissingParameter, OperationNotPermitted
from euca_box.model.filters import passing
from euca_box.model.instances import (
    INSTANCE,
    USER_REQUEST,
    Instance,
    InstanceEvent,
    InstanceState,
    Reason,
)
from euca_box.model.paging import wanted_page
from euca_box.model.volumes import Volume
from euca_box.observe import logs
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import admission, interfaces, launch_volumes, network_rules, profiles, views, zones
from euca_box.roles.clc.rules import names_owner, stop_if_dry_run, without_verbose
from euca_box.store.store import Conflict, Statement, Value, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

FILTERS = {
    "architecture": lambda r: "x86_64",
    "block-device-mapping.attach-time": lambda r: [
        datetime.fromtimestamp(a.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z") for a in r.volumes
    ],
    "block-device-mapping.delete-on-termination": lambda r: [a.delete_on_termination for a in r.volumes],
    "block-device-mapping.device-name": lambda r: [a.device for a in r.volumes],
    "block-device-mapping.status": lambda r: [a.state.value for a in r.volumes],
    "block-device-mapping.volume-id": lambda r: [a.volume_id for a in r.volumes],
    "availability-zone": lambda r: r.zone,
    "client-token": lambda r: r.client_token,
    "hypervisor": lambda r: "xen",
    "image-id": lambda r: ids.image_names(r.image_id),
    "instance-id": lambda r: r.instance_id,
    "instance-state-code": lambda r: r.state.code,
    "instance-state-name": lambda r: r.state.value,
    "instance-type": lambda r: r.instance_type,
    "instance.group-id": lambda r: r.group_ids,
    "network-interface.group-id": lambda r: r.group_ids,
    "ip-address": lambda r: r.public_ip,
    "kernel-id": lambda r: ids.image_names(r.kernel_id),
    "key-name": lambda r: r.key_name,
    "launch-index": lambda r: r.launch_index,
    "launch-time": lambda r: datetime.fromtimestamp(r.launch_time, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    "monitoring-state": lambda r: "enabled" if r.monitoring else "disabled",
    "owner-id": lambda r: r.account,
    "private-ip-address": lambda r: r.private_ip,
    "product-code": lambda r: r.product_codes,
    "product-code.type": lambda r: ProductCode("").product_code_type if r.product_codes else None,
    "ramdisk-id": lambda r: ids.image_names(r.ramdisk_id),
    "reason": lambda r: r.transition,
    "reservation-id": lambda r: r.reservation_id,
    "root-device-name": lambda r: r.root_device_name,
    "root-device-type": lambda r: views.root_type(r.boots_from_volume),
    "state-reason-code": lambda r: r.reason and r.reason.code,
    "state-reason-message": lambda r: r.reason and r.reason.message,
    "tenancy": lambda r: "default",
    "virtualization-type": lambda r: "hvm",
}


async def run_instances(clc: "Clc", call: Call, op: ec2.RunInstances) -> ec2.Reservation:
    """Refusals first, then one transaction with the instances and the token; the loops start them."""
    fingerprint = hashlib.sha256(base.encode(op).encode()).hexdigest() if op.client_token else ""
    if op.client_token and (known := await _by_token(clc, call, op.client_token, fingerprint)):
        return known
    op = interfaces.folded(op)
    asked = op.iam_instance_profile
    profile = await profiles.profile_of(clc, call.account, asked) if asked is not None else None
    wish = await admission.admit(clc, call, op)
    stop_if_dry_run(op.dry_run)
    new_ids = _new_ids(clc, wish.count)
    reservation_id = clc.new_id("r")
    records = [
        _record(clc, call, op, wish, index, instance_id, reservation_id)
        for index, instance_id in enumerate(new_ids)
    ]
    if profile is not None:
        records = [replace(record, profile=profiles.association(clc, profile)) for record in records]
    made: list[Volume] = []
    if wish.volumes:
        records, made = _with_volumes(clc, wish, records)
    rows = _with_rows(clc, call, op, records, fingerprint, wish.user_data)
    rows += [insert("used_id", {"id": volume.volume_id}) for volume in made]
    try:
        await clc.instances.add(records, *rows, *clc.volumes.inserts(made))
        clc.volumes.take(made)
    except Conflict:
        # The same token came twice at once and the other one won; or an id was there already.
        if op.client_token and (known := await _by_token(clc, call, op.client_token, fingerprint)):
            return known
        raise
    fp("clc.run.after-commit")
    clc.launch_bell.ring()
    if made:
        clc.volume_bell.ring()
    if profile is not None:
        clc.profiles_bell.ring()
    return clc.views.reservation(records)


async def describe_instances(
    clc: "Clc", call: Call, op: ec2.DescribeInstances
) -> ec2.DescribeInstancesResult:
    stop_if_dry_run(op.dry_run)
    if op == ec2.DescribeInstances():
        changes = clc.instances.changes_of(call.account)
        return clc.views.listing(
            call.account, changes, lambda: _reservations(clc, clc.instances.of(call.account))
        )
    named, every = without_verbose(call, op.instance_ids)
    every = every or (call.admin and names_owner(op.filters))
    wanted = wanted_page(max_results=op.max_results, next_token=op.next_token, ids_given=bool(named))
    records: Iterable[Instance]
    if named:
        records = reachable(clc, call, named)
    elif wanted is not None and not every:
        records = clc.instances.sorted_of(call.account, wanted.after)
    else:
        records = clc.instances.all() if every else clc.instances.of(call.account)
    if wanted is not None and (every or named):
        records = sorted((r for r in records if _id_of(r) > wanted.after), key=_id_of)
    if op.filters:
        records = passing(records, op.filters, FILTERS | _by_group_name(clc))
    shown, token = (records, None) if wanted is None else wanted.cut(records, _id_of)
    return ec2.DescribeInstancesResult(_reservations(clc, shown), token)


def _id_of(record: Instance) -> str:
    return record.instance_id


async def terminate_instances(
    clc: "Clc", call: Call, op: ec2.TerminateInstances
) -> ec2.TerminateInstancesResult:
    """The wish is committed before the answer; nothing of them is left some seconds later."""
    records = reachable(clc, call, op.instance_ids)
    for record in records:
        if record.disable_api_termination and record.ended_at is None:
            raise OperationNotPermitted(
                f"The instance '{record.instance_id}' may not be terminated. Modify its "
                "'disableApiTermination' instance attribute and try again."
            )
    stop_if_dry_run(op.dry_run)
    changes = []
    for before in records:
        after = await wish_gone(clc, before.instance_id, USER_REQUEST, "User initiated") or before
        changes.append(
            ec2.InstanceStateChange(
                before.instance_id, views.state_view(after.state), views.state_view(before.state)
            )
        )
    clc.launch_bell.ring()
    return ec2.TerminateInstancesResult(tuple(changes))


async def reboot_instances(clc: "Clc", call: Call, op: ec2.RebootInstances) -> Done:
    records = reachable(clc, call, op.instance_ids)
    for record in records:
        if record.state is not InstanceState.RUNNING:
            raise IncorrectInstanceState(
                f"The instance '{record.instance_id}' is not in a state from which it can be rebooted "
                f"({record.state})."
            )
    stop_if_dry_run(op.dry_run)
    for record in records:
        await clc.bus.ask(clc.cc_of(record.zone), CcRebootInstance(record.instance_id), call)
    return Done()


async def get_console_output(clc: "Clc", call: Call, op: ec2.GetConsoleOutput) -> ec2.GetConsoleOutputResult:
    """Empty while nothing was printed, and once nothing of the instance is left."""
    [record] = reachable(clc, call, (op.instance_id,))
    stop_if_dry_run(op.dry_run)
    output, at = b"", clc.now()
    if record.placed and record.state is not InstanceState.TERMINATED:
        found = await clc.bus.ask(clc.cc_of(record.zone), CcGetConsoleOutput(record.instance_id), call)
        output, at = found.output, found.at
    text = base64.b64encode(output).decode()
    return ec2.GetConsoleOutputResult(record.instance_id, views.time_view(at), text)


async def find_console(clc: "Clc", call: Call, op: FindConsole) -> ConsolePlace:
    [record] = reachable(clc, call, (op.instance_id,))
    return ConsolePlace(clc.cc_of(record.zone), record.node or "")


async def get_console_screenshot(
    clc: "Clc", call: Call, op: ec2.GetConsoleScreenshot
) -> ec2.GetConsoleScreenshotResult:
    """Raises IncorrectInstanceState unless it runs."""
    [record] = reachable(clc, call, (op.instance_id,))
    if record.state is not InstanceState.RUNNING:
        raise IncorrectInstanceState(
            f"The instance '{record.instance_id}' is not in a state for this operation ({record.state})."
        )
    stop_if_dry_run(op.dry_run)
    found = await clc.bus.ask(
        clc.cc_of(record.zone), CcGetConsoleScreenshot(record.instance_id, op.wake_up), call
    )
    return ec2.GetConsoleScreenshotResult(record.instance_id, base64.b64encode(found.jpeg).decode())


def owned(clc: "Clc", account: str, instance_ids: Iterable[str]) -> list[Instance]:
    """The account's instances, each once, in the order asked. One that is not there refuses all."""
    return _named(instance_ids, lambda instance_id: clc.instances.owned(account, instance_id))


def reachable(clc: "Clc", call: Call, instance_ids: Iterable[str]) -> list[Instance]:
    """The caller's instances; an administrator's are those of every account."""
    return _named(instance_ids, lambda instance_id: clc.instances.reachable(call, instance_id))


def _named(instance_ids: Iterable[str], find: Callable[[str], Instance | None]) -> list[Instance]:
    wanted = dict.fromkeys(ids.checked(instance_id, "i") for instance_id in instance_ids)
    if not wanted:
        raise MissingParameter("InstanceId")
    found = {instance_id: find(instance_id) for instance_id in wanted}
    if missing := [instance_id for instance_id, record in found.items() if record is None]:
        raise InvalidInstanceIDNotFound(*missing)
    return [record for record in found.values() if record is not None]


async def wish_gone(clc: "Clc", instance_id: str, reason: Reason, transition: str) -> Instance | None:
    """Commit that the instance shall end, with the first reason that was given."""
    at = datetime.fromtimestamp(clc.now(), UTC).strftime("%Y-%m-%d %H:%M:%S GMT")

    def end(current: Instance) -> Instance:
        state = INSTANCE.after(current.state, InstanceEvent.TERMINATE)
        if state is current.state:
            return current
        return replace(
            current,
            state=state,
            request_id=logs.current_request() or current.request_id,
            reason=reason,
            transition=f"{transition} ({at})",
            deadline=clc.now() + clc.settings.launch_seconds,
        )

    return await clc.instances.change(instance_id, end)


async def _by_token(clc: "Clc", call: Call, token: str, fingerprint: str) -> ec2.Reservation | None:
    """The reservation that this token made, in its present state. Raises IdempotentParameterMismatch."""
    row = one(
        await clc.store.read(
            "SELECT * FROM client_token WHERE account = ? AND token = ?", call.account, token
        )
    )
    if row is None:
        return None
    if row["parameters"] != fingerprint:
        raise IdempotentParameterMismatch
    records = [r for r in clc.instances.of(call.account) if r.reservation_id == row["reservation_id"]]
    return clc.views.reservation(records) if records else None


def _with_rows(
    clc: "Clc",
    call: Call,
    op: ec2.RunInstances,
    records: list[Instance],
    fingerprint: str,
    user_data: bytes,
) -> list[Statement]:
    """Rows that belong in the transaction of the instances: ids are never used twice."""
    rows = [insert("used_id", {"id": record.instance_id}) for record in records]
    if user_data:
        rows += [insert("user_data", {"instance_id": r.instance_id, "data": user_data}) for r in records]
    if op.client_token:
        token: dict[str, Value] = {
            "account": call.account,
            "token": op.client_token,
            "parameters": fingerprint,
            "reservation_id": records[0].reservation_id,
            "at": clc.now(),
        }
        rows.append(insert("client_token", token))
    return rows


def _new_ids(clc: "Clc", count: int) -> list[str]:
    """Ids whose devices and MACs no other instance has: of short ids that is the ids themselves."""
    if clc.settings.id_digits == ids.DIGITS:
        return [ids.unused(clc.new_id, "i", clc.instances.find) for _ in range(count)]
    taken = {ids.wire_digits(r.instance_id) for r in clc.instances.all()}
    made: list[str] = []
    while len(made) < count:
        instance_id = clc.new_id("i")
        if (digits := ids.wire_digits(instance_id)) not in taken:
            taken.add(digits)
            made.append(instance_id)
    return made


def _record(
    clc: "Clc",
    call: Call,
    op: ec2.RunInstances,
    wish: "admission.Wish",
    index: int,
    instance_id: str,
    reservation_id: str,
) -> Instance:
    options = op.metadata_options or ec2.InstanceMetadataOptionsRequest()
    tokens_only = bool(wish.image.imds_support)
    return Instance(
        instance_id=instance_id,
        reservation_id=reservation_id,
        account=call.account,
        image_id=wish.image.image_id,
        kernel_id=wish.kernel.image_id if wish.kernel else None,
        ramdisk_id=wish.ramdisk.image_id if wish.ramdisk else None,
        instance_type=wish.vm_type.name,
        zone=wish.zone,
        state=INSTANCE.start,
        launch_time=clc.now(),
        launch_index=index,
        deadline=clc.now() + clc.settings.launch_seconds,
        group_ids=wish.group_ids,
        key_name=op.key_name,
        public_key=wish.public_key,
        client_token=op.client_token or "",
        root_device_name=wish.image.root_device_name,
        boot_mode=wish.image.boot_mode,
        product_codes=wish.image.product_codes,
        http_tokens=options.http_tokens or ("required" if tokens_only else "optional"),
        http_endpoint=options.http_endpoint or "enabled",
        hop_limit=options.http_put_response_hop_limit or (2 if tokens_only else 1),
        metadata_tags=options.instance_metadata_tags or "disabled",
        wanted_private_ip=wish.private_ip,
        extra_disks=wish.extra_disks,
        monitoring=op.monitoring is not None and op.monitoring.enabled,
        wants_public_ip=network_rules.wants_public(clc, op.addressing_type),
        shutdown_behavior=op.instance_initiated_shutdown_behavior or "terminate",
        disable_api_termination=op.disable_api_termination,
        disable_api_stop=op.disable_api_stop,
        tags=wish.tags,
        request_id=call.request_id,
    )


def _with_volumes(
    clc: "Clc", wish: "admission.Wish", records: list[Instance]
) -> tuple[list[Instance], list[Volume]]:
    made: list[Volume] = []
    instances = []
    for record in records:
        volumes, attached = launch_volumes.made_volumes(clc, record, wish.volumes, wish.volume_tags)
        made += volumes
        instances.append(replace(record, volumes=attached, boots_from_volume=wish.image.boots_from_volume))
    return instances, made


def _reservations(clc: "Clc", records: Iterable[Instance]) -> tuple[ec2.Reservation, ...]:
    together: dict[str, list[Instance]] = {}
    for record in records:
        together.setdefault(record.reservation_id, []).append(record)
    return tuple(clc.views.reservation(same) for same in together.values())


def _by_group_name(clc: "Clc") -> dict[str, "admission.NamesOf"]:
    def names(record: Instance) -> list[str]:
        return [g.group_name for g in clc.views.group_identifiers(record.group_ids)]

    return {
        "instance.group-name": names,
        "network-interface.group-name": names,
        "dns-name": lambda r: [clc.views.names.public(r.public_ip) or r.private_ip or ""],
        "private-dns-name": lambda r: [clc.views.names.private(r.private_ip)],
        "vpc-id": lambda r: [clc.settings.vpc_id],
        "subnet-id": lambda r: [zones.subnet_id_of(clc, r.zone)],
    }
