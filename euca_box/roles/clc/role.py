"""The Cloud Controller: users, images, groups, instances as they should be; it decides.

What it can do is the table OPERATIONS at the end. What it does by itself is in `loops.py`.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from euca_box.auth.keyring import Keyring
from euca_box.auth.secrets import Sealer
from euca_box.bus.bus import Bus, Desk, Operations
from euca_box.bus.memory import MemoryTransport
from euca_box.messages import (
    admin,
    ec2_groups,
    ec2_images,
    ec2_instances,
    ec2_keypairs,
    ec2_places,
    ec2_vpcs,
    sts,
)
from euca_box.model.groups import SecurityGroup
from euca_box.model.ids import NewId, id_maker
from euca_box.model.images import Image
from euca_box.model.instances import Instance, VmType
from euca_box.model.keypairs import KeyPair
from euca_box.roles.clc import groups, images, instances, keypairs, loops, places, users, vpcs
from euca_box.roles.clc.records import Records
from euca_box.roles.clc.views import Views
from euca_box.store.store import Store
from euca_box.tasks import Bell, supervise

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class ClcSettings:
    region: str
    zone: str
    admin_account: str
    endpoint: str
    vm_types: tuple[VmType, ...]
    max_instances: int = 64
    max_key_pairs: int = 500
    max_security_groups: int = 500
    max_group_rules: int = 200
    launch_seconds: float = 600.0
    terminated_seconds: float = 3600.0
    vpc_cidr: str = "172.31.0.0/16"
    subnet_cidr: str = "172.31.0.0/20"
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
        now: Callable[[], float],
        randomness: random.Random,
    ) -> None:
        self.settings = settings
        self.store = store
        self.bus = bus
        self.keyring = keyring
        self.sealer = sealer
        self.now = now
        self.new_id: NewId = id_maker(randomness)
        self.randomness = randomness
        self.instances: Records[Instance] = Records(store, "instance", Instance, lambda r: r.instance_id)
        self.images: Records[Image] = Records(store, "image", Image, lambda r: r.image_id)
        self.key_pairs: Records[KeyPair] = Records(store, "key_pair", KeyPair, lambda r: r.key_pair_id)
        self.groups: Records[SecurityGroup] = Records(
            store, "security_group", SecurityGroup, lambda r: r.group_id
        )
        self.views = Views(settings, self.groups)
        self.vm_types = {vm.name: vm for vm in settings.vm_types}
        self.launch_bell = Bell()
        self.groups_bell = Bell()
        self.principals_bell = Bell()
        self.group_locks: dict[str, trio.Lock] = {}
        self.groups_version = 0
        self.sending_groups = trio.Lock()
        self.busy: set[str] = set()  # instances that a task is working on
        self.problems: dict[str, str] = {}  # where -> what an operator should read

    @property
    def cc(self) -> str:
        return f"cc@{self.settings.zone}"

    async def load(self) -> None:
        """Read the rows; make the first administrator when there is none."""
        await self.instances.load()
        await self.images.load()
        await self.key_pairs.load()
        await self.groups.load()
        await users.make_admin(self.store, self.sealer, self.settings.admin_account, self.now())
        await users.refresh_keyring(self)


async def run(
    clc: Clc, transport: MemoryTransport, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer and loop until cancelled."""
    await clc.load()
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.serve, "clc", Desk(clc, OPERATIONS))
        for name, loop in loops.LOOPS.items():
            nursery.start_soon(supervise, f"clc {name}", partial(loop, clc))
        task_status.started()


OPERATIONS: Operations = {
    ec2_instances.RunInstances: instances.run_instances,
    ec2_instances.DescribeInstances: instances.describe_instances,
    ec2_instances.TerminateInstances: instances.terminate_instances,
    ec2_instances.RebootInstances: instances.reboot_instances,
    ec2_instances.GetConsoleOutput: instances.get_console_output,
    ec2_images.RegisterImage: images.register_image,
    ec2_images.DeregisterImage: images.deregister_image,
    ec2_images.DescribeImages: images.describe_images,
    ec2_keypairs.CreateKeyPair: keypairs.create_key_pair,
    ec2_keypairs.ImportKeyPair: keypairs.import_key_pair,
    ec2_keypairs.DescribeKeyPairs: keypairs.describe_key_pairs,
    ec2_keypairs.DeleteKeyPair: keypairs.delete_key_pair,
    ec2_groups.CreateSecurityGroup: groups.create_security_group,
    ec2_groups.DeleteSecurityGroup: groups.delete_security_group,
    ec2_groups.DescribeSecurityGroups: groups.describe_security_groups,
    ec2_groups.AuthorizeSecurityGroupIngress: groups.authorize_security_group_ingress,
    ec2_groups.RevokeSecurityGroupIngress: groups.revoke_security_group_ingress,
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
    admin.AddUser: users.add_user,
    admin.GetUserKeys: users.get_user_keys,
    admin.ListUsers: users.list_users,
    admin.SetUserState: users.set_user_state,
    admin.SetPassword: users.set_password,
    admin.DescribeCloud: places.describe_cloud,
}
