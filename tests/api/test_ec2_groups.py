"""Security groups by the front door: in both forms of rules, and as they reach the node's network."""

import pytest

from tests.api.cloud_box import filters, refused, running_cloud, tagged


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    limits = {"max_security_groups": 12, "max_group_rules": 10}
    with running_cloud(tmp_path_factory.mktemp("cloud"), **limits) as box:
        box.kernel, box.ramdisk, box.image = box.register_images()
        yield box


@pytest.fixture
def ec2(box):
    yield box.ec2()
    box.terminate_all()
    for user in ("alice", "mallory"):
        client = box.ec2(user)
        found = [
            g for g in client.describe_security_groups()["SecurityGroups"] if g["GroupName"] != "default"
        ]
        for g in found:  # rules that name other groups keep those from going
            client.revoke_security_group_ingress(GroupId=g["GroupId"], IpPermissions=g["IpPermissions"]) if g[
                "IpPermissions"
            ] else None
        for g in found:
            client.delete_security_group(GroupId=g["GroupId"])


@pytest.fixture
def web(ec2):
    return ec2.create_security_group(GroupName="web", Description="the web")["GroupId"]


def group(ec2, group_id):
    [found] = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    return found


def names(reply):
    return sorted(g["GroupName"] for g in reply["SecurityGroups"])


def permission(protocol="tcp", low=80, high=80, cidr="0.0.0.0/0", **more):
    found = {"IpProtocol": protocol, "FromPort": low, "ToPort": high, **more}
    return found | ({"IpRanges": [{"CidrIp": cidr}]} if cidr else {})


# Groups


def test_create_security_group_lets_everything_out_and_nothing_in(box, ec2):
    made = ec2.create_security_group(
        GroupName="db", Description="d & d", TagSpecifications=tagged("security-group", env="prod")
    )
    found = group(ec2, made["GroupId"])
    assert (found["GroupName"], found["Description"]) == ("db", "d & d")
    assert (found["OwnerId"], found["IpPermissions"]) == (box.account(), [])
    [out] = found["IpPermissionsEgress"]
    assert (out["IpProtocol"], out["IpRanges"]) == ("-1", [{"CidrIp": "0.0.0.0/0"}])
    assert found["Tags"] == made["Tags"] == [{"Key": "env", "Value": "prod"}]


def test_the_default_group_is_there_and_lets_its_members_reach_each_other(box, ec2):
    [found] = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    [inside] = found["IpPermissions"]
    assert (inside["IpProtocol"], "FromPort" in inside) == ("-1", False)
    assert [p["GroupId"] for p in inside["UserIdGroupPairs"]] == [found["GroupId"]]
    code = refused(ec2.delete_security_group, GroupName="default")
    assert code == ("CannotDelete", 400)


REFUSED = {
    "no name": ({"GroupName": None}, "MissingParameter"),
    "no description": ({"Description": None}, "MissingParameter"),
    "an empty name": ({"GroupName": ""}, "InvalidParameterValue"),
    "a name like an id": ({"GroupName": "sg-12345678"}, "InvalidParameterValue"),
    "a long name": ({"GroupName": "n" * 256}, "InvalidParameterValue"),
    "a name with a line": ({"GroupName": "a\nb"}, "InvalidParameterValue"),
    "a description in other letters": ({"Description": "ü"}, "InvalidParameterValue"),
    "the default group": ({"GroupName": "Default"}, "InvalidGroup.Reserved"),
    "a name that is taken": ({"GroupName": "web"}, "InvalidGroup.Duplicate"),
    "another VPC": ({"VpcId": "vpc-99999999"}, "InvalidVpcID.NotFound"),
    "tags of an instance": ({"TagSpecifications": tagged("instance", a="b")}, "InvalidParameterValue"),
    "a dry run": ({"DryRun": True}, "DryRunOperation"),
}


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize(("more", "code"), REFUSED.values(), ids=REFUSED)
def test_create_security_group_refuses_and_makes_nothing(ec2, more, code):
    asked = {"GroupName": "new", "Description": "d", **more}
    asked = {k: v for k, v in asked.items() if v is not None}
    assert refused(ec2.create_security_group, **asked)[0] == code
    assert names(ec2.describe_security_groups()) == ["default", "web"]


def test_an_account_has_at_most_so_many_groups(ec2):
    have = len(ec2.describe_security_groups()["SecurityGroups"])
    for n in range(12 - have):
        ec2.create_security_group(GroupName=f"g{n}", Description="d")
    code = refused(ec2.create_security_group, GroupName="more", Description="d")
    assert code == ("SecurityGroupLimitExceeded", 400)


def test_a_group_with_a_member_cannot_be_deleted_until_the_member_has_ended(box, ec2, web):
    [instance_id] = box.run_instances(box.image, SecurityGroupIds=[web])
    assert refused(ec2.delete_security_group, GroupId=web) == ("DependencyViolation", 400)
    box.terminate([instance_id])
    assert ec2.delete_security_group(GroupId=web)["Return"] is True
    assert refused(ec2.describe_security_groups, GroupIds=[web]) == ("InvalidGroup.NotFound", 400)
    assert refused(ec2.delete_security_group, GroupId=web) == ("InvalidGroup.NotFound", 400)


def test_a_group_that_another_groups_rule_names_cannot_be_deleted(ec2, web):
    other = ec2.create_security_group(GroupName="db", Description="d")["GroupId"]
    rule = permission(cidr=None, UserIdGroupPairs=[{"GroupId": web}])
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[rule])
    assert refused(ec2.delete_security_group, GroupName="web") == ("DependencyViolation", 400)
    ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=[rule])
    ec2.delete_security_group(GroupName="web")


def test_delete_security_group_needs_a_name(ec2, web):
    assert refused(ec2.delete_security_group) == ("MissingParameter", 400)
    assert refused(ec2.delete_security_group, GroupId="web") == ("InvalidGroupId.Malformed", 400)
    assert refused(ec2.delete_security_group, GroupId=web, DryRun=True)[0] == "DryRunOperation"
    assert group(ec2, web)["GroupName"] == "web"


def test_another_account_sees_changes_and_deletes_none_of_our_groups(box, ec2, web):
    other = box.ec2("mallory")
    assert names(other.describe_security_groups()) == ["default"]
    rules = [permission()]
    for call, more in (
        (other.describe_security_groups, {"GroupIds": [web]}),
        (other.describe_security_groups, {"GroupNames": ["web"]}),
        (other.delete_security_group, {"GroupId": web}),
        (other.delete_security_group, {"GroupName": "web"}),
        (other.authorize_security_group_ingress, {"GroupId": web, "IpPermissions": rules}),
        (other.revoke_security_group_ingress, {"GroupId": web, "IpPermissions": rules}),
    ):
        assert refused(call, **more) == ("InvalidGroup.NotFound", 400)
    other.create_security_group(GroupName="web", Description="theirs")
    assert group(ec2, web)["Description"] == "the web"
    code = refused(
        box.ec2("mallory").run_instances, ImageId=box.image, MinCount=1, MaxCount=1, SecurityGroupIds=[web]
    )
    assert code == ("InvalidGroup.NotFound", 400)


def test_filters_and_pages(ec2, web):
    rule = permission("tcp", 80, 81, "10.0.0.0/8")
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[rule])
    vpc = group(ec2, web)["VpcId"]
    for wanted in (
        filters(group_id=web),
        filters(group_name="w?b"),
        filters(description="the*"),
        [{"Name": "ip-permission.cidr", "Values": ["10.0.0.0/8"]}],
        [{"Name": "ip-permission.from-port", "Values": ["80"]}],
        [{"Name": "ip-permission.to-port", "Values": ["81"]}],
        [{"Name": "ip-permission.protocol", "Values": ["tcp"]}],
    ):
        assert names(ec2.describe_security_groups(Filters=wanted)) == ["web"], wanted
    assert names(ec2.describe_security_groups(Filters=filters(vpc_id=vpc))) == ["default", "web"]
    assert refused(ec2.describe_security_groups, Filters=filters(colour="x"))[0] == "InvalidParameterValue"
    for n in range(6):
        ec2.create_security_group(GroupName=f"p{n}", Description="d")
    first = ec2.describe_security_groups(MaxResults=5)
    second = ec2.describe_security_groups(MaxResults=5, NextToken=first["NextToken"])
    assert len({g["GroupId"] for g in first["SecurityGroups"] + second["SecurityGroups"]}) == 8
    assert (
        refused(ec2.describe_security_groups, GroupIds=[web], MaxResults=5)[0]
        == "InvalidParameterCombination"
    )


# Rules


def test_authorize_answers_each_rule_and_shows_them_grouped(box, ec2, web):
    default = group(ec2, ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"])
    rules = [
        permission("tcp", 80, 80, "10.0.0.1/8") | {"UserIdGroupPairs": [{"GroupName": "default"}]},
        permission("6", 80, 80, "192.0.2.0/24"),
        permission("icmp", -1, -1),
        permission("icmp", 8, -1, "192.0.2.7/32"),
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "198.51.100.0/24", "Description": "office <&>"}]},
        permission("udp", -1, -1),
    ]
    reply = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=rules)
    assert reply["Return"] is True
    made = reply["SecurityGroupRules"]
    assert len(made) == 7
    assert len({r["SecurityGroupRuleId"] for r in made}) == 7
    assert {(r["GroupId"], r["GroupOwnerId"], r["IsEgress"]) for r in made} == {(web, box.account(), False)}
    found = group(ec2, web)["IpPermissions"]
    shown = {(p["IpProtocol"], p.get("FromPort"), p.get("ToPort")): p for p in found}
    assert set(shown) == {
        ("tcp", 80, 80), ("icmp", -1, -1), ("icmp", 8, -1), ("-1", None, None), ("udp", 0, 65535),
    }  # fmt: skip
    web80 = shown["tcp", 80, 80]
    assert {r["CidrIp"] for r in web80["IpRanges"]} == {"10.0.0.0/8", "192.0.2.0/24"}
    assert web80["UserIdGroupPairs"] == [{"GroupId": default["GroupId"], "UserId": box.account()}]
    assert shown["-1", None, None]["IpRanges"][0]["Description"] == "office <&>"


@pytest.mark.parametrize("by", ["GroupId", "GroupName"])
def test_the_flat_form_of_2009_works_for_authorize_and_revoke(ec2, web, by):
    named = {by: web if by == "GroupId" else "web"}
    flat = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    ec2.authorize_security_group_ingress(**named, **flat)
    [found] = group(ec2, web)["IpPermissions"]
    assert (found["IpProtocol"], found["FromPort"], found["IpRanges"]) == (
        "tcp",
        22,
        [{"CidrIp": "0.0.0.0/0"}],
    )
    ec2.revoke_security_group_ingress(**named, **flat)
    assert group(ec2, web)["IpPermissions"] == []


def test_a_source_group_alone_lets_all_its_traffic_in(box, ec2, web):
    theirs = box.ec2("mallory").create_security_group(GroupName="clients", Description="d")["GroupId"]
    source = {"SourceSecurityGroupName": "clients", "SourceSecurityGroupOwnerId": box.account("mallory")}
    ec2.authorize_security_group_ingress(GroupName="web", **source)
    [found] = group(ec2, web)["IpPermissions"]
    assert found["IpProtocol"] == "-1"
    assert found["UserIdGroupPairs"] == [{"GroupId": theirs, "UserId": box.account("mallory")}]
    again = refused(ec2.authorize_security_group_ingress, GroupName="web", **source)
    assert again == ("InvalidPermission.Duplicate", 400)
    ec2.revoke_security_group_ingress(GroupName="web", **source)
    assert group(ec2, web)["IpPermissions"] == []
    code = refused(ec2.authorize_security_group_ingress, GroupName="web", SourceSecurityGroupName="clients")
    assert code == ("InvalidGroup.NotFound", 400)


def test_a_duplicate_rule_refuses_all_rules_of_the_request(ec2, web):
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission()])
    code = refused(
        ec2.authorize_security_group_ingress,
        GroupId=web,
        IpPermissions=[permission(low=81, high=81), permission()],
    )
    assert code == ("InvalidPermission.Duplicate", 400)
    twice = [permission(low=90, high=90), permission(low=90, high=90)]
    code = refused(ec2.authorize_security_group_ingress, GroupId=web, IpPermissions=twice)
    assert code == ("InvalidPermission.Duplicate", 400)
    assert [p["FromPort"] for p in group(ec2, web)["IpPermissions"]] == [80]


def test_revoke_of_an_absent_rule_refuses_all_rules_of_the_request(ec2, web):
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission()])
    absent = permission(low=81, high=81)
    code = refused(ec2.revoke_security_group_ingress, GroupId=web, IpPermissions=[permission(), absent])
    assert code == ("InvalidPermission.NotFound", 400)
    assert len(group(ec2, web)["IpPermissions"]) == 1


def test_revoke_by_rule_id(ec2, web):
    rules = [permission(), permission(low=81, high=81)]
    made = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=rules)["SecurityGroupRules"]
    rule_id = made[0]["SecurityGroupRuleId"]
    both = {"SecurityGroupRuleIds": [rule_id], "IpPermissions": [permission()]}
    code = refused(ec2.revoke_security_group_ingress, GroupId=web, **both)
    assert code[0] == "InvalidParameterCombination"
    ec2.revoke_security_group_ingress(GroupId=web, SecurityGroupRuleIds=[rule_id.upper()])
    assert [p["FromPort"] for p in group(ec2, web)["IpPermissions"]] == [81]
    code = refused(ec2.revoke_security_group_ingress, GroupId=web, SecurityGroupRuleIds=[rule_id])
    assert code == ("InvalidSecurityGroupRuleId.NotFound", 400)


RULES = {
    "no rule": ({}, "MissingParameter"),
    "no source": ({"IpPermissions": [permission(cidr=None)]}, "MissingParameter"),
    "no protocol": ({"IpPermissions": [{"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}, "MissingParameter"),
    "no ports": ({"IpPermissions": [permission(low=None, high=None)]}, "InvalidParameterValue"),
    "ports backwards": ({"IpPermissions": [permission(low=81, high=80)]}, "InvalidPermission.Malformed"),
    "a port too high": ({"IpPermissions": [permission(high=65536)]}, "InvalidPermission.Malformed"),
    "a port below zero": ({"IpPermissions": [permission(low=-2)]}, "InvalidPermission.Malformed"),
    "a port that is none": ({"IpPermissions": [permission(low="http")]}, "InvalidParameterValue"),
    "no such protocol": ({"IpPermissions": [permission("gopher")]}, "InvalidPermission.Malformed"),
    "a protocol too high": ({"IpPermissions": [permission("256")]}, "InvalidPermission.Malformed"),
    "an ICMP type too high": (
        {"IpPermissions": [permission("icmp", 256, -1)]},
        "InvalidPermission.Malformed",
    ),
    "no CIDR": ({"IpPermissions": [permission(cidr="10.0.0.0/33")]}, "InvalidParameterValue"),
    "a host name": ({"IpPermissions": [permission(cidr="example.com")]}, "InvalidParameterValue"),
    "IPv6 as CIDR": ({"IpPermissions": [permission(cidr="::/0")]}, "InvalidParameterValue"),
    "IPv6": (
        {"IpPermissions": [permission(cidr=None, Ipv6Ranges=[{"CidrIpv6": "::/0"}])]},
        "UnsupportedOperation",
    ),
    "a prefix list": (
        {"IpPermissions": [permission(cidr=None, PrefixListIds=[{"PrefixListId": "pl-1"}])]},
        "UnsupportedOperation",
    ),
    "no such source": (
        {"IpPermissions": [permission(cidr=None, UserIdGroupPairs=[{"GroupId": "sg-00000000"}])]},
        "InvalidGroup.NotFound",
    ),
    "a source that is no id": (
        {"IpPermissions": [permission(cidr=None, UserIdGroupPairs=[{"GroupId": "x"}])]},
        "InvalidGroupId.Malformed",
    ),
    "a source without a name": (
        {"IpPermissions": [permission(cidr=None, UserIdGroupPairs=[{"UserId": "1"}])]},
        "InvalidGroup.NotFound",
    ),
    "a long description": (
        {"IpPermissions": [permission() | {"IpRanges": [{"CidrIp": "1.0.0.0/8", "Description": "d" * 256}]}]},
        "InvalidParameterValue",
    ),
    "both forms": (
        {
            "IpProtocol": "tcp",
            "FromPort": 1,
            "ToPort": 1,
            "CidrIp": "0.0.0.0/0",
            "IpPermissions": [permission()],
        },
        "InvalidParameterCombination",
    ),
    "too many": (
        {"IpPermissions": [permission(low=n, high=n) for n in range(11)]},
        "RulesPerSecurityGroupLimitExceeded",
    ),
    "a dry run": ({"IpPermissions": [permission()], "DryRun": True}, "DryRunOperation"),
}


@pytest.mark.parametrize(("more", "code"), RULES.values(), ids=RULES)
def test_authorize_refuses_and_lets_nothing_in(ec2, web, more, code):
    for item in more.get("IpPermissions", ()):
        for name in [n for n, v in item.items() if v is None]:
            item.pop(name)
    assert refused(ec2.authorize_security_group_ingress, GroupId=web, **more)[0] == code
    assert group(ec2, web)["IpPermissions"] == []


def test_tags_at_authorize_are_not_dropped_in_silence(ec2, web):
    asked = {"IpPermissions": [permission()], "TagSpecifications": tagged("security-group-rule", a="b")}
    assert refused(ec2.authorize_security_group_ingress, GroupId=web, **asked)[0] == "UnsupportedOperation"


def test_rules_of_a_running_instance_reach_the_node_when_they_change(box, ec2, web):
    [instance_id] = box.run_instances(box.image, SecurityGroupIds=[web])
    box.until_state(instance_id, "running")
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission(cidr="10.0.0.0/8")])
    box.until(lambda: any(r.cidr == "10.0.0.0/8" for r in box.network.groups[web].ingress))
    ec2.revoke_security_group_ingress(GroupId=web, IpPermissions=[permission(cidr="10.0.0.0/8")])
    box.until(lambda: box.network.groups[web].ingress == ())


def test_two_rules_that_come_at_once_are_both_kept(box, ec2, web):
    from concurrent.futures import ThreadPoolExecutor

    def add(port):
        ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission(low=port, high=port)])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(1000, 1008)))
    assert len(group(ec2, web)["IpPermissions"]) == 8
