"""Elastic addresses by the front door, and where they lead on the node."""

import pytest

from tests.api.cloud_box import PUBLIC, filters, refused, running_cloud, tagged


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), max_addresses=3) as box:
        box.kernel, box.ramdisk, box.image = box.register_images()
        yield box


@pytest.fixture
def ec2(box):
    yield box.ec2()
    for user in ("alice", "mallory", "admin"):
        box.terminate_all(user)
        for address in box.ec2(user).describe_addresses()["Addresses"]:
            box.ec2(user).release_address(PublicIp=address["PublicIp"])


@pytest.fixture
def instance(box, ec2):
    [instance_id] = box.run_instances(box.image)
    box.until_state(instance_id, "running")
    return instance_id


def only(ec2, **asked):
    [found] = ec2.describe_addresses(**asked)["Addresses"]
    return found


# Allocate and release


def test_allocate_gives_an_address_that_nobody_has(box, ec2):
    made = ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", env="prod"))
    assert made["PublicIp"] in PUBLIC
    assert (made["Domain"], made["AllocationId"][:9]) == ("vpc", "eipalloc-")
    found = only(ec2, AllocationIds=[made["AllocationId"].upper()])
    assert (found["PublicIp"], found["Domain"]) == (made["PublicIp"], "vpc")
    assert found["Tags"] == [{"Key": "env", "Value": "prod"}]
    assert "AssociationId" not in found
    other = ec2.allocate_address()
    assert other["PublicIp"] != made["PublicIp"]


def test_an_address_can_be_asked_for_by_name(ec2):
    assert ec2.allocate_address(Address=PUBLIC[40])["PublicIp"] == PUBLIC[40]
    assert refused(ec2.allocate_address, Address=PUBLIC[40]) == ("InvalidAddress.NotFound", 400)
    assert refused(ec2.allocate_address, Address="203.0.113.9") == ("InvalidAddress.NotFound", 400)
    assert refused(ec2.allocate_address, Address="nowhere") == ("InvalidParameterValue", 400)


def test_an_account_has_at_most_its_number_of_addresses_and_the_administrator_any(box, ec2):
    for _ in range(3):
        ec2.allocate_address()
    assert refused(ec2.allocate_address) == ("AddressLimitExceeded", 400)
    for _ in range(4):
        box.ec2("admin").allocate_address()


def test_an_empty_pool_says_so(box, ec2):
    admin = box.ec2("admin")
    taken = 0
    while taken < len(PUBLIC):
        admin.allocate_address()
        taken += 1
    assert refused(admin.allocate_address) == ("InsufficientAddressCapacity", 500)


def test_a_dry_run_allocates_nothing(ec2):
    assert refused(ec2.allocate_address, DryRun=True) == ("DryRunOperation", 412)
    assert ec2.describe_addresses()["Addresses"] == []


def test_what_is_not_offered_is_refused(ec2):
    assert refused(ec2.allocate_address, Domain="moon") == ("InvalidParameterValue", 400)
    assert refused(ec2.allocate_address, PublicIpv4Pool="p") == ("UnsupportedOperation", 400)
    wrong = tagged("instance", a="b")
    assert refused(ec2.allocate_address, TagSpecifications=wrong) == ("InvalidParameterValue", 400)


def test_release_gives_it_back(ec2):
    made = ec2.allocate_address()
    assert (
        refused(ec2.release_address, AllocationId=made["AllocationId"], DryRun=True)[0] == "DryRunOperation"
    )
    ec2.release_address(AllocationId=made["AllocationId"])
    assert ec2.describe_addresses()["Addresses"] == []
    code = refused(ec2.release_address, AllocationId=made["AllocationId"])
    assert code == ("InvalidAllocationID.NotFound", 400)
    assert ec2.allocate_address(Address=made["PublicIp"])["PublicIp"] == made["PublicIp"]


def test_release_names_exactly_one_address(ec2):
    made = ec2.allocate_address()
    assert refused(ec2.release_address) == ("MissingParameter", 400)
    both = {"AllocationId": made["AllocationId"], "PublicIp": made["PublicIp"]}
    assert refused(ec2.release_address, **both) == ("InvalidParameterCombination", 400)
    assert refused(ec2.release_address, PublicIp="x") == ("InvalidParameterValue", 400)


# Associate and disassociate


def leads(box, instance_id, public_ip):
    private = box.instance(instance_id)["PrivateIpAddress"]
    return box.in_trio(lambda: dict(box.network.public)).get(public_ip) == private


def test_an_associated_address_replaces_the_automatic_one(box, ec2, instance):
    automatic = box.instance(instance)["PublicIpAddress"]
    made = ec2.allocate_address()
    association = ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=instance.upper())
    shown = box.instance(instance)
    assert shown["PublicIpAddress"] == made["PublicIp"]
    assert leads(box, instance, made["PublicIp"])
    assert shown["NetworkInterfaces"][0]["Association"]["IpOwnerId"] == box.account()
    [interface] = ec2.describe_network_interfaces(
        Filters=filters(**{"attachment.instance-id": instance, "association.public-ip": made["PublicIp"]})
    )["NetworkInterfaces"]
    assert interface["Association"]["AllocationId"] == made["AllocationId"]
    assert interface["Association"]["AssociationId"] == association["AssociationId"]
    found = only(ec2, PublicIps=[made["PublicIp"]])
    assert found["AssociationId"] == association["AssociationId"]
    assert found["InstanceId"] == instance
    assert found["PrivateIpAddress"] == shown["PrivateIpAddress"]
    assert found["NetworkInterfaceId"] == shown["NetworkInterfaces"][0]["NetworkInterfaceId"]

    ec2.disassociate_address(AssociationId=association["AssociationId"])
    assert box.instance(instance)["PublicIpAddress"] == automatic
    assert "AssociationId" not in only(ec2)
    code = refused(ec2.disassociate_address, AssociationId=association["AssociationId"])
    assert code == ("InvalidAssociationID.NotFound", 400)


def test_old_clients_name_addresses_by_ip_only(box, ec2, instance):
    made = ec2.allocate_address(Domain="standard")
    assert made["Domain"] == "standard"
    ec2.associate_address(PublicIp=made["PublicIp"], InstanceId=instance)
    assert leads(box, instance, made["PublicIp"])
    ec2.disassociate_address(PublicIp=made["PublicIp"])
    ec2.disassociate_address(PublicIp=made["PublicIp"])  # twice is harmless
    assert not leads(box, instance, made["PublicIp"])
    ec2.associate_address(PublicIp=made["PublicIp"], InstanceId=instance)
    ec2.release_address(PublicIp=made["PublicIp"])
    assert not leads(box, instance, made["PublicIp"])


def test_the_same_association_again_is_the_same(ec2, instance):
    made = ec2.allocate_address()
    asked = {"AllocationId": made["AllocationId"], "InstanceId": instance}
    first = ec2.associate_address(**asked)["AssociationId"]
    assert ec2.associate_address(**asked, AllowReassociation=False)["AssociationId"] == first


def test_an_interface_is_as_good_as_its_instance(box, ec2, instance):
    made = ec2.allocate_address()
    shown = box.instance(instance)
    asked = {
        "AllocationId": made["AllocationId"],
        "NetworkInterfaceId": shown["NetworkInterfaces"][0]["NetworkInterfaceId"],
    }
    code = refused(ec2.associate_address, **asked, PrivateIpAddress="10.0.0.1")
    assert code == ("InvalidParameterValue", 400)
    ec2.associate_address(**asked, PrivateIpAddress=shown["PrivateIpAddress"])
    assert leads(box, instance, made["PublicIp"])
    asked["NetworkInterfaceId"] = "eni-99999999"
    assert refused(ec2.associate_address, **asked) == ("InvalidNetworkInterfaceID.NotFound", 400)


def test_reassociation_can_be_forbidden(box, ec2, instance):
    [second] = box.run_instances(box.image)
    box.until_state(second, "running")
    made = ec2.allocate_address()
    ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=instance)
    asked = {"AllocationId": made["AllocationId"], "InstanceId": second}
    code = refused(ec2.associate_address, **asked, AllowReassociation=False)
    assert code == ("Resource.AlreadyAssociated", 400)
    ec2.associate_address(**asked)
    assert leads(box, second, made["PublicIp"])
    assert box.instance(instance)["PublicIpAddress"] != made["PublicIp"]


def test_a_second_address_of_an_instance_takes_the_place_of_the_first(box, ec2, instance):
    first, second = ec2.allocate_address(), ec2.allocate_address()
    for made in (first, second):
        ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=instance)
    assert "InstanceId" not in only(ec2, AllocationIds=[first["AllocationId"]])
    assert only(ec2, AllocationIds=[second["AllocationId"]])["InstanceId"] == instance
    assert not leads(box, instance, first["PublicIp"])


def test_an_associated_address_is_not_released_by_its_id(ec2, instance):
    made = ec2.allocate_address()
    ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=instance)
    code = refused(ec2.release_address, AllocationId=made["AllocationId"])
    assert code == ("InvalidIPAddress.InUse", 400)


def test_a_terminated_instance_lets_go_of_its_address(box, ec2, instance):
    made = ec2.allocate_address()
    ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=instance)
    box.terminate([instance])
    assert "InstanceId" not in only(ec2)
    asked = {"AllocationId": made["AllocationId"], "InstanceId": instance}
    assert refused(ec2.associate_address, **asked) == ("InvalidInstanceID", 400)
    ec2.release_address(AllocationId=made["AllocationId"])


ASSOCIATE_REFUSED = {
    "no address": ({"AllocationId": None}, "MissingParameter"),
    "no instance": ({"InstanceId": None}, "MissingParameter"),
    "two addresses": ({"PublicIp": "198.51.100.10"}, "InvalidParameterCombination"),
    "two targets": ({"NetworkInterfaceId": "eni-12345678"}, "InvalidParameterCombination"),
    "an instance that is not there": ({"InstanceId": "i-99999999"}, "InvalidInstanceID.NotFound"),
    "a malformed instance": ({"InstanceId": "x"}, "InvalidInstanceID.Malformed"),
    "an allocation that is not there": (
        {"AllocationId": "eipalloc-99999999"},
        "InvalidAllocationID.NotFound",
    ),
    "a dry run": ({"DryRun": True}, "DryRunOperation"),
}


@pytest.mark.parametrize("case", ASSOCIATE_REFUSED, ids=str)
def test_associate_address_refuses(ec2, instance, case):
    more, code = ASSOCIATE_REFUSED[case]
    asked = {"AllocationId": ec2.allocate_address()["AllocationId"], "InstanceId": instance} | more
    asked = {name: value for name, value in asked.items() if value is not None}
    assert refused(ec2.associate_address, **asked)[0] == code
    assert "InstanceId" not in only(ec2)


# Others


def test_another_account_sees_nothing_of_an_address(box, ec2, instance):
    made = ec2.allocate_address()
    association = ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=instance)
    mallory = box.ec2("mallory")
    assert mallory.describe_addresses()["Addresses"] == []
    by_id, by_ip = {"AllocationId": made["AllocationId"]}, {"PublicIp": made["PublicIp"]}
    assert refused(mallory.describe_addresses, PublicIps=[made["PublicIp"]])[0] == "InvalidAddress.NotFound"
    assert refused(mallory.release_address, **by_id)[0] == "InvalidAllocationID.NotFound"
    assert refused(mallory.release_address, **by_ip) == ("AuthFailure", 400)
    assert refused(mallory.release_address, PublicIp="203.0.113.1") == ("AuthFailure", 400)
    assert refused(mallory.disassociate_address, **by_ip)[0] == "AuthFailure"
    gone = refused(mallory.disassociate_address, AssociationId=association["AssociationId"])
    assert gone[0] == "InvalidAssociationID.NotFound"
    own = mallory.allocate_address()
    stolen = {"AllocationId": own["AllocationId"], "InstanceId": instance}
    assert refused(mallory.associate_address, **stolen)[0] == "InvalidInstanceID.NotFound"
    assert leads(box, instance, made["PublicIp"])


def test_addresses_are_found_by_filters(ec2, instance):
    first = ec2.allocate_address(TagSpecifications=tagged("elastic-ip", env="prod"))
    second = ec2.allocate_address()
    ec2.associate_address(AllocationId=second["AllocationId"], InstanceId=instance)

    def found(**wanted):
        return [a["PublicIp"] for a in ec2.describe_addresses(Filters=filters(**wanted))["Addresses"]]

    assert found(**{"tag:env": "prod"}) == [first["PublicIp"]]
    assert found(instance_id=instance) == [second["PublicIp"]]
    assert found(allocation_id=first["AllocationId"]) == [first["PublicIp"]]
    assert found(public_ip="198.*") and not found(public_ip="10.*")
    assert len(found(domain="vpc")) == 2
    assert refused(ec2.describe_addresses, Filters=filters(colour="red"))[0] == "InvalidParameterValue"
