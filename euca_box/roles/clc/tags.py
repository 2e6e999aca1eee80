"""Tags on what an account owns (EC2 2016-11-15, Tag your Amazon EC2 resources).

A noun that has tags has a line in KINDS; its records have the fields `account` and `tags`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from euca_box.messages import ec2_tags as ec2
from euca_box.messages.base import Call, Done
from euca_box.model import ids
from euca_box.model.ec2_errors import (
    InvalidAllocationIDNotFound,
    InvalidAMIIDNotFound,
    InvalidGroupNotFound,
    InvalidInstanceIDNotFound,
    InvalidKeyPairNotFound,
    InvalidSnapshotNotFound,
    InvalidVolumeNotFound,
)
from euca_box.model.errors import (
    EucaError,
    InvalidID,
    InvalidParameterValue,
    MissingParameter,
    TagLimitExceeded,
    UnauthorizedOperation,
    UnsupportedOperation,
)
from euca_box.model.filters import filtered
from euca_box.model.images import Image
from euca_box.model.instances import Instance
from euca_box.model.paging import page
from euca_box.model.snapshots import Snapshot
from euca_box.roles.clc import attributes
from euca_box.roles.clc.records import Records
from euca_box.roles.clc.rules import MOST_TAGS, Tags, checked_tags, stop_if_dry_run

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

MOST_RESOURCES = 1000  # in one request (EC2, CreateTags)

# Parts of the default VPC are views of one network that all accounts share: nobody's to tag.
OF_THE_NETWORK = ("vpc", "subnet", "igw", "rtb", "acl", "dopt", "eni")

FILTERS = {
    "key": lambda r: r.key,
    "value": lambda r: r.value,
    "resource-id": lambda r: r.resource_id,
    "resource-type": lambda r: r.resource_type,
}


@dataclass(frozen=True)
class Kind:
    """A noun that may be tagged; `resource_type` is EC2's word for it."""

    resource_type: str
    prefixes: tuple[str, ...]
    records: Callable[["Clc"], Records[Any]]
    absent: Callable[[str], EucaError]


KINDS = (
    Kind("instance", ("i",), lambda clc: clc.instances, InvalidInstanceIDNotFound),
    Kind(
        "image",
        ("emi", "eki", "eri", "ami", "aki", "ari"),
        lambda clc: clc.images,
        InvalidAMIIDNotFound,
    ),
    Kind("key-pair", ("key",), lambda clc: clc.key_pairs, InvalidKeyPairNotFound),
    Kind("security-group", ("sg",), lambda clc: clc.groups, InvalidGroupNotFound),
    Kind("volume", ("vol",), lambda clc: clc.volumes, InvalidVolumeNotFound),
    Kind("snapshot", ("snap",), lambda clc: clc.snapshots, InvalidSnapshotNotFound),
    Kind("elastic-ip", ("eipalloc",), lambda clc: clc.addresses, InvalidAllocationIDNotFound),
)


@dataclass(frozen=True)
class _Row:
    """A tag as filters see it: `tag:KEY` looks at `tags`."""

    resource_id: str
    resource_type: str
    key: str
    value: str

    @property
    def tags(self) -> Tags:
        return ((self.key, self.value),)


async def create_tags(clc: "Clc", call: Call, op: ec2.CreateTags) -> Done:
    """All resources and limits are checked before any is changed; one transaction for each resource."""
    if not op.tags:
        raise MissingParameter("Tag")
    new = checked_tags(op.tags)
    resources = _resources(clc, call, op.resources)
    for kind, resource_id in resources:
        record: Any = kind.records(clc).find(resource_id)
        _merged(record.tags, new)
    stop_if_dry_run(op.dry_run)
    for kind, resource_id in resources:
        await _change(clc, kind, resource_id, lambda tags: _merged(tags, new))
    return Done()


async def delete_tags(clc: "Clc", call: Call, op: ec2.DeleteTags) -> Done:
    if any(tag.key is None for tag in op.tags):
        raise MissingParameter("Tag.Key")
    if any((tag.key or "").startswith("aws:") for tag in op.tags):
        raise InvalidParameterValue("Tag keys starting with 'aws:' are reserved for internal use")
    resources = _resources(clc, call, op.resources)
    stop_if_dry_run(op.dry_run)
    for kind, resource_id in resources:
        await _change(clc, kind, resource_id, lambda tags: _without(tags, op.tags))
    return Done()


async def describe_tags(clc: "Clc", call: Call, op: ec2.DescribeTags) -> ec2.DescribeTagsResult:
    stop_if_dry_run(op.dry_run)
    rows = filtered(_rows(clc, call.account), op.filters, FILTERS)
    shown, token = page(
        sorted(rows, key=_place), _place, max_results=op.max_results, next_token=op.next_token
    )
    return ec2.DescribeTagsResult(
        tuple(ec2.TagDescription(r.resource_id, r.resource_type, r.key, r.value) for r in shown), token
    )


def _place(row: _Row) -> str:
    return f"{row.resource_id}:{row.key}"


def _rows(clc: "Clc", account: str) -> Iterator[_Row]:
    for kind in KINDS:
        records = kind.records(clc)
        for record in records.of(account):
            for key, value in record.tags:
                yield _Row(records.id_of(record), kind.resource_type, key, value)


def _resources(clc: "Clc", call: Call, resource_ids: Iterable[str]) -> list[tuple[Kind, str]]:
    """The account's resources, each once. Raises Invalid...NotFound for what is absent or another's."""
    wanted = list(dict.fromkeys(resource_id.strip().lower() for resource_id in resource_ids))
    if not wanted:
        raise MissingParameter("ResourceId")
    if len(wanted) > MOST_RESOURCES:
        raise InvalidParameterValue(f"At most {MOST_RESOURCES} resources are tagged by one request.")
    return [_resource(clc, call, resource_id) for resource_id in wanted]


def _resource(clc: "Clc", call: Call, resource_id: str) -> tuple[Kind, str]:
    prefix = resource_id.partition("-")[0]
    if prefix in OF_THE_NETWORK:
        raise UnsupportedOperation(f"{resource_id[:64]} is of the network that all accounts share: no tags.")
    kind = next((kind for kind in KINDS if prefix in kind.prefixes), None)
    if kind is None:
        raise InvalidID(resource_id[:64])
    record_id = ids.checked(resource_id, *kind.prefixes)
    if kind.resource_type == "image":
        record_id = ids.checked_image(record_id)
    record = kind.records(clc).find(record_id)
    if record is not None and (call.admin or record.account == call.account):
        return kind, record_id
    shown = (isinstance(record, Image) and record.may_run(call.account)) or (
        isinstance(record, Snapshot) and record.may_use(call.account)
    )
    if shown:
        raise UnauthorizedOperation(f"{record_id} belongs to another account.")
    raise kind.absent(resource_id)


async def _change(clc: "Clc", kind: Kind, resource_id: str, change: Callable[[Tags], Tags]) -> None:
    found = await kind.records(clc).change(resource_id, lambda r: _tagged(r, change(r.tags)))
    if found is None:
        raise kind.absent(resource_id)
    if isinstance(found, Instance) and found.metadata_tags == "enabled":
        await attributes.have_in_force(clc, resource_id)


def _tagged(record: Any, tags: Tags) -> Any:
    """The guest is told when it may see its tags: that is a wish for its node."""
    if isinstance(record, Instance) and record.metadata_tags == "enabled" and tags != record.tags:
        return replace(record, tags=tags, generation=record.generation + 1)
    return replace(record, tags=tags)


def _merged(tags: Tags, new: Tags) -> Tags:
    merged = dict(tags) | dict(new)
    if len(merged) > MOST_TAGS:
        raise TagLimitExceeded(MOST_TAGS)
    return tuple(merged.items())


def _without(tags: Tags, gone: tuple[ec2.TagToDelete, ...]) -> Tags:
    if not gone:
        return ()

    def goes(key: str, value: str) -> bool:
        return any(tag.key == key and tag.value in (None, value) for tag in gone)

    return tuple((key, value) for key, value in tags if not goes(key, value))
