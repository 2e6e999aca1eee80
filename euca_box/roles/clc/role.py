"""The Cloud Controller: users, images, groups, instances as they should be; it decides.

What it can do is the table OPERATIONS at the end. What it does by itself is in `loops.py`.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import trio

from euca_box.auth.keyring import Keyring
from euca_box.auth.notary import Notary
from euca_box.auth.secrets import Sealer
from euca_box.bus.bus import Bus, Desk, Operations
from euca_box.bus.memory import MemoryTransport
from euca_box.messages import (
    admin,
    ec2_account,
    ec2_addresses,
    ec2_attributes,
    ec2_bundle_tasks,
    ec2_groups,
    ec2_image_attributes,
    ec2_image_copies,
    ec2_images,
    ec2_instances,
    ec2_keypairs,
    ec2_places,
    ec2_profiles,
    ec2_snapshots,
    ec2_statuses,
    ec2_tags,
    ec2_volumes,
    ec2_vpcs,
    sts,
)
from euca_box.messages import components as component_messages
from euca_box.messages import consoles as console_messages
from euca_box.messages import (
    dns as dns_messages,
)
from euca_box.messages import hosts as host_messages
from euca_box.messages.instance_spec import GroupRules
from euca_box.model.accounts import Principal
from euca_box.model.addresses import Address
from euca_box.model.bundle_tasks import BundleTask
from euca_box.model.groups import SecurityGroup
from euca_box.model.hosts import ComponentState, Host
from euca_box.model.ids import NewId, id_maker
from euca_box.model.images import Image
from euca_box.model.instances import Instance, VmType
from euca_box.model.keypairs import KeyPair
from euca_box.model.metadata import RoleCredentials
from euca_box.model.policies import Decision, Question
from euca_box.model.rights import rights
from euca_box.model.snapshots import Snapshot
from euca_box.model.volumes import Volume
from euca_box.roles.clc import (
    account,
    addresses,
    attaching,
    attributes,
    authorisation,
    bundle_tasks,
    certificates,
    components,
    console,
    dns,
    events,
    group_rules,
    groups,
    host_loop,
    hosts,
    image_attributes,
    image_copies,
    images,
    instance_snapshots,
    instances,
    keypairs,
    known_hosts,
    logins,
    loops,
    modifications,
    monitoring,
    people,
    places,
    prefetch,
    profiles,
    sessions,
    snapshot_attributes,
    snapshots,
    statuses,
    stops,
    tags,
    traces,
    users,
    vm_types,
    volume_statuses,
    volumes,
    vpcs,
    zones,
)
from euca_box.roles.clc.attachments import AttachmentIndex
from euca_box.roles.clc.attempts import Attempts
from euca_box.roles.clc.census import Census
from euca_box.roles.clc.mail import Deliver, MailSettings, deliver
from euca_box.roles.clc.records import Records
from euca_box.roles.clc.views import Views
from euca_box.services.service import Service, operations_of
from euca_box.store.store import Store, Value
from euca_box.tasks import Bell, supervise

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class ClcSettings:
    region: str
    zone: str
    admin_account: str
    endpoint: str
    vm_types: tuple[VmType, ...]
    id_digits: int = 8
    images_public: bool = False
    max_instances: int = 64
    max_addresses: int = 5
    max_key_pairs: int = 500
    max_security_groups: int = 500
    max_group_rules: int = 200
    launch_seconds: float = 600.0
    image_seconds: float = 3600.0
    max_images: int = 100
    terminated_seconds: float = 3600.0
    recover_seconds: float = 0.0  # how long a node is lost before what can start elsewhere does; 0: never
    volume_seconds: float = 3600.0
    attach_seconds: float = 120.0
    detach_seconds: float = 60.0
    max_volumes: int = 100
    max_snapshots: int = 1000
    snapshot_seconds: float = 24 * 3600.0
    events_days: float = 90.0
    events_most: int = 1_000_000
    mail: MailSettings = MailSettings()
    max_volumes_gib: int = 0
    vpc_cidr: str = "172.31.0.0/16"
    subnet_cidr: str = "172.31.0.0/20"
    network_mode: str = "EDGE"
    automatic_public_addresses: bool = True
    dns_domain: str = ""
    shared: tuple[tuple[str, str], ...] = ()  # settings that all hosts of the cloud must have alike
    # one default VPC and subnet for all accounts of this zone
    vpc_id: str = "vpc-00000001"
    subnet_id: str = "subnet-00000001"


class Clc:
    def __init__(
        self,
        settings: ClcSettings,
        store: Store,
        bus: Bus,
        keyring: Keyring,
        sealer: Sealer,
        notary: Notary,
        now: Callable[[], float],
        randomness: random.Random,
        own_host: Host | None = None,
        ticket: Callable[..., str] = lambda *names: "",
    ) -> None:
        """`own_host`: with the roles of this process; at no address where no other host reaches it.
        `ticket(kind, *names)`: what a node shows to be given something, see auth/tickets.py."""
        self.settings = settings
        self.store = store
        self.bus = bus
        self.keyring = keyring
        self.sealer = sealer
        self.notary = notary
        self.now = now
        self.new_id: NewId = id_maker(randomness, settings.id_digits)
        self.randomness = randomness
        self.census = Census()
        self.attachments = AttachmentIndex()
        self.instances: Records[Instance] = Records(
            store, "instance", Instance, lambda r: r.instance_id, self._note
        )
        self.images: Records[Image] = Records(store, "image", Image, lambda r: r.image_id)
        self.key_pairs: Records[KeyPair] = Records(store, "key_pair", KeyPair, lambda r: r.key_pair_id)
        self.groups: Records[SecurityGroup] = Records(
            store, "security_group", SecurityGroup, lambda r: r.group_id
        )
        self.addresses: Records[Address] = Records(store, "address", Address, lambda r: r.allocation_id)
        self.bundle_tasks: Records[BundleTask] = Records(
            store, "bundle_task", BundleTask, lambda r: r.bundle_id
        )
        self.volumes: Records[Volume] = Records(store, "volume", Volume, lambda r: r.volume_id)
        self.snapshots: Records[Snapshot] = Records(store, "snapshot", Snapshot, lambda r: r.snapshot_id)
        self.own_host = own_host
        self.ticket = ticket
        self.own_states: dict[str, ComponentState] = {}  # of its components, where not ENABLED
        self.hosts: Records[Host] = Records(store, "host", Host, lambda r: r.host_id)
        self.zone_numbers: dict[str, int] = {settings.zone: zones.FIRST}
        self.hosts_version = 1
        self.hosts_bell = Bell()
        self.nodes_bell = Bell()
        self.seen_hosts: dict[str, known_hosts.Seen] = {}
        self.joining = trio.Lock()
        self.join_attempts = Attempts()
        self.views = Views(settings, self.groups, self.addresses, partial(zones.subnet_id_of, self))
        self.vm_types = {vm.name: vm for vm in settings.vm_types}
        self.launch_bell = Bell()
        self.image_bell = Bell()
        self.bundle_bell = Bell()
        self.volume_bell = Bell()
        self.snapshot_bell = Bell()
        self.snapshot_progress: dict[str, int] = {}  # of pending ones, in percent
        self.attach_problems: dict[str, str] = {}  # volume -> why its node has not attached it yet
        self._volume_locks: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()
        self._image_locks: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()
        self.image_news = trio.Event()  # an image is no longer pending
        self.asked_resources: dict[places.Question, places.Asked] = {}
        self.image_progress: dict[str, int] = {}  # of pending ones, in percent
        self.groups_bell = Bell()
        self.principals_bell = Bell()
        self.address_bell = Bell()
        self.address_lock = trio.Lock()
        self.addresses_version = 0
        self.group_locks: dict[str, trio.Lock] = {}
        self.certificate_lock = trio.Lock()
        self.groups_version = 0
        self.sent_groups: dict[str, tuple[SecurityGroup, GroupRules]] = {}
        self.groups_in_force: dict[str, tuple[GroupRules, ...]] = {}  # zone -> what its cluster has
        self.launching: dict[str, trio.CapacityLimiter] = {}  # zone -> who may ask it to place instances
        self.sending_groups = trio.Lock()
        self.busy: set[str] = set()  # instances that a task is working on
        self.sessions: dict[str, logins.Kept] = {}  # of people in the console, by the hash of the token
        self.attempts = Attempts()
        self.hashing = trio.CapacityLimiter(2)  # each takes 64 MiB for a moment
        self.new_events: list[dict[str, Value]] = []
        self.event_number = 0
        self.profiles_bell = Bell()
        self.mail_bell = Bell()
        self.deliver: Deliver = deliver
        self.profile_keys: dict[str, RoleCredentials] = {}  # instance id -> what its node was given
        self.key_uses: dict[str, tuple[float, str]] = {}  # access key -> when and for which service
        self.problems: dict[str, str] = {}  # where -> what an operator should read

    def cc_of(self, zone: str) -> str:
        return f"cc@{zone or self.settings.zone}"

    def sc_of(self, zone: str) -> str:
        return f"sc@{zone or self.settings.zone}"

    def volume_lock(self, volume_id: str) -> trio.Lock:
        """Held while it is decided who gets the volume, or that it goes."""
        return self._volume_locks.setdefault(volume_id, trio.Lock())

    def image_lock(self, account: str) -> trio.Lock:
        """Held while it is decided that the account has no image of a name, or of a client token, yet."""
        return self._image_locks.setdefault(account, trio.Lock())

    def _note(self, before: Instance | None, after: Instance | None) -> None:
        self.census.note(before, after)
        self.attachments.note(before, after)

    async def tell_hosts(self) -> None:
        """That the list of hosts has changed."""
        await host_loop.tell_own(self)
        self.nodes_bell.ring()

    async def tell_all_hosts(self) -> None:
        """The same, and wait until those that answer know it."""
        await host_loop.tell(self)
        self.hosts_bell.ring()
        self.nodes_bell.ring()

    def rights_of(self, principal: Principal, question: Question) -> Decision:
        """What the caller's own policies say."""
        return rights(principal, self.keyring.grants, question)

    def owned_records(self) -> dict[str, Callable[[str], Iterable[Any]]]:
        """What an account has that would go on without it, by its name for people."""
        return {
            "instances": lambda account: (i for i in self.instances.of(account) if i.ended_at is None),
            "images": self.images.of,
            "addresses": self.addresses.of,
            "volumes": self.volumes.of,
        }

    async def load(self) -> None:
        """Read the rows; make the first administrator when there is none."""
        await self.instances.load()
        await self.images.load()
        await self.bundle_tasks.load()
        await self.volumes.load()
        await self.snapshots.load()
        await self.key_pairs.load()
        await self.groups.load()
        await self.addresses.load()
        await vm_types.load(self)
        await hosts.load(self)
        await components.load(self)
        await zones.load(self)
        await users.make_admin(self.store, self.sealer, self.settings.admin_account, self.now())
        await users.refresh_keyring(self)
        await logins.load(self)


async def run(
    clc: Clc,
    transport: MemoryTransport,
    service: Service | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer and loop until cancelled."""
    await clc.load()
    async with trio.open_nursery() as nursery:
        table = {**OPERATIONS, **operations_of(service)}
        await nursery.start(
            transport.serve, "clc", Desk(clc, table, check=authorisation.check, note=events.note)
        )
        for name, loop in loops.LOOPS.items():
            nursery.start_soon(supervise, f"clc {name}", partial(loop, clc))
        task_status.started()


OPERATIONS: Operations = {
    component_messages.CreateToken: hosts.create_token,
    component_messages.DescribeComponents: components.describe_components,
    component_messages.SetComponentState: components.set_component_state,
    component_messages.DeregisterComponent: components.deregister_component,
    component_messages.RevokeHost: components.revoke_host,
    console_messages.FindConsole: instances.find_console,
    host_messages.JoinHost: hosts.join_host,
    host_messages.AnnounceHost: hosts.announce_host,
    ec2_instances.RunInstances: instances.run_instances,
    ec2_instances.DescribeInstances: instances.describe_instances,
    ec2_instances.TerminateInstances: instances.terminate_instances,
    ec2_instances.StopInstances: stops.stop_instances,
    ec2_instances.StartInstances: stops.start_instances,
    ec2_attributes.DescribeInstanceAttribute: attributes.describe_instance_attribute,
    ec2_attributes.ModifyInstanceAttribute: attributes.modify_instance_attribute,
    ec2_attributes.ResetInstanceAttribute: attributes.reset_instance_attribute,
    ec2_attributes.ModifyInstanceMetadataOptions: attributes.modify_instance_metadata_options,
    ec2_statuses.DescribeInstanceStatus: statuses.describe_instance_status,
    ec2_statuses.MonitorInstances: monitoring.monitor_instances,
    ec2_statuses.UnmonitorInstances: monitoring.unmonitor_instances,
    ec2_statuses.GetPasswordData: statuses.get_password_data,
    ec2_places.DescribeInstanceTypeOfferings: places.describe_instance_type_offerings,
    ec2_account.DescribeAccountAttributes: account.describe_account_attributes,
    ec2_account.DescribeReservedInstances: account.describe_reserved_instances,
    ec2_account.DescribeReservedInstancesOfferings: account.describe_reserved_instances_offerings,
    ec2_instances.RebootInstances: instances.reboot_instances,
    ec2_instances.GetConsoleOutput: instances.get_console_output,
    ec2_instances.GetConsoleScreenshot: instances.get_console_screenshot,
    ec2_images.RegisterImage: images.register_image,
    ec2_images.DeregisterImage: images.deregister_image,
    ec2_images.DescribeImages: images.describe_images,
    ec2_image_copies.CreateImage: image_copies.create_image,
    ec2_image_copies.CopyImage: image_copies.copy_image,
    ec2_image_attributes.ModifyImageAttribute: image_attributes.modify_image_attribute,
    ec2_image_attributes.ResetImageAttribute: image_attributes.reset_image_attribute,
    ec2_image_attributes.DescribeImageAttribute: image_attributes.describe_image_attribute,
    ec2_image_attributes.ConfirmProductInstance: image_attributes.confirm_product_instance,
    ec2_volumes.CreateVolume: volumes.create_volume,
    ec2_volumes.DeleteVolume: volumes.delete_volume,
    ec2_volumes.DescribeVolumes: volumes.describe_volumes,
    ec2_volumes.AttachVolume: attaching.attach_volume,
    ec2_volumes.DetachVolume: attaching.detach_volume,
    ec2_volumes.ModifyVolume: modifications.modify_volume,
    ec2_volumes.DescribeVolumesModifications: modifications.describe_volumes_modifications,
    ec2_volumes.DescribeVolumeStatus: volume_statuses.describe_volume_status,
    ec2_volumes.DescribeVolumeAttribute: volume_statuses.describe_volume_attribute,
    ec2_volumes.ModifyVolumeAttribute: volume_statuses.modify_volume_attribute,
    ec2_volumes.EnableVolumeIO: volume_statuses.enable_volume_io,
    ec2_snapshots.CreateSnapshot: snapshots.create_snapshot,
    ec2_snapshots.CreateSnapshots: instance_snapshots.create_snapshots,
    ec2_snapshots.DeleteSnapshot: snapshots.delete_snapshot,
    ec2_snapshots.CopySnapshot: snapshots.copy_snapshot,
    ec2_snapshots.DescribeSnapshots: snapshots.describe_snapshots,
    ec2_snapshots.ModifySnapshotAttribute: snapshot_attributes.modify_snapshot_attribute,
    ec2_snapshots.DescribeSnapshotAttribute: snapshot_attributes.describe_snapshot_attribute,
    ec2_snapshots.ResetSnapshotAttribute: snapshot_attributes.reset_snapshot_attribute,
    ec2_bundle_tasks.BundleInstance: bundle_tasks.bundle_instance,
    ec2_bundle_tasks.CancelBundleTask: bundle_tasks.cancel_bundle_task,
    ec2_bundle_tasks.DescribeBundleTasks: bundle_tasks.describe_bundle_tasks,
    ec2_keypairs.CreateKeyPair: keypairs.create_key_pair,
    ec2_keypairs.ImportKeyPair: keypairs.import_key_pair,
    ec2_keypairs.DescribeKeyPairs: keypairs.describe_key_pairs,
    ec2_keypairs.DeleteKeyPair: keypairs.delete_key_pair,
    ec2_groups.CreateSecurityGroup: groups.create_security_group,
    ec2_groups.DeleteSecurityGroup: groups.delete_security_group,
    ec2_groups.DescribeSecurityGroups: groups.describe_security_groups,
    ec2_groups.AuthorizeSecurityGroupIngress: group_rules.authorize_security_group_ingress,
    ec2_groups.RevokeSecurityGroupIngress: group_rules.revoke_security_group_ingress,
    ec2_groups.AuthorizeSecurityGroupEgress: group_rules.authorize_security_group_egress,
    ec2_groups.RevokeSecurityGroupEgress: group_rules.revoke_security_group_egress,
    ec2_groups.DescribeSecurityGroupRules: group_rules.describe_security_group_rules,
    ec2_groups.UpdateSecurityGroupRuleDescriptionsIngress: group_rules.update_descriptions_ingress,
    ec2_groups.UpdateSecurityGroupRuleDescriptionsEgress: group_rules.update_descriptions_egress,
    ec2_tags.CreateTags: tags.create_tags,
    ec2_tags.DeleteTags: tags.delete_tags,
    ec2_tags.DescribeTags: tags.describe_tags,
    ec2_addresses.AllocateAddress: addresses.allocate_address,
    ec2_addresses.ReleaseAddress: addresses.release_address,
    ec2_addresses.AssociateAddress: addresses.associate_address,
    ec2_addresses.DisassociateAddress: addresses.disassociate_address,
    ec2_addresses.DescribeAddresses: addresses.describe_addresses,
    ec2_places.DescribeAvailabilityZones: places.describe_availability_zones,
    ec2_places.DescribeRegions: places.describe_regions,
    ec2_places.DescribeInstanceTypes: places.describe_instance_types,
    ec2_vpcs.DescribeVpcs: vpcs.describe_vpcs,
    ec2_vpcs.DescribeVpcAttribute: vpcs.describe_vpc_attribute,
    ec2_vpcs.DescribeSubnets: vpcs.describe_subnets,
    ec2_vpcs.DescribeInternetGateways: vpcs.describe_internet_gateways,
    ec2_vpcs.DescribeRouteTables: vpcs.describe_route_tables,
    ec2_vpcs.DescribeNetworkAcls: vpcs.describe_network_acls,
    ec2_vpcs.DescribeDhcpOptions: vpcs.describe_dhcp_options,
    ec2_vpcs.DescribeNetworkInterfaces: vpcs.describe_network_interfaces,
    sts.GetCallerIdentity: users.get_caller_identity,
    sts.GetSessionToken: sessions.get_session_token,
    sts.AssumeRole: sessions.assume_role,
    sts.GetFederationToken: sessions.get_federation_token,
    sts.GetAccessKeyInfo: sessions.get_access_key_info,
    ec2_profiles.AssociateIamInstanceProfile: profiles.associate,
    ec2_profiles.DisassociateIamInstanceProfile: profiles.disassociate,
    ec2_profiles.ReplaceIamInstanceProfileAssociation: profiles.replace_association,
    ec2_profiles.DescribeIamInstanceProfileAssociations: profiles.describe_associations,
    **people.OPERATIONS,
    **console.OPERATIONS,
    admin.AddUser: users.add_user,
    admin.GetUserKeys: users.get_user_keys,
    admin.ListUsers: users.list_users,
    admin.SetUserState: users.set_user_state,
    admin.SetPassword: users.set_password,
    admin.AddCertificate: certificates.add_certificate,
    admin.ListCertificates: certificates.list_certificates,
    admin.RevokeCertificate: certificates.revoke_certificate,
    admin.GetUsage: monitoring.get_usage,
    admin.ListUsage: monitoring.list_usage,
    admin.ListLeftovers: places.list_leftovers,
    admin.CacheImages: prefetch.cache_images,
    admin.ListVmTypes: vm_types.list_vm_types,
    admin.SetVmType: vm_types.set_vm_type,
    admin.RemoveVmType: vm_types.remove_vm_type,
    admin.ResetVmType: vm_types.reset_vm_type,
    admin.DescribeCloud: places.describe_cloud,
    admin.TraceNetwork: traces.trace_network,
    dns_messages.ListAddressesInUse: dns.list_addresses_in_use,
}
