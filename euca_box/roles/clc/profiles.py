"""Instance profiles of instances: whose role's credentials an instance finds in its metadata.

The association is a part of the instance's record. A loop gives each node the credentials of its instances,
new ones when half of their time is over, and again every minute: nodes keep them in memory only.
EC2 API reference 2016-11-15, AssociateIamInstanceProfile and its neighbours.
"""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import ec2_profiles as ec2
from euca_box.messages.base import Call, system_call
from euca_box.messages.cc import CcSetCredentials
from euca_box.messages.ec2_instances import IamInstanceProfile, IamInstanceProfileSpecification
from euca_box.model.ec2_errors import InvalidAssociationIDNotFound
from euca_box.model.errors import EucaError, IncorrectState, InvalidParameterValue, MissingParameter
from euca_box.model.filters import filtered
from euca_box.model.instances import Instance, InstanceState, ProfileAssociation
from euca_box.model.metadata import RoleCredentials
from euca_box.model.paging import page
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import instances, sessions
from euca_box.roles.clc.identities import PROFILE, arn, look_up
from euca_box.roles.clc.views import time_view
from euca_box.store.store import Row, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

LIFE_SECONDS = 6 * 3600  # as AWS's
SEND_SECONDS, SOON_SECONDS = 60.0, 1.0
PREFIX = "iip-assoc"
FILTERS = {"instance-id": lambda r: r.instance_id, "state": lambda r: r.state}
_CHANGEABLE = (InstanceState.PENDING, InstanceState.RUNNING, InstanceState.STOPPING, InstanceState.STOPPED)


async def associate(
    clc: "Clc", call: Call, op: ec2.AssociateIamInstanceProfile
) -> ec2.AssociateIamInstanceProfileResult:
    """Raises IncorrectState, InvalidParameterValue, InvalidInstanceIDNotFound."""
    [record] = instances.reachable(clc, call, (op.instance_id,))
    if record.state not in _CHANGEABLE:
        raise IncorrectState(f"The instance {record.instance_id} is {record.state.value}.")
    wanted = await wanted_profile(clc, record.account, op.iam_instance_profile)

    def change(current: Instance) -> Instance:
        if current.profile is not None and not current.profile.ending:
            raise IncorrectState(f"There is an existing association for instance {op.instance_id}")
        return replace(current, profile=wanted)

    changed = await clc.instances.change(record.instance_id, change)
    fp("clc.profile.after-commit")
    clc.profiles_bell.ring()
    return ec2.AssociateIamInstanceProfileResult(_view(clc, changed or record))


async def disassociate(
    clc: "Clc", call: Call, op: ec2.DisassociateIamInstanceProfile
) -> ec2.DisassociateIamInstanceProfileResult:
    """Raises InvalidAssociationIDNotFound."""
    record = _associated(clc, call, op.association_id)

    def change(current: Instance) -> Instance:
        if current.profile is None or current.profile.association_id != op.association_id:
            raise InvalidAssociationIDNotFound(op.association_id)
        return replace(current, profile=replace(current.profile, ending=True))

    changed = await clc.instances.change(record.instance_id, change)
    fp("clc.profile.after-end")
    clc.profiles_bell.ring()
    return ec2.DisassociateIamInstanceProfileResult(_view(clc, changed or record))


async def replace_association(
    clc: "Clc", call: Call, op: ec2.ReplaceIamInstanceProfileAssociation
) -> ec2.ReplaceIamInstanceProfileAssociationResult:
    record = _associated(clc, call, op.association_id)
    wanted = await wanted_profile(clc, record.account, op.iam_instance_profile)

    def change(current: Instance) -> Instance:
        if current.profile is None or current.profile.association_id != op.association_id:
            raise InvalidAssociationIDNotFound(op.association_id)
        return replace(current, profile=wanted)

    changed = await clc.instances.change(record.instance_id, change)
    clc.profiles_bell.ring()
    return ec2.ReplaceIamInstanceProfileAssociationResult(_view(clc, changed or record))


async def describe_associations(
    clc: "Clc", call: Call, op: ec2.DescribeIamInstanceProfileAssociations
) -> ec2.DescribeIamInstanceProfileAssociationsResult:
    for association_id in op.association_ids:
        _associated(clc, call, association_id)
    found = [_view(clc, record) for record in _with_profiles(clc.instances.of(call.account))]
    if op.association_ids:
        found = [view for view in found if view.association_id in op.association_ids]
    found = sorted(filtered(found, op.filters, FILTERS), key=lambda view: view.association_id)
    shown, token = page(
        found,
        lambda view: view.association_id,
        max_results=op.max_results,
        next_token=op.next_token,
        ids_given=bool(op.association_ids),
    )
    return ec2.DescribeIamInstanceProfileAssociationsResult(tuple(shown), token)


def _with_profiles(records: Iterable[Instance]) -> list[Instance]:
    return [r for r in records if r.profile is not None and r.ended_at is None]


def _associated(clc: "Clc", call: Call, association_id: str) -> Instance:
    """Raises InvalidAssociationIDNotFound."""
    for record in _with_profiles(clc.instances.of(call.account)):
        if record.profile is not None and record.profile.association_id == association_id:
            return record
    raise InvalidAssociationIDNotFound(association_id[:64])


async def wanted_profile(
    clc: "Clc", account: str, given: IamInstanceProfileSpecification
) -> ProfileAssociation:
    """A new association with the profile that is named. Raises InvalidParameterValue, MissingParameter."""
    return association(clc, await profile_of(clc, account, given))


def association(clc: "Clc", row: Row) -> ProfileAssociation:
    return ProfileAssociation(clc.new_id(PREFIX), str(row["id"]), arn(PROFILE, row), clc.now())


async def profile_of(clc: "Clc", account: str, given: IamInstanceProfileSpecification) -> Row:
    if given.name is None and given.arn is None:
        raise MissingParameter("IamInstanceProfile.Name")
    name = given.name
    if given.arn is not None:
        match = re.fullmatch(rf"arn:aws:iam::{account}:instance-profile(?:/|/.+/)([^/]+)", given.arn)
        if match is None or name not in (None, match[1]):
            raise _invalid("arn", given.arn)
        name = match[1]
    row = await look_up(clc, account, PROFILE, name or "")
    if row is None or (given.arn is not None and arn(PROFILE, row) != given.arn):
        raise _invalid("arn" if given.arn else "name", given.arn or name or "")
    return row


def _invalid(field: str, value: str) -> InvalidParameterValue:
    return InvalidParameterValue(
        f"Value ({value[:200]}) for parameter iamInstanceProfile.{field} is invalid. "
        f"Invalid IAM Instance Profile {field}"
    )


def _view(clc: "Clc", record: Instance) -> ec2.IamInstanceProfileAssociation:
    assert record.profile is not None
    state = "associated" if record.instance_id in clc.profile_keys else "associating"
    return ec2.IamInstanceProfileAssociation(
        record.profile.association_id,
        record.instance_id,
        IamInstanceProfile(record.profile.profile_arn, record.profile.profile_id),
        "disassociating" if record.profile.ending else state,
        time_view(record.profile.at),
    )


# The loop


async def give_credentials(clc: "Clc") -> None:
    while True:
        for record in _with_profiles(clc.instances.all()):
            if record.placed and record.state in (InstanceState.PENDING, InstanceState.RUNNING):
                with contextlib.suppress(EucaError):  # again in a minute
                    await _give(clc, record)
            elif record.profile is not None and record.profile.ending:
                await _end(clc, record)  # nothing runs that could tell them
        here = {r.instance_id: r.state for r in _with_profiles(clc.instances.all())}
        clc.profile_keys = {i: kept for i, kept in clc.profile_keys.items() if i in here}
        starting = any(
            state in (InstanceState.PENDING, InstanceState.RUNNING) and i not in clc.profile_keys
            for i, state in here.items()
        )
        await clc.profiles_bell.wait(SOON_SECONDS if starting else SEND_SECONDS)


async def _give(clc: "Clc", record: Instance) -> None:
    assert record.profile is not None
    call = system_call("profiles")
    if record.profile.ending:
        await clc.bus.ask(clc.cc_of(record.zone), CcSetCredentials(record.instance_id), call)
        fp("clc.profile.after-take")
        await _end(clc, record)
        return
    found = await _credentials(clc, record, record.profile)
    await clc.bus.ask(clc.cc_of(record.zone), CcSetCredentials(record.instance_id, found), call)
    clc.profile_keys[record.instance_id] = found


async def _end(clc: "Clc", record: Instance) -> None:
    """Unless another profile was given meanwhile."""
    ended = record.profile

    def change(current: Instance) -> Instance | None:
        return replace(current, profile=None) if current.profile == ended else None

    await clc.instances.change(record.instance_id, change)
    clc.profile_keys.pop(record.instance_id, None)


async def _credentials(clc: "Clc", record: Instance, profile: ProfileAssociation) -> RoleCredentials:
    """Those that it has, while half of their time is left and the role is the same; else new ones."""
    role = one(
        await clc.store.read(
            "SELECT iam_role.* FROM instance_profile JOIN iam_role ON iam_role.id = instance_profile.role_id "
            "WHERE instance_profile.id = ?",
            profile.profile_id,
        )
    )
    now, kept = clc.now(), clc.profile_keys.get(record.instance_id)
    name = role["name"] if role is not None else ""
    is_same = kept is not None and (kept.profile_id, kept.role_name) == (profile.profile_id, name)
    if kept is not None and is_same and now < kept.issued_at + LIFE_SECONDS / 2:
        return kept
    empty = RoleCredentials(
        profile.profile_arn, profile.profile_id, issued_at=now, expires_at=now + LIFE_SECONDS
    )
    if role is None:
        return empty
    made = sessions.issued(clc, role["id"], LIFE_SECONDS, record.instance_id)
    return replace(
        empty,
        role_name=name,
        access_key_id=made.access_key_id,
        secret_access_key=made.secret_access_key,
        session_token=made.session_token,
        expires_at=float(made.expiration),
    )
