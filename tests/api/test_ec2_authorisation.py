"""Who may do what to whose: every EC2 action by every kind of caller on every kind of id.

A line of ROWS is one call and the noun whose id is tried; the other ids in it are the caller's own. A
refused call is sent for real, one that would succeed with DryRun where it changes something.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from xml.sax.saxutils import escape

import pytest

from euca_box.messages.registry import EC2_ACTIONS
from tests.api.cloud_box import KERNEL, RAMDISK, WHOLE_DISK, filters, running_cloud, tagged
from tests.api.ec2_raw import FORM, Raw, pairs_of, quoted, send

GOOD, NOTHING = "good", ""  # NOTHING: a success that finds nothing and changes nothing
LISTED = "Snapshots Volumes Instances Images KeyPairs SecurityGroups SecurityGroupRules Addresses Tags"
ACCOUNTS = ("alice", "mallory", "admin")
SHARED = ("public", "shared")  # images of alice: everybody's, and mallory's by a launch permission


class Noun(NamedTuple):
    absent_code: str
    malformed_code: str
    absent: str
    malformed: str
    own: str = ""  # the same for all accounts, which have none of their own


def _noun(code: str, prefix: str, malformed: str | None = None, own: str = "") -> Noun:
    return Noun(
        f"{code}.NotFound", malformed or f"{code}.Malformed", f"{prefix}-00000000", f"{prefix}-nonsense", own
    )


VALUE = "InvalidParameterValue"
NOUNS = {
    "instance": _noun("InvalidInstanceID", "i"),
    "stopped": _noun("InvalidInstanceID", "i"),
    "image": _noun("InvalidAMIID", "emi"),
    "kernel": _noun("InvalidAMIID", "eki"),
    "ramdisk": _noun("InvalidAMIID", "eri"),
    "key": Noun("InvalidKeyPair.NotFound", "InvalidKeyPair.NotFound", "key of nobody", "\x7f<&>"),
    "key_id": _noun("InvalidKeyPair", "key", "InvalidKeyPair.NotFound"),
    "group": _noun("InvalidGroup", "sg", "InvalidGroupId.Malformed"),
    "group_name": Noun("InvalidGroup.NotFound", "InvalidGroup.NotFound", "web of nobody", "\x7f<&>"),
    "rule": _noun("InvalidSecurityGroupRuleId", "sgr"),
    "rule_out": _noun("InvalidSecurityGroupRuleId", "sgr"),
    "allocation": _noun("InvalidAllocationID", "eipalloc"),
    "association": _noun("InvalidAssociationID", "eipassoc"),
    "public_ip": Noun("AuthFailure", VALUE, "203.0.113.9", "nowhere"),
    "interface": _noun("InvalidNetworkInterfaceID", "eni", "InvalidNetworkInterfaceId.Malformed"),
    "location": Noun("InvalidManifest", VALUE, "images-nobody/disk", "nowhere"),
    "vpc": _noun("InvalidVpcID", "vpc", own="vpc-00000001"),
    "subnet": _noun("InvalidSubnetID", "subnet", own="subnet-00000001"),
    "gateway": _noun("InvalidInternetGatewayID", "igw", "InvalidInternetGatewayId.Malformed", "igw-00000001"),
    "table": _noun("InvalidRouteTableID", "rtb", "InvalidRouteTableId.Malformed", "rtb-00000001"),
    "acl": _noun("InvalidNetworkAclID", "acl", "InvalidNetworkAclId.Malformed", "acl-00000001"),
    "options": _noun("InvalidDhcpOptionsID", "dopt", "InvalidDhcpOptionsId.Malformed", "dopt-00000001"),
    "volume": _noun("InvalidVolume", "vol", "InvalidVolumeID.Malformed"),
    "attached": _noun("InvalidVolume", "vol", "InvalidVolumeID.Malformed"),
    "snapshot": _noun("InvalidSnapshot", "snap", "InvalidSnapshotID.Malformed"),
    "bundle": _noun("InvalidBundleID", "bun", VALUE),
}


@dataclass(frozen=True)
class Row:
    """`own`, `absent`, `malformed`, `shared`: the code where it is not GOOD or the noun's own.

    `reaches`: an administrator does it to another account's.
    """

    action: str
    noun: str
    parameters: dict[str, str]
    own: str = GOOD
    absent: str | None = None
    malformed: str | None = None
    shared: str = GOOD
    reaches: bool = False

    @property
    def changes(self) -> bool:
        return not self.action.startswith(("Describe", "Get"))

    def code_of(self, kind: str) -> str:
        noun = NOUNS.get(self.noun)
        if noun is None or kind == "own":
            return self.own
        if kind == "malformed":
            return noun.malformed_code if self.malformed is None else self.malformed
        return noun.absent_code if self.absent is None else self.absent


def row(action: str, noun: str = "", **more: str | bool) -> Callable[..., Row]:
    """`row("StopInstances", "instance")(InstanceId__1="{instance}")`."""
    return lambda **parameters: Row(action, noun, parameters, **more)  # type: ignore[arg-type]


SSH_KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
RULE = {"IpProtocol": "tcp", "FromPort": "22", "ToPort": "22", "CidrIp": "0.0.0.0/0"}
LAUNCH = {"ImageId": "{image}", "MinCount": "1", "MaxCount": "1"}
IMAGE = {"reaches": True, "shared": "AuthFailure"}
RULE_80 = RULE | {"FromPort": "80", "ToPort": "80"}
UDP = {"IpPermissions.1.IpProtocol": "udp", "IpPermissions.1.FromPort": "53", "IpPermissions.1.ToPort": "53"}
FROM_GROUP = {"GroupName": "{group_name}", **UDP, "IpPermissions.1.Groups__1__GroupId": "{group}"}
OUT = {"IpPermissions.1.IpProtocol": "-1", "IpPermissions.1.IpRanges__1__CidrIp": "0.0.0.0/0"}
UDP_OUT = UDP | {"IpPermissions.1.IpRanges__1__CidrIp": "0.0.0.0/0"}
SSH_IN = UDP_OUT | {"IpPermissions.1." + name: RULE[name] for name in ("IpProtocol", "FromPort", "ToPort")}
RULE_WORDS = {"GroupId": "{group}", "SecurityGroupRuleDescription__1__SecurityGroupRuleId": "{rule}"}
FILTER = {"Filter__1__Name": "resource-id", "Filter__1__Value__1": "{instance}"}
NEW_KEY = {"own": "InvalidKeyPair.Duplicate", "absent": GOOD, "malformed": VALUE}
NEW_GROUP = NEW_KEY | {"own": "InvalidGroup.Duplicate"}
NEW_IN_VPC = {"malformed": "InvalidVpcID.NotFound"}
NO_IP = {"own": "InvalidAddress.NotFound", "absent": "InvalidAddress.NotFound"}
NO_PROFILE = "iip-assoc-00000000"
TAGGED = {"shared": "UnauthorizedOperation", "reaches": True}

ROWS = [
    # Instances
    row("RunInstances", "image")(**LAUNCH),
    row("RunInstances", "kernel")(**LAUNCH, KernelId="{kernel}"),
    row("RunInstances", "ramdisk")(**LAUNCH, KernelId="{kernel}", RamdiskId="{ramdisk}"),
    row("RunInstances", "key")(**LAUNCH, KeyName="{key}"),
    row("RunInstances", "group")(**LAUNCH, SecurityGroupId__1="{group}"),
    row("RunInstances", "group_name")(**LAUNCH, SecurityGroup__1="{group_name}"),
    row("RunInstances", "subnet", malformed="InvalidSubnetID.NotFound")(**LAUNCH, SubnetId="{subnet}"),
    row("AssociateIamInstanceProfile", "instance", own=VALUE, reaches=True)(
        InstanceId="{instance}", IamInstanceProfile__Name="nobodys"
    ),
    row("DisassociateIamInstanceProfile", own="InvalidAssociationID.NotFound")(AssociationId=NO_PROFILE),
    row("ReplaceIamInstanceProfileAssociation", own="InvalidAssociationID.NotFound")(
        AssociationId=NO_PROFILE, IamInstanceProfile__Name="nobodys"
    ),
    row("DescribeIamInstanceProfileAssociations", own="InvalidAssociationID.NotFound")(
        AssociationId__1=NO_PROFILE
    ),
    row("DescribeInstances", "instance", reaches=True)(InstanceId__1="{instance}"),
    row("DescribeInstanceStatus", "instance", reaches=True)(InstanceId__1="{instance}"),
    row("TerminateInstances", "instance", reaches=True)(InstanceId__1="{instance}"),
    row("StopInstances", "instance", reaches=True)(InstanceId__1="{instance}"),
    row("StartInstances", "stopped", reaches=True)(InstanceId__1="{stopped}"),
    row("RebootInstances", "instance", reaches=True)(InstanceId__1="{instance}"),
    row("GetConsoleOutput", "instance", reaches=True)(InstanceId="{instance}"),
    row("GetConsoleScreenshot", "instance", reaches=True)(InstanceId="{instance}", WakeUp="true"),
    row("GetPasswordData", "instance", reaches=True)(InstanceId="{instance}"),
    row("MonitorInstances", "instance", reaches=True)(InstanceId__1="{instance}"),
    row("UnmonitorInstances", "instance", reaches=True)(InstanceId__1="{instance}"),
    row("ConfirmProductInstance", "instance", reaches=True)(InstanceId="{instance}", ProductCode="x"),
    row("DescribeInstanceAttribute", "instance", reaches=True)(InstanceId="{instance}", Attribute="userData"),
    row("ModifyInstanceAttribute", "instance", reaches=True)(
        InstanceId="{instance}", DisableApiTermination__Value="true"
    ),
    row("ModifyInstanceAttribute", "group")(InstanceId="{instance}", GroupId__1="{group}"),
    row("ModifyInstanceAttribute", "kernel")(InstanceId="{stopped}", Kernel__Value="{kernel}"),
    row("ResetInstanceAttribute", "stopped", reaches=True)(InstanceId="{stopped}", Attribute="ramdisk"),
    row("ModifyInstanceMetadataOptions", "instance", reaches=True)(
        InstanceId="{instance}", HttpTokens="required"
    ),
    # Images
    row("RegisterImage", "location", absent="InvalidManifest")(ImageLocation="{location}", Name="new"),
    row("RegisterImage", "kernel")(ImageLocation="{location}", Name="new", KernelId="{kernel}"),
    row("RegisterImage", "ramdisk")(ImageLocation="{location}", Name="new", RamdiskId="{ramdisk}"),
    row("DescribeImages", "image", reaches=True)(ImageId__1="{image}"),
    row("DeregisterImage", "image", **IMAGE)(ImageId="{image}"),
    row("CreateImage", "instance", reaches=True)(InstanceId="{instance}", Name="golden"),
    row("CreateImage", "stopped", reaches=True)(InstanceId="{stopped}", Name="golden"),
    row("CopyImage", "image")(SourceImageId="{image}", SourceRegion="us-east-1", Name="copy"),
    row("BundleInstance", "instance", reaches=True, own="MissingParameter")(
        InstanceId="{instance}", Storage__S3__Bucket="bundles"
    ),
    row("CancelBundleTask", "bundle")(BundleId="{bundle}"),
    row("DescribeImageAttribute", "image", **IMAGE)(ImageId="{image}", Attribute="launchPermission"),
    row("ModifyImageAttribute", "image", **IMAGE)(ImageId="{image}", Description__Value="d"),
    row("ModifyImageAttribute", "image", **IMAGE)(ImageId="{image}", LaunchPermission__Add__1__Group="all"),
    row("ResetImageAttribute", "image", **IMAGE)(ImageId="{image}", Attribute="launchPermission"),
    # Key pairs: names are of each account alone
    row("CreateKeyPair", "key", **NEW_KEY)(KeyName="{key}", KeyType="ed25519"),
    row("ImportKeyPair", "key", **NEW_KEY)(KeyName="{key}", PublicKeyMaterial="{ssh_key}"),
    row("DescribeKeyPairs", "key")(KeyName__1="{key}"),
    row("DescribeKeyPairs", "key_id", reaches=True)(KeyPairId__1="{key_id}"),
    row("DeleteKeyPair", "key", absent=NOTHING, malformed=NOTHING)(KeyName="{key}"),
    row("DeleteKeyPair", "key_id", reaches=True, absent=NOTHING, malformed=NOTHING)(KeyPairId="{key_id}"),
    # Security groups
    row("CreateSecurityGroup", "group_name", **NEW_GROUP)(GroupName="{group_name}", GroupDescription="d"),
    row("CreateSecurityGroup", "vpc", **NEW_IN_VPC)(GroupName="new", GroupDescription="d", VpcId="{vpc}"),
    row("DeleteSecurityGroup", "group", reaches=True)(GroupId="{group}"),
    row("DeleteSecurityGroup", "group_name")(GroupName="{group_name}"),
    row("DescribeSecurityGroups", "group", reaches=True)(GroupId__1="{group}"),
    row("DescribeSecurityGroups", "group_name")(GroupName__1="{group_name}"),
    row("DescribeSecurityGroupRules", "rule")(SecurityGroupRuleId__1="{rule}"),
    row("AuthorizeSecurityGroupIngress", "group", reaches=True)(GroupId="{group}", **RULE_80),
    row("AuthorizeSecurityGroupIngress", "group_name")(GroupName="{group_name}", **RULE_80),
    row("AuthorizeSecurityGroupIngress", "group")(**FROM_GROUP),
    row("RevokeSecurityGroupIngress", "group", reaches=True)(GroupId="{group}", **RULE),
    row("RevokeSecurityGroupIngress", "rule")(GroupId="{group}", SecurityGroupRuleId__1="{rule}"),
    row("AuthorizeSecurityGroupEgress", "group", reaches=True)(GroupId="{group}", **UDP_OUT),
    row("RevokeSecurityGroupEgress", "group", reaches=True)(GroupId="{group}", **OUT),
    row("RevokeSecurityGroupEgress", "rule_out")(GroupId="{group}", SecurityGroupRuleId__1="{rule_out}"),
    row("UpdateSecurityGroupRuleDescriptionsIngress", "group", reaches=True)(GroupId="{group}", **SSH_IN),
    row("UpdateSecurityGroupRuleDescriptionsIngress", "rule")(**RULE_WORDS),
    row("UpdateSecurityGroupRuleDescriptionsEgress", "group", reaches=True)(GroupId="{group}", **OUT),
    # Elastic addresses
    row("AllocateAddress")(),
    row("AllocateAddress", "public_ip", **NO_IP)(Address="{public_ip}"),
    row("DescribeAddresses", "allocation", reaches=True)(AllocationId__1="{allocation}"),
    row("DescribeAddresses", "public_ip", reaches=True, absent="InvalidAddress.NotFound")(
        PublicIp__1="{public_ip}"
    ),
    row("ReleaseAddress", "allocation", reaches=True)(AllocationId="{allocation}"),
    row("ReleaseAddress", "public_ip", reaches=True)(PublicIp="{public_ip}"),
    row("AssociateAddress", "allocation", reaches=True)(AllocationId="{allocation}", InstanceId="{instance}"),
    row("AssociateAddress", "public_ip", reaches=True)(PublicIp="{public_ip}", InstanceId="{instance}"),
    row("AssociateAddress", "instance", reaches=True)(AllocationId="{allocation}", InstanceId="{instance}"),
    row("AssociateAddress", "interface", reaches=True)(
        AllocationId="{allocation}", NetworkInterfaceId="{interface}"
    ),
    row("DisassociateAddress", "association", reaches=True)(AssociationId="{association}"),
    row("DisassociateAddress", "public_ip", reaches=True)(PublicIp="{public_ip}"),
    # Tags
    *(
        row(action, noun, **TAGGED)(ResourceId__1=f"{{{noun}}}", Tag__1__Key="k")
        for action in ("CreateTags", "DeleteTags")
        for noun in ("instance", "image", "group", "allocation", "volume", "snapshot")
    ),
    row("CreateTags", "key_id", reaches=True, malformed="InvalidKeyPairID.Malformed")(
        ResourceId__1="{key_id}", Tag__1__Key="k"
    ),
    row("DeleteTags", "key_id", reaches=True, malformed="InvalidKeyPairID.Malformed")(
        ResourceId__1="{key_id}"
    ),
    row("DescribeTags", "instance", absent=NOTHING, malformed=NOTHING)(**FILTER),
    # The network that all share, and places
    row("DescribeVpcs", "vpc")(VpcId__1="{vpc}"),
    row("DescribeVpcAttribute", "vpc")(VpcId="{vpc}", Attribute="enableDnsSupport"),
    row("DescribeSubnets", "subnet")(SubnetId__1="{subnet}"),
    row("DescribeInternetGateways", "gateway")(InternetGatewayId__1="{gateway}"),
    row("DescribeRouteTables", "table")(RouteTableId__1="{table}"),
    row("DescribeNetworkAcls", "acl")(NetworkAclId__1="{acl}"),
    row("DescribeDhcpOptions", "options")(DhcpOptionsId__1="{options}"),
    row("DescribeNetworkInterfaces", "interface")(NetworkInterfaceId__1="{interface}"),
    row("DescribeAvailabilityZones")(),
    row("DescribeRegions")(),
    row("DescribeInstanceTypes")(),
    row("DescribeInstanceTypeOfferings")(),
    row("DescribeReservedInstances")(),
    row("DescribeReservedInstancesOfferings")(),
    row("DescribeAccountAttributes")(),
    # Volumes
    row("CreateVolume")(AvailabilityZone="us-east-1a", Size="1"),
    row("DeleteVolume", "volume", reaches=True)(VolumeId="{volume}"),
    row("DescribeVolumes", "volume", reaches=True)(VolumeId__1="{volume}"),
    row("DescribeVolumeStatus", "volume", reaches=True)(VolumeId__1="{volume}"),
    row("DescribeVolumeAttribute", "volume", reaches=True)(VolumeId="{volume}", Attribute="autoEnableIO"),
    row("ModifyVolumeAttribute", "volume", reaches=True)(VolumeId="{volume}", AutoEnableIO__Value="true"),
    row("ModifyVolume", "volume", reaches=True)(VolumeId="{volume}", Size="2"),
    row("DescribeVolumesModifications", "volume", reaches=True, own=NOTHING)(VolumeId__1="{volume}"),
    row("EnableVolumeIO", "volume", reaches=True)(VolumeId="{volume}"),
    row("AttachVolume", "volume", reaches=True)(
        VolumeId="{volume}", InstanceId="{instance}", Device="/dev/sdf"
    ),
    row("AttachVolume", "instance", reaches=True)(
        VolumeId="{volume}", InstanceId="{instance}", Device="/dev/sdf"
    ),
    row("DetachVolume", "attached", reaches=True)(VolumeId="{attached}"),
    row("CreateVolume", "snapshot")(AvailabilityZone="us-east-1a", SnapshotId="{snapshot}"),
    # Snapshots
    row("CreateSnapshot", "volume", reaches=True)(VolumeId="{volume}"),
    row("CreateSnapshots", "instance", reaches=True)(InstanceSpecification__InstanceId="{instance}"),
    row("DescribeSnapshots", "snapshot", reaches=True)(SnapshotId__1="{snapshot}"),
    row("DeleteSnapshot", "snapshot", reaches=True)(SnapshotId="{snapshot}"),
    row("CopySnapshot", "snapshot")(SourceRegion="us-east-1", SourceSnapshotId="{snapshot}"),
    row("ModifySnapshotAttribute", "snapshot", reaches=True)(
        SnapshotId="{snapshot}", CreateVolumePermission__Add__1__Group="all"
    ),
    row("DescribeSnapshotAttribute", "snapshot", reaches=True)(
        SnapshotId="{snapshot}", Attribute="createVolumePermission"
    ),
    row("ResetSnapshotAttribute", "snapshot", reaches=True)(
        SnapshotId="{snapshot}", Attribute="createVolumePermission"
    ),
    # What nobody has
    row("DescribeBundleTasks", "bundle")(BundleId__1="{bundle}"),
]


def make_things(box, user: str) -> dict[str, str]:
    """One of each noun of the user; what leads to the other accounts must not be reachable from it."""
    ec2 = box.ec2(user)
    kernel = box.register("vmlinuz", KERNEL, user)
    ramdisk = box.register("initrd", RAMDISK, user)
    image = box.register("disk", WHOLE_DISK, user, TagSpecifications=tagged("image", owner=user))
    key = ec2.create_key_pair(KeyName=f"key of {user}", KeyType="ed25519")
    group = ec2.create_security_group(GroupName=f"web of {user}", Description="d")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    rules = ec2.describe_security_group_rules(Filters=filters(group_id=group))["SecurityGroupRules"]
    rule_in, rule_out = sorted(rules, key=lambda rule: rule["IsEgress"])
    boot = {"KernelId": kernel, "RamdiskId": ramdisk, "UserData": f"data of {user}"}
    boot["TagSpecifications"] = tagged("instance", owner=user)
    stopped, instance = box.run_instances(image, 2, user, **boot)
    for instance_id in (stopped, instance):
        box.until_state(instance_id, "running", user)
    ec2.stop_instances(InstanceIds=[stopped], Force=True)
    box.until_state(stopped, "stopped", user)
    held = ec2.allocate_address()
    association = ec2.associate_address(AllocationId=held["AllocationId"], InstanceId=instance)
    spare = ec2.allocate_address()
    volume, attached = (
        ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"] for _ in range(2)
    )
    box.until_volume(volume, "available", user)
    box.until_volume(attached, "available", user)
    ec2.attach_volume(VolumeId=attached, InstanceId=instance, Device="/dev/sdg")
    box.until_volume(attached, "in-use", user)
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    box.until_snapshot(snapshot, "completed", user)
    return {
        "instance": instance, "stopped": stopped, "interface": "eni-" + instance.partition("-")[2],
        "image": image, "kernel": kernel, "ramdisk": ramdisk, "location": f"images-{user}/disk",
        "key": key["KeyName"], "key_id": key["KeyPairId"], "group": group, "group_name": f"web of {user}",
        "rule": rule_in["SecurityGroupRuleId"], "rule_out": rule_out["SecurityGroupRuleId"],
        "allocation": spare["AllocationId"], "association": association["AssociationId"],
        "public_ip": held["PublicIp"], "volume": volume, "attached": attached,
        "snapshot": snapshot,
    }  # fmt: skip


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), images_public=False) as box:
        box.things = {user: make_things(box, user) for user in ACCOUNTS}
        add = {"public": [{"Group": "all"}], "shared": [{"UserId": box.account("mallory")}]}
        box.shared = {}
        for kind in SHARED:
            box.shared[kind] = box.register(f"{kind}-disk", WHOLE_DISK)
            box.ec2().modify_image_attribute(ImageId=box.shared[kind], LaunchPermission={"Add": add[kind]})
        box.add_user("gone")
        box.admin("SetUserState", name="gone", state="disabled")
        box.before = _everything(box)
        yield box


Answered = tuple[int, str, str]
CONSTANT = {name: noun.own or noun.absent for name, noun in NOUNS.items()}


def pairs_for(row: Row, things: dict[str, str], dry_run: bool) -> list[tuple[str, str]]:
    known = CONSTANT | {"ssh_key": base64.b64encode(SSH_KEY).decode()} | things
    filled = {name: value.format(**known) for name, value in row.parameters.items()}
    return pairs_of(row.action, **filled, **({"DryRun": "true"} if dry_run else {}))


def _plain(answer, *ids: str) -> Answered:
    """Status, code and body with ids blotted out: two that differ only in the id asked for are equal then."""
    body = re.sub(r"(?i)<(requestId)>[^<]*", r"<\1>", answer.body.decode())
    for name in filter(None, ids):
        body = body.replace(escape(name), "THE-ID").replace(name, "THE-ID")
    return answer.status, answer.code, body


def ask(box, row: Row, user: str, kind: str, thing: str = "", things: dict[str, str] | None = None):
    """One cell: the answer, after checking that it is what the table says."""
    expected = row.shared if kind in SHARED else row.code_of(kind)
    filled = CONSTANT | (things or box.things[user]) | ({row.noun: thing} if thing else {})
    answer = Raw(box, user).v4(pairs_for(row, filled, expected == GOOD and row.changes))
    where = f"{user} asks {row.action} of {kind} {row.noun} {thing}: {answer.body!r}"
    if expected in (GOOD, NOTHING):
        wanted = (412, "DryRunOperation") if expected == GOOD and row.changes else (200, "")
    else:
        wanted = (answer.status, expected)
        assert 400 <= answer.status < 404, where
    assert (answer.status, answer.code) == wanted, where
    return _plain(answer, filled.get(row.noun, ""))


def _everything(box) -> dict[str, str]:
    """What the owner sees of its own, where a call of another could have left a mark."""
    things, raw = box.things["alice"], Raw(box)
    calls = [pairs_of(f"Describe{noun}") for noun in LISTED.split()] + [
        pairs_of("DescribeInstanceAttribute", InstanceId=things["instance"], Attribute=attribute)
        for attribute in ("disableApiTermination", "userData")
    ]
    calls += [
        pairs_of("DescribeImageAttribute", ImageId=image, Attribute="launchPermission")
        for image in (things["image"], *box.shared.values())
    ]
    return {str(call): _plain(raw.v4(call))[2] for call in calls}


def test_every_action_has_a_row():
    assert {row.action for row in ROWS} == set(EC2_ACTIONS)
    assert {row.noun for row in ROWS} - {""} <= set(NOUNS)


each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.action} {row.noun}".strip())


@each_row
def test_only_the_owner_and_whom_the_table_names_is_let_in(box, row):
    noun = NOUNS.get(row.noun)
    for user in ACCOUNTS:
        if noun is None or noun.own or row.noun in box.things[user]:
            found = ask(box, row, user, "own")
            shows_it = row.action.startswith("Describe") and noun is not None and row.own == GOOD
            assert not shows_it or "THE-ID" in found[2]
    if noun is None:
        return
    for user in ACCOUNTS:
        absent = ask(box, row, user, "absent", noun.absent)
        if row.noun in box.things[user]:
            _ask_for_foreign(box, row, user, absent)
    ask(box, row, "mallory", "malformed", noun.malformed)
    if row.noun == "image":
        for kind, image in box.shared.items():
            ask(box, row, "mallory", kind, image)
    if row.changes:
        assert _everything(box) == box.before


def _ask_for_foreign(box, row: Row, user: str, absent: Answered) -> None:
    """Another account's is answered as what is not there, but for the administrator where the row says so."""
    owner = "mallory" if user == "alice" else "alice"
    if user == "admin" and row.reaches:
        ask(box, row, user, "own", box.things[owner][row.noun], box.things[owner])
        return
    assert ask(box, row, user, "foreign", box.things[owner][row.noun]) == absent


@each_row
def test_nobody_learns_anything_without_a_signature_or_with_a_disabled_user(box, row):
    noun, things = NOUNS.get(row.noun), box.things["alice"]
    tried = [things[row.noun]] if row.noun in things else []
    tried += [*box.shared.values()] if row.noun == "image" else []
    tried += [noun.absent, noun.malformed] if noun else [""]
    unsigned, disabled = set(), set()
    for thing in tried:
        pairs = pairs_for(row, things | {row.noun: thing}, dry_run=False)
        unsigned.add(_plain(send(box.port, "POST", "/", quoted(pairs).encode(), {"Content-Type": FORM})))
        disabled.add(_plain(Raw(box, "gone").v4(pairs)))
    assert [a[:2] for a in unsigned] == [(403, "MissingAuthenticationToken")]
    assert [a[:2] for a in disabled] == [(401, "AuthFailure")]


@pytest.mark.parametrize("action", sorted(name for name in EC2_ACTIONS if name.startswith("Describe")))
@pytest.mark.parametrize("user", ["mallory", "admin"])
def test_a_listing_shows_nothing_of_another_account(box, action, user):
    answer = Raw(box, user).v4(pairs_of(action))
    if answer.code == "MissingParameter":
        return  # it lists nothing
    assert answer.status == 200
    body = answer.body.decode()
    for name, thing in box.things["alice"].items():
        assert thing not in body, name
    if action != "DescribeImages":  # the owner of a public image is told
        assert box.account("alice") not in body


@pytest.mark.parametrize("action", ["CreateTags", "DeleteTags", "TerminateInstances", "DescribeInstances"])
def test_one_foreign_id_among_own_ones_refuses_all(box, action):
    mine, theirs = box.things["mallory"]["instance"], box.things["alice"]["instance"]
    name = "ResourceId" if "Tags" in action else "InstanceId"
    named = {f"{name}__1": mine, f"{name}__2": theirs} | ({"Tag__1__Key": "k"} if "Tags" in action else {})
    assert Raw(box, "mallory").v4(pairs_of(action, **named)).code == "InvalidInstanceID.NotFound"
    tags = Raw(box, "mallory").v4(pairs_of("DescribeTags")).body.decode()
    assert "<key>k</key>" not in tags
    assert box.instance(mine, "mallory")["State"]["Name"] == "running"
