"""VM types: those of the configuration, and what the operator changed of them while the cloud ran."""

import re
from typing import TYPE_CHECKING

from euca_box.messages import admin
from euca_box.messages.base import Call, Done
from euca_box.model.ec2_errors import NoSuchEntity
from euca_box.model.errors import IncorrectState, InvalidParameterValue
from euca_box.model.instances import VmType
from euca_box.store.store import Row, Statement, Value, insert

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}")
MOST_CORES, MOST_MEMORY_MIB, MOST_DISK_GIB = 1024, 16 * 1024 * 1024, 64 * 1024


async def load(clc: "Clc") -> None:
    """Rows stand over the configuration; one with `cpu` 0 takes its type away."""
    changed = {row["name"]: _vm_type(row) for row in await clc.store.read("SELECT * FROM vm_type")}
    merged = {vm.name: vm for vm in clc.settings.vm_types} | changed
    clc.vm_types = {name: vm for name, vm in merged.items() if vm.cpu}


async def list_vm_types(clc: "Clc", call: Call, op: admin.ListVmTypes) -> admin.VmTypes:
    configured = {vm.name: vm for vm in clc.settings.vm_types}
    rows = tuple(
        admin.VmTypeRow(
            vm.name,
            vm.cpu,
            vm.memory_mib,
            vm.disk_gib,
            _origin(vm, configured),
            len(_users(clc, vm.name)),
            vm.ephemeral_gib,
            vm.swap_mib,
        )
        for vm in clc.vm_types.values()
    )
    return admin.VmTypes(rows)


async def set_vm_type(clc: "Clc", call: Call, op: admin.SetVmType) -> Done:
    """Change a type or make a new one; instances that run keep what they have until they start again.

    Raises InvalidParameterValue.
    """
    if not NAME.fullmatch(op.name):
        raise InvalidParameterValue(f"{op.name[:64]!r} is no VM type name: a-z, 0-9, '.' and '-' up to 32.")
    known = clc.vm_types.get(op.name)
    given = (op.cpu, op.memory_mib, op.disk_gib)
    if known is None and None in given:
        raise InvalidParameterValue(f"{op.name} is new: give its cores, memory and disk.")
    known = known or VmType(op.name, 0, 0, 0)
    vm = VmType(
        op.name,
        known.cpu if op.cpu is None else op.cpu,
        known.memory_mib if op.memory_mib is None else op.memory_mib,
        known.disk_gib if op.disk_gib is None else op.disk_gib,
        known.ephemeral_gib if op.ephemeral_gib is None else op.ephemeral_gib,
        known.swap_mib if op.swap_mib is None else op.swap_mib,
    )
    for value, least, most, what in (
        (vm.cpu, 1, MOST_CORES, "cores"),
        (vm.memory_mib, 16, MOST_MEMORY_MIB, "MiB of memory"),
        (vm.disk_gib, 1, MOST_DISK_GIB, "GiB of disk"),
        (vm.ephemeral_gib, 0, MOST_DISK_GIB, "GiB of ephemeral disk"),
        (vm.swap_mib, 0, MOST_MEMORY_MIB, "MiB of swap"),
    ):
        if not least <= value <= most:
            raise InvalidParameterValue(f"A VM type has {least} to {most} {what}, not {value}.")
    await _keep(clc, vm)
    return Done()


async def remove_vm_type(clc: "Clc", call: Call, op: admin.RemoveVmType) -> Done:
    """Offer it no more. Raises NoSuchEntity, IncorrectState while instances have it."""
    if op.name not in clc.vm_types:
        raise NoSuchEntity("VM type", op.name[:64])
    if users := _users(clc, op.name):
        raise IncorrectState(
            f"{len(users)} instances have the VM type {op.name}, {users[0]} is one. Terminate them or change "
            "their type, then remove it."
        )
    await _keep(clc, VmType(op.name, 0, 0, 0))
    return Done()


async def reset_vm_type(clc: "Clc", call: Call, op: admin.ResetVmType) -> Done:
    """As the configuration has it. Raises NoSuchEntity when it has none of this name."""
    if not any(vm.name == op.name for vm in clc.settings.vm_types):
        raise NoSuchEntity("VM type of the configuration", op.name[:64])
    await clc.store.write(Statement("DELETE FROM vm_type WHERE name = ?", (op.name,)))
    await load(clc)
    return Done()


async def _keep(clc: "Clc", vm: VmType) -> None:
    row: dict[str, Value] = {
        "name": vm.name,
        "cpu": vm.cpu,
        "memory_mib": vm.memory_mib,
        "disk_gib": vm.disk_gib,
        "ephemeral_gib": vm.ephemeral_gib,
        "swap_mib": vm.swap_mib,
    }
    await clc.store.write(insert("vm_type", row, or_replace=True))
    await load(clc)


def _users(clc: "Clc", name: str) -> list[str]:
    return [r.instance_id for r in clc.instances.all() if r.instance_type == name and r.ended_at is None]


def _origin(vm: VmType, configured: dict[str, VmType]) -> str:
    if vm.name not in configured:
        return "added"
    return "configured" if configured[vm.name] == vm else "changed"


def _vm_type(row: Row) -> VmType:
    numbers = (row["cpu"], row["memory_mib"], row["disk_gib"], row["ephemeral_gib"], row["swap_mib"])
    return VmType(row["name"], *numbers)
