"""Records as EC2 shows them. A view is built once for each record and kept, so that the front end can
keep the XML beside it."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from euca_box.messages import ec2_images, ec2_instances
from euca_box.messages.ec2_common import GroupIdentifier, ProductCode, Tag
from euca_box.model import ids
from euca_box.model.addresses import Address
from euca_box.model.groups import SecurityGroup
from euca_box.model.images import Image, Origin
from euca_box.model.instance_names import InstanceNames
from euca_box.model.instances import Instance, InstanceState, server_error

if TYPE_CHECKING:
    from euca_box.roles.clc.records import Records
    from euca_box.roles.clc.role import ClcSettings


LISTINGS = 64  # accounts whose whole listing is kept: a thousand instances are 2 MB of XML


class Views:
    def __init__(
        self,
        settings: "ClcSettings",
        groups: "Records[SecurityGroup]",
        addresses: "Records[Address]",
        subnet_of: Callable[[str], str],
    ) -> None:
        """`subnet_of(zone)` is the id of the zone's subnet."""
        self._settings, self._subnet_of = settings, subnet_of
        self.names = InstanceNames(settings.dns_domain)
        self._groups = groups
        self._addresses = addresses
        self._reservations: dict[str, tuple[tuple[Instance, ...], ec2_instances.Reservation]] = {}
        self._listings: OrderedDict[str, tuple[int, ec2_instances.DescribeInstancesResult]] = OrderedDict()
        self._images: dict[str, tuple[Image, ec2_images.Image]] = {}

    def reservation(self, instances: Iterable[Instance]) -> ec2_instances.Reservation:
        """The reservation of these instances (one at least, in order of their launch index)."""
        records = tuple(instances)
        first = records[0]
        kept = self._reservations.get(first.reservation_id)
        # Comparing tuples looks at identity first, so records that did not change cost nothing.
        if kept is not None and kept[0] == records:
            return kept[1]
        view = ec2_instances.Reservation(
            reservation_id=first.reservation_id,
            owner_id=first.account,
            groups=self.group_identifiers(first.group_ids),
            instances=tuple(self.instance(record) for record in records),
        )
        self._reservations[first.reservation_id] = (records, view)
        return view

    def listing(
        self, account: str, changes: int, build: Callable[[], tuple[ec2_instances.Reservation, ...]]
    ) -> ec2_instances.DescribeInstancesResult:
        """All instances of an account, the same object until one of them changes."""
        kept = self._listings.get(account)
        if kept is None or kept[0] != changes:
            kept = self._listings[account] = changes, ec2_instances.DescribeInstancesResult(build())
        self._listings.move_to_end(account)
        if len(self._listings) > LISTINGS:
            self._listings.popitem(last=False)
        return kept[1]

    def forget(self, reservation_id: str) -> None:
        self._reservations.pop(reservation_id, None)

    def instance(self, record: Instance) -> ec2_instances.Instance:
        gone = record.state is InstanceState.TERMINATED
        private_ip = None if gone else record.private_ip
        public_ip = None if gone else record.public_ip
        groups = () if gone else self.group_identifiers(record.group_ids)
        reason = record.reason or (server_error(record.health) if record.health else None)
        return ec2_instances.Instance(
            instance_id=record.instance_id,
            image_id=record.image_id,
            state=state_view(record.state),
            private_dns_name=self.names.private(private_ip),
            public_dns_name=self.names.public(public_ip) or private_ip or "",
            state_transition_reason=record.transition,
            ami_launch_index=record.launch_index,
            instance_type=record.instance_type,
            launch_time=time_view(record.launch_time),
            placement=ec2_instances.InstancePlacement(record.zone),
            key_name=record.key_name,
            kernel_id=record.kernel_id,
            ramdisk_id=record.ramdisk_id,
            monitoring=ec2_instances.Monitoring("enabled" if record.monitoring else "disabled"),
            subnet_id=None if gone else self._subnet_of(record.zone),
            vpc_id=None if gone else self._settings.vpc_id,
            private_ip_address=private_ip,
            public_ip_address=public_ip,
            root_device_name=record.root_device_name,
            root_device_type=root_type(record.boots_from_volume),
            block_device_mappings=() if gone else mappings_view(record),
            boot_mode=record.boot_mode or None,
            product_codes=product_codes_view(record.product_codes),
            client_token=record.client_token,
            state_reason=ec2_instances.StateReason(reason.code, reason.message) if reason else None,
            iam_instance_profile=profile_view(record),
            tags=tags_view(record.tags),
            security_groups=groups,
            network_interfaces=() if private_ip is None else (self._interface(record, groups),),
            metadata_options=ec2_instances.InstanceMetadataOptions(
                http_tokens=record.http_tokens,
                http_put_response_hop_limit=record.hop_limit,
                http_endpoint=record.http_endpoint,
                instance_metadata_tags=record.metadata_tags,
            ),
        )

    def image(self, record: Image) -> ec2_images.Image:
        kept = self._images.get(record.image_id)
        if kept is not None and kept[0] is record:
            return kept[1]
        origin = record.origin or Origin()
        view = ec2_images.Image(
            image_id=record.image_id,
            image_location=record.location,
            state=record.state.value,
            state_reason=ec2_instances.StateReason("Server.ImageFailed", record.reason)
            if record.reason
            else None,
            owner_id=record.account,
            public=record.public,
            architecture=record.architecture,
            image_type=record.type.value,
            creation_date=datetime.fromtimestamp(record.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            name=record.name,
            description=record.description,
            kernel_id=record.kernel_id,
            ramdisk_id=record.ramdisk_id,
            root_device_name=record.root_device_name,
            root_device_type=root_type(record.boots_from_volume),
            block_device_mappings=volume_mappings(record),
            boot_mode=record.boot_mode or None,
            imds_support=record.imds_support or None,
            product_codes=product_codes_view(record.product_codes),
            source_instance_id=origin.instance_id or None,
            source_image_id=origin.image_id or None,
            source_image_region=self._settings.region if origin.image_id else None,
            tags=tags_view(record.tags),
        )
        self._images[record.image_id] = (record, view)
        return view

    def elastic_address(self, record: Instance, public_ip: str | None) -> Address | None:
        """The elastic address that leads to the instance, when this is it; None for an automatic one."""
        held = self._addresses.of(record.account) if public_ip is not None else ()
        return next(
            (a for a in held if a.instance_id == record.instance_id and a.public_ip == public_ip), None
        )

    def group_identifiers(self, group_ids: Iterable[str]) -> tuple[GroupIdentifier, ...]:
        found = (self._groups.find(group_id) for group_id in group_ids)
        return tuple(GroupIdentifier(group.name, group.group_id) for group in found if group is not None)

    def _interface(
        self, record: Instance, groups: tuple[GroupIdentifier, ...]
    ) -> ec2_instances.NetworkInterface:
        association = None
        if record.public_ip:
            owner = record.account if record.elastic else "amazon"
            association = ec2_instances.NetworkInterfaceAssociation(
                owner, record.public_ip, self.names.public(record.public_ip)
            )
        return ec2_instances.NetworkInterface(
            network_interface_id="eni-" + record.instance_id.partition("-")[2],
            mac_address=record.mac or ids.mac_of(record.instance_id),
            owner_id=record.account,
            private_ip_address=record.private_ip or "",
            private_dns_name=self.names.private(record.private_ip),
            subnet_id=self._subnet_of(record.zone),
            vpc_id=self._settings.vpc_id,
            groups=groups,
            association=association,
        )


def state_view(state: InstanceState) -> ec2_instances.InstanceState:
    return ec2_instances.InstanceState(state.code, state.value)


def time_view(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def profile_view(record: Instance) -> ec2_instances.IamInstanceProfile | None:
    if record.profile is None or record.profile.ending:
        return None
    return ec2_instances.IamInstanceProfile(record.profile.profile_arn, record.profile.profile_id)


def product_codes_view(codes: Iterable[str]) -> tuple[ProductCode, ...]:
    return tuple(ProductCode(code) for code in codes)


def tags_view(tags: Iterable[tuple[str, str]]) -> tuple[Tag, ...]:
    return tuple(Tag(key, value) for key, value in tags)


def root_type(boots_from_volume: bool) -> str:
    return "ebs" if boots_from_volume else "instance-store"


def volume_mappings(image: Image) -> tuple[ec2_instances.BlockDeviceMapping, ...]:
    """The volumes that instances of it get."""
    return tuple(
        ec2_instances.BlockDeviceMapping(
            volume.device,
            ebs=ec2_instances.EbsBlockDevice(
                snapshot_id=volume.snapshot_id or None,
                volume_size=volume.size_gib,
                volume_type=volume.volume_type,
                delete_on_termination=volume.delete_on_termination,
                encrypted=volume.encrypted,
            ),
        )
        for volume in image.volumes
    )


def mappings_view(record: Instance) -> tuple[ec2_instances.InstanceBlockDeviceMapping, ...]:
    """The volumes that it has."""
    return tuple(
        ec2_instances.InstanceBlockDeviceMapping(
            attachment.device,
            ec2_instances.EbsInstanceBlockDevice(
                time_view(attachment.at),
                attachment.delete_on_termination,
                attachment.state.value,
                attachment.volume_id,
            ),
        )
        for attachment in record.volumes
    )
