"""Who may run an image, by the front door: images are private until their owner says otherwise."""

import json

import pytest
from click.testing import CliRunner

from euca_box import welcome
from euca_box.cli import main
from euca_box.client import Client
from euca_box.images.demo import DemoImage
from tests.api.cloud_box import FILE_SYSTEM, KERNEL, RAMDISK, filters, refused, running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    users = ("alice", "bob", "mallory")
    with running_cloud(tmp_path_factory.mktemp("cloud"), users=users, images_public=False) as box:
        box.kernel = box.register("vmlinuz-tiny", KERNEL)
        box.ramdisk = box.register("initrd-tiny", RAMDISK)
        yield box


@pytest.fixture
def ec2(box):
    yield box.ec2()
    for user in ("alice", "bob", "mallory"):
        box.terminate_all(user)


@pytest.fixture
def image(box, ec2, request):
    boots_with = {"KernelId": box.kernel, "RamdiskId": box.ramdisk, "Description": "first"}
    image_id = box.register(f"root-{abs(hash(request.node.name))}", FILE_SYSTEM, **boots_with)
    yield image_id
    box.ec2("admin").deregister_image(ImageId=image_id)


def permissions(ec2, image_id):
    reply = ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")
    assert reply["ImageId"] == image_id
    return reply["LaunchPermissions"]


def ids_of(reply):
    return [i["ImageId"] for i in reply["Images"]]


def allow(ec2, image_id, **who):
    ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [who]})


def test_a_new_image_is_seen_and_run_by_its_owner_only(box, ec2, image):
    assert ec2.describe_images(ImageIds=[image])["Images"][0]["Public"] is False
    assert permissions(ec2, image) == []
    mallory = box.ec2("mallory")
    assert image not in ids_of(mallory.describe_images())
    assert refused(mallory.describe_images, ImageIds=[image]) == ("InvalidAMIID.NotFound", 400)
    code = refused(mallory.run_instances, ImageId=image, MinCount=1, MaxCount=1)
    assert code == ("InvalidAMIID.NotFound", 400)
    own = {"ImageLocation": "images-mallory/x", "Name": "xxx", "KernelId": box.kernel}
    assert refused(mallory.register_image, **own)[0] == "InvalidAMIID.NotFound"


def test_an_account_that_is_allowed_runs_it_with_the_kernel_of_the_image(box, ec2, image):
    allow(ec2, image, UserId=box.account("bob"))
    assert permissions(ec2, image) == [{"UserId": box.account("bob")}]
    bob = box.ec2("bob")
    assert image in ids_of(bob.describe_images())
    assert ids_of(bob.describe_images(ExecutableUsers=["self"])) == [image]
    [instance_id] = box.run_instances(image, user="bob")
    box.until_state(instance_id, "running", "bob")
    # The kernel itself is still private.
    asked = {"ImageId": image, "KernelId": box.kernel, "MinCount": 1, "MaxCount": 1}
    assert refused(bob.run_instances, **asked)[0] == "InvalidAMIID.NotFound"
    assert image not in ids_of(box.ec2("mallory").describe_images())
    # Whom else it was given to, only the owner sees.
    assert image in ids_of(ec2.describe_images(ExecutableUsers=[box.account("bob")]))
    assert refused(bob.describe_image_attribute, ImageId=image, Attribute="launchPermission") == (
        "AuthFailure",
        401,
    )

    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Remove": [{"UserId": box.account("bob")}]})
    assert refused(bob.describe_images, ImageIds=[image])[0] == "InvalidAMIID.NotFound"
    assert box.instance(instance_id, "bob")["State"]["Name"] == "running"


def test_the_group_all_makes_it_public(box, ec2, image):
    allow(ec2, image, Group="all")
    assert permissions(ec2, image) == [{"Group": "all"}]
    mallory = box.ec2("mallory")
    assert image in ids_of(mallory.describe_images(ExecutableUsers=["all"]))
    assert ids_of(mallory.describe_images(Filters=filters(is_public="true"))) == [image]
    code = refused(mallory.modify_image_attribute, ImageId=image, Description={"Value": "mine"})
    assert code == ("AuthFailure", 401)
    assert (
        refused(mallory.reset_image_attribute, ImageId=image, Attribute="launchPermission")[0]
        == "AuthFailure"
    )
    ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    assert permissions(ec2, image) == []
    assert refused(mallory.describe_images, ImageIds=[image])[0] == "InvalidAMIID.NotFound"


def test_the_flat_form_of_2009_works(box, ec2, image):
    flat = {"ImageId": image, "Attribute": "launchPermission"}
    users = [box.account("bob"), box.account("mallory")]
    ec2.modify_image_attribute(**flat, OperationType="add", UserIds=users, UserGroups=["all"])
    assert permissions(ec2, image) == [{"Group": "all"}, *({"UserId": u} for u in sorted(users))]
    ec2.modify_image_attribute(**flat, OperationType="remove", UserGroups=["all"])
    ec2.modify_image_attribute(**flat, OperationType="remove", UserIds=["bob"])  # by name, as in 1.6.2
    assert permissions(ec2, image) == [{"UserId": box.account("mallory")}]
    ec2.modify_image_attribute(**flat, OperationType="remove", UserIds=["bob"])  # twice is harmless
    ec2.modify_image_attribute(ImageId=image, Attribute="description", Value="second")
    reply = ec2.describe_image_attribute(ImageId=image, Attribute="description")
    assert reply["Description"] == {"Value": "second"}


def test_every_attribute_is_described_alone(box, ec2, image):
    def attribute(name):
        reply = ec2.describe_image_attribute(ImageId=image.upper(), Attribute=name)
        return {k: v for k, v in reply.items() if k not in ("ResponseMetadata", "ImageId")}

    assert attribute("description") == {"Description": {"Value": "first"}}
    assert attribute("kernel") == {"KernelId": {"Value": box.kernel}}
    assert attribute("ramdisk") == {"RamdiskId": {"Value": box.ramdisk}}
    assert attribute("productCodes") == {"ProductCodes": []}
    devices = attribute("blockDeviceMapping")["BlockDeviceMappings"]
    assert {d["VirtualName"]: d["DeviceName"] for d in devices} == {"ami": "sda1", "root": "/dev/sda1"}
    asked = {"ImageId": image}
    assert attribute("bootMode") == attribute("imdsSupport") == attribute("tpmSupport") == {}
    assert attribute("deregistrationProtection") == {"DeregistrationProtection": {"Value": "disabled"}}
    assert refused(ec2.describe_image_attribute, **asked, Attribute="x")[0] == "InvalidParameterValue"
    assert refused(ec2.describe_image_attribute, **asked)[0] == "MissingParameter"
    dry = {"Attribute": "kernel", "DryRun": True}
    assert refused(ec2.describe_image_attribute, **asked, **dry)[0] == "DryRunOperation"


ALL = {"LaunchPermission": {"Add": [{"Group": "all"}]}}
FLAT = {"Attribute": "launchPermission", "OperationType": "add", "UserGroups": ["all"]}
REFUSED = {
    "nothing": ({}, "InvalidParameterCombination"),
    "two attributes": (ALL | {"Description": {"Value": "d"}}, "InvalidParameterCombination"),
    "both forms": (ALL | FLAT, "InvalidParameterCombination"),
    "another group": ({"LaunchPermission": {"Add": [{"Group": "some"}]}}, "InvalidAMIAttributeItemValue"),
    "an account that is not there": (
        {"LaunchPermission": {"Add": [{"UserId": "999999999999"}]}},
        "InvalidAMIAttributeItemValue",
    ),
    "an empty permission": ({"LaunchPermission": {"Add": [{}]}}, "InvalidParameterCombination"),
    "an organization": (
        {"LaunchPermission": {"Add": [{"OrganizationArn": "arn:aws:organizations::1:o"}]}},
        "UnsupportedOperation",
    ),
    "another operation": (FLAT | {"OperationType": "set"}, "InvalidParameterValue"),
    "no operation": ({"UserGroups": ["all"]}, "InvalidParameterValue"),
    "nobody": ({"OperationType": "add"}, "MissingParameter"),
    "permissions called product codes": (FLAT | {"Attribute": "productCodes"}, "InvalidParameterValue"),
    "product codes and permissions": (ALL | {"ProductCodes": ["a"]}, "InvalidParameterCombination"),
    "a product code with a blank": ({"ProductCodes": ["a b"]}, "InvalidParameterValue"),
    "65 product codes": ({"ProductCodes": [f"c{n}" for n in range(65)]}, "InvalidParameterValue"),
    "product codes taken away": (
        {"ProductCodes": ["a"], "OperationType": "remove"},
        "InvalidParameterValue",
    ),
    "another IMDS": ({"ImdsSupport": {"Value": "v1.0"}}, "InvalidParameterValue"),
    "another attribute": (ALL | {"Attribute": "description"}, "InvalidParameterValue"),
    "a value without a name": ({"Value": "d"}, "MissingParameter"),
    "a long description": ({"Description": {"Value": "d" * 256}}, "InvalidParameterValue"),
    "an image that is not there": (ALL | {"ImageId": "ami-99999999"}, "InvalidAMIID.NotFound"),
    "a dry run": (ALL | {"DryRun": True}, "DryRunOperation"),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_modify_image_attribute_refuses_and_changes_nothing(ec2, image, case):
    more, code = REFUSED[case]
    assert refused(ec2.modify_image_attribute, **{"ImageId": image} | more)[0] == code
    assert permissions(ec2, image) == []
    assert ec2.describe_images(ImageIds=[image])["Images"][0]["Description"] == "first"


def test_product_codes_are_added_shown_and_given_to_instances(box, ec2, image):
    ec2.modify_image_attribute(
        ImageId=image, Attribute="productCodes", OperationType="add", ProductCodes=["b"]
    )
    ec2.modify_image_attribute(ImageId=image, ProductCodes=["a", "b"])
    codes = [{"ProductCodeId": code, "ProductCodeType": "devpay"} for code in "ab"]
    reply = ec2.describe_image_attribute(ImageId=image, Attribute="productCodes")
    assert reply["ProductCodes"] == codes
    assert ec2.describe_images(Filters=filters(product_code="a"))["Images"][0]["ProductCodes"] == codes
    allow(ec2, image, UserId=box.account("bob"))
    [instance_id] = box.run_instances(image, user="bob")
    assert box.instance(instance_id, "bob")["ProductCodes"] == codes
    shown = box.ec2("bob").describe_instance_attribute(InstanceId=instance_id, Attribute="productCodes")
    assert shown["ProductCodes"] == codes

    # The owner of the product learns whose instance it is; others only of their own.
    confirmed = ec2.confirm_product_instance(InstanceId=instance_id, ProductCode="a")
    assert (confirmed["Return"], confirmed["OwnerId"]) == (True, box.account("bob"))
    bob = box.ec2("bob").confirm_product_instance(InstanceId=instance_id, ProductCode="a")
    assert bob["Return"] is False
    for user, code in (("mallory", "a"), ("alice", "c")):
        asked = {"InstanceId": instance_id, "ProductCode": code}
        found = refused(box.ec2(user).confirm_product_instance, **asked)
        assert found == ("InvalidInstanceID.NotFound", 400)


def test_an_image_that_supports_imds_v2_makes_instances_that_need_a_token(box, ec2, image):
    ec2.modify_image_attribute(ImageId=image, ImdsSupport={"Value": "v2.0"})
    assert ec2.describe_images(ImageIds=[image])["Images"][0]["ImdsSupport"] == "v2.0"
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
    options = made["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 2)
    given = {"HttpTokens": "optional", "HttpPutResponseHopLimit": 1}
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, MetadataOptions=given)["Instances"][0]
    assert made["MetadataOptions"]["HttpTokens"] == "optional"


def test_the_last_launch_of_an_image_is_told(box, ec2, image):
    def last():
        reply = ec2.describe_image_attribute(ImageId=image, Attribute="lastLaunchedTime")
        return reply.get("LastLaunchedTime", {}).get("Value")

    assert last() is None
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
    assert last() == made["LaunchTime"].strftime("%Y-%m-%dT%H:%M:%SZ")


def test_reset_image_attribute_refuses(ec2, image):
    assert refused(ec2.reset_image_attribute, ImageId=image, Attribute="kernel")[0] == "InvalidParameterValue"
    dry = {"Attribute": "launchPermission", "DryRun": True}
    assert refused(ec2.reset_image_attribute, ImageId=image, **dry)[0] == "DryRunOperation"


def test_the_administrator_sees_private_images_when_it_names_their_owner(box, ec2, image):
    admin = box.ec2("admin")
    assert image not in ids_of(admin.describe_images())
    assert image in ids_of(admin.describe_images(Owners=[box.account()]))
    assert image in ids_of(admin.describe_images(Filters=filters(owner_id=box.account())))
    assert ids_of(admin.describe_images(ImageIds=[image])) == [image]
    assert image not in ids_of(box.ec2("mallory").describe_images(Owners=[box.account()]))
    assert image not in ids_of(box.ec2("mallory").describe_images(Filters=filters(owner_id="*")))
    allow(admin, image, Group="all")
    assert permissions(admin, image) == [{"Group": "all"}]


def test_ids_of_aws_and_of_eucalyptus_name_the_same_image(box, ec2, image):
    theirs = "ami-" + image.partition("-")[2]
    assert ids_of(ec2.describe_images(ImageIds=[theirs, image])) == [image]
    assert ids_of(ec2.describe_images(Filters=filters(image_id=theirs))) == [image]
    kernel = "aki-" + box.kernel.partition("-")[2]
    assert ids_of(ec2.describe_images(Filters=filters(kernel_id=kernel))) == [image]
    [instance_id] = box.run_instances(theirs, KernelId=kernel)
    box.until_state(instance_id, "running")
    shown = box.instance(instance_id)
    assert (shown["ImageId"], shown["KernelId"]) == (image, box.kernel)
    found = ec2.describe_instances(Filters=filters(image_id=theirs))["Reservations"]
    assert [r["Instances"][0]["InstanceId"] for r in found] == [instance_id]
    ec2.create_tags(Resources=[theirs.upper()], Tags=[{"Key": "by", "Value": "ami"}])
    assert ids_of(ec2.describe_images(Filters=filters(**{"tag:by": "ami"}))) == [image]
    registered = box.register("with-aki", FILE_SYSTEM, KernelId=kernel.upper())
    assert ec2.describe_images(ImageIds=[registered])["Images"][0]["KernelId"] == box.kernel
    ec2.deregister_image(ImageId="ami-" + registered.partition("-")[2])


def test_confirm_product_instance_says_no(box, ec2, image):
    [instance_id] = box.run_instances(image)
    reply = ec2.confirm_product_instance(InstanceId=instance_id, ProductCode="774F4FF8")
    assert reply["Return"] is False
    asked = {"InstanceId": instance_id, "ProductCode": "x"}
    assert refused(box.ec2("bob").confirm_product_instance, **asked)[0] == "InvalidInstanceID.NotFound"


# What waits for the storage controller


def test_there_are_no_volumes_snapshots_or_bundles(ec2):
    assert ec2.describe_volumes(Filters=filters(status="available"))["Volumes"] == []
    assert ec2.describe_volume_status()["VolumeStatuses"] == []
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    assert ec2.describe_bundle_tasks()["BundleTasks"] == []
    assert refused(ec2.describe_volumes, VolumeIds=["vol-12345678"]) == ("InvalidVolume.NotFound", 400)
    assert refused(ec2.describe_volumes, VolumeIds=["x"]) == ("InvalidVolumeID.Malformed", 400)
    assert refused(ec2.describe_snapshots, SnapshotIds=["snap-12345678"])[0] == "InvalidSnapshot.NotFound"
    assert refused(ec2.describe_bundle_tasks, BundleIds=["bun-12345678"])[0] == "InvalidBundleID.NotFound"
    assert refused(ec2.describe_volumes, Filters=filters(colour="red"))[0] == "InvalidParameterValue"
    assert refused(ec2.describe_volumes, MaxResults=2)[0] == "InvalidParameterValue"
    assert refused(ec2.describe_volumes, DryRun=True)[0] == "DryRunOperation"


NOT_OFFERED = {
    "create_vpc": {"CidrBlock": "10.0.0.0/16"},
    "create_subnet": {"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24"},
    "modify_address_attribute": {"AllocationId": "eipalloc-1", "DomainName": "example.org"},
}


@pytest.mark.parametrize("action", NOT_OFFERED)
def test_what_is_known_and_not_offered_says_so(ec2, action):
    assert refused(getattr(ec2, action), **NOT_OFFERED[action]) == ("UnsupportedOperation", 400)


# What the program itself registers


def test_the_command_imports_a_private_image_unless_it_is_told_otherwise(box, tmp_path):
    path = tmp_path / "root"
    path.write_bytes(FILE_SYSTEM)
    for name, flag, seen in (("private", [], False), ("everybody's", ["--public"], True)):
        words = ["image", "import", str(path), "--name", name, "-o", "json", *flag]
        result = CliRunner().invoke(main, [*words, "--data-dir", str(box.data_dir)], catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        image_id = json.loads(result.stdout)["image_id"]
        assert (image_id in ids_of(box.ec2("mallory").describe_images())) is seen


def test_the_demo_image_is_for_everybody_with_its_kernel_and_ramdisk(box, tmp_path, monkeypatch):
    files = {"kernel": KERNEL, "ramdisk": RAMDISK, "root": FILE_SYSTEM, "disk": b""}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    made = DemoImage(**{name: tmp_path / name for name in files})
    monkeypatch.setattr(welcome, "build_demo", lambda folder, progress: made)
    client = Client(box.url, *box.credentials("admin"), "us-east-1", None)
    image_id = welcome.build_and_register(client, tmp_path, lambda words: None)
    found = box.ec2("mallory").describe_images(Filters=filters(name="demo*"))["Images"]
    assert sorted(i["ImageType"] for i in found) == ["kernel", "machine", "ramdisk"]
    assert image_id in [i["ImageId"] for i in found]
