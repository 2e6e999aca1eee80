"""The default VPC by the front door: what clients ask before they launch."""

import pytest

from tests.api.cloud_box import filters, refused, running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        yield box


@pytest.fixture
def ec2(box):
    return box.ec2()


NOUNS = {
    "vpcs": ("Vpcs", "VpcIds", "VpcId", "InvalidVpcID"),
    "subnets": ("Subnets", "SubnetIds", "SubnetId", "InvalidSubnetID"),
    "internet_gateways": (
        "InternetGateways",
        "InternetGatewayIds",
        "InternetGatewayId",
        "InvalidInternetGatewayID",
    ),
    "route_tables": ("RouteTables", "RouteTableIds", "RouteTableId", "InvalidRouteTableID"),
    "network_acls": ("NetworkAcls", "NetworkAclIds", "NetworkAclId", "InvalidNetworkAclID"),
    "dhcp_options": ("DhcpOptions", "DhcpOptionsIds", "DhcpOptionsId", "InvalidDhcpOptionsID"),
}


@pytest.mark.parametrize("noun", NOUNS)
def test_there_is_one_of_each_and_it_is_the_callers(box, ec2, noun):
    describe, (member, ids, own_id, code) = getattr(ec2, f"describe_{noun}"), NOUNS[noun]
    [found] = describe()[member]
    assert found["OwnerId"] == box.account()
    assert describe(**{ids: [found[own_id].upper()]})[member] == [found]
    absent = found[own_id].partition("-")[0] + "-99999999"
    assert refused(describe, **{ids: [absent]}) == (f"{code}.NotFound", 400)
    assert refused(describe, Filters=filters(colour="x"))[0] == "InvalidParameterValue"
    assert describe(Filters=[{"Name": "tag:Name", "Values": ["x"]}])[member] == []
    assert refused(describe, DryRun=True) == ("DryRunOperation", 412)


def test_the_default_vpc_and_subnet_are_found_as_clients_look_for_them(box, ec2):
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"]
    [subnet] = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    assert (vpc["State"], vpc["IsDefault"], subnet["DefaultForAz"]) == ("available", True, True)
    assert subnet["CidrBlock"] == str(box.app.plan.subnet)
    assert 0 < subnet["AvailableIpAddressCount"] < box.app.plan.subnet.num_addresses


def test_names_are_resolved_in_the_default_vpc(ec2):
    [vpc] = ec2.describe_vpcs()["Vpcs"]
    for attribute, member in (
        ("enableDnsSupport", "EnableDnsSupport"),
        ("enableDnsHostnames", "EnableDnsHostnames"),
    ):
        reply = ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=attribute)
        assert reply[member] == {"Value": True}
    assert (
        refused(ec2.describe_vpc_attribute, VpcId=vpc["VpcId"], Attribute="x")[0] == "InvalidParameterValue"
    )
    assert (
        refused(ec2.describe_vpc_attribute, VpcId="vpc-99999999", Attribute="x")[0] == "InvalidVpcID.NotFound"
    )


def test_an_instance_has_one_interface_that_only_its_account_sees(box, ec2):
    *_, image_id = box.register_images()
    [instance_id] = box.run_instances(image_id)
    instance = box.until_state(instance_id, "running")
    [interface] = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert interface["Attachment"]["InstanceId"] == instance_id
    assert interface["PrivateIpAddress"] == instance["PrivateIpAddress"]
    assert interface["Association"]["PublicIp"] == instance["PublicIpAddress"]
    assert interface["NetworkInterfaceId"] == instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    by_instance = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    assert ec2.describe_network_interfaces(Filters=by_instance)["NetworkInterfaces"] == [interface]
    other = box.ec2("mallory")
    assert other.describe_network_interfaces()["NetworkInterfaces"] == []
    wanted = [interface["NetworkInterfaceId"]]
    assert refused(other.describe_network_interfaces, NetworkInterfaceIds=wanted)[0] == (
        "InvalidNetworkInterfaceID.NotFound"
    )
