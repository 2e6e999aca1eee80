"""The metadata of an instance, for the service at 169.254.169.254 on this node's bridge."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from euca_box.messages.base import Call, Done
from euca_box.messages.instance_spec import InstanceSpec
from euca_box.messages.nc import MetadataAnswer, NcDescribeMetadata, NcSetCredentials
from euca_box.model import ids
from euca_box.model.ec2_errors import InvalidInstanceIDNotFound
from euca_box.model.metadata import InstanceMetadata, RoleCredentials

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc, Resident


async def describe_metadata(nc: "Nc", call: Call, op: NcDescribeMetadata) -> MetadataAnswer:
    """Whose address is it? The network lets no guest use an address that is not its own."""
    for resident in nc.residents.values():
        if resident.placement.private_ip == op.private_ip and not resident.ending:
            return MetadataAnswer(_metadata(nc, resident))
    return MetadataAnswer(None)


async def set_credentials(nc: "Nc", call: Call, op: NcSetCredentials) -> Done:
    """Of instances that are here. What is kept of others goes."""
    if op.instance_id not in nc.residents:
        raise InvalidInstanceIDNotFound(op.instance_id)
    nc.credentials = {i: kept for i, kept in nc.credentials.items() if i in nc.residents}
    nc.credentials.pop(op.instance_id, None)
    if op.credentials is not None:
        nc.credentials[op.instance_id] = op.credentials
    return Done()


def _block_devices(spec: InstanceSpec) -> dict[str, str]:
    """`ephemeral` is what 1.6.2 called AWS's ephemeral0."""
    root = spec.root_device_name.removeprefix("/dev/")
    found = {"emi": root, "ami": root, "root": spec.root_device_name}
    beside_root = [wish for wish in spec.volumes if wish.device != spec.root_device_name]
    found |= {f"ebs{n}": wish.device.removeprefix("/dev/") for n, wish in enumerate(beside_root, start=1)}
    for disk in spec.extra_disks:
        device = disk.device_name.removeprefix("/dev/")
        found[disk.virtual_name] = device
        if disk.virtual_name == "ephemeral0":
            found["ephemeral"] = device
    return found


def _metadata(nc: "Nc", resident: "Resident") -> InstanceMetadata:
    spec, where = resident.spec, resident.placement
    return InstanceMetadata(
        instance_id=spec.instance_id,
        image_id=spec.image_id,
        reservation_id=spec.reservation_id,
        instance_type=spec.vm_type.name,
        private_ip=where.private_ip,
        mac=where.mac or ids.mac_of(spec.instance_id),
        hostname=nc.names.private(where.private_ip),
        account_id=spec.account,
        zone=spec.zone,
        region=spec.region,
        launch_time=datetime.fromtimestamp(spec.launch_time, UTC),
        launch_index=spec.launch_index,
        kernel_id=spec.kernel_id or "",
        ramdisk_id=spec.ramdisk_id or "",
        manifest_path=spec.image.location,
        product_codes=spec.product_codes,
        public_ip=where.public_ip or "",
        public_hostname=nc.names.public(where.public_ip),
        key_name=spec.key_name or "",
        public_key=spec.public_key,
        user_data=spec.user_data,
        group_names=spec.group_names,
        group_ids=spec.group_ids,
        block_devices=_block_devices(spec),
        interface_id="eni-" + spec.instance_id.partition("-")[2],
        vpc_id=spec.vpc_id,
        subnet_id=spec.subnet_id,
        vpc_cidr=nc.settings.subnet_cidr,
        subnet_cidr=nc.settings.subnet_cidr,
        tags=dict(spec.tags),
        tags_shown=spec.metadata_tags == "enabled",
        http_tokens=spec.http_tokens,
        http_endpoint=spec.http_endpoint,
        hop_limit=spec.hop_limit,
        credentials=_credentials(nc, spec.instance_id),
    )


def _credentials(nc: "Nc", instance_id: str) -> RoleCredentials | None:
    """Those that still hold."""
    found = nc.credentials.get(instance_id)
    return found if found is not None and found.expires_at > nc.now() else None
