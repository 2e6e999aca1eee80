"""Rules of security groups in both directions by the front door, and as they reach the node's network."""

import pytest

from tests.api.cloud_box import filters, refused, running_cloud, tagged


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), max_group_rules=10) as box:
        box.kernel, box.ramdisk, box.image = box.register_images()
        yield box


@pytest.fixture
def ec2(box):
    yield box.ec2()
    box.terminate_all()
    for found in box.ec2().describe_security_groups()["SecurityGroups"]:
        if found["GroupName"] != "default":
            box.ec2().delete_security_group(GroupId=found["GroupId"])


@pytest.fixture
def web(ec2):
    return ec2.create_security_group(GroupName="web", Description="the web")["GroupId"]


def permission(port=443, cidr="10.0.0.0/8", **more):
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr, **more}]}


EVERYTHING = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def rules(ec2, group_id):
    found = ec2.describe_security_group_rules(Filters=filters(**{"group-id": group_id}))
    return found["SecurityGroupRules"]


def group(ec2, group_id):
    return ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]


def test_egress_rules_are_authorised_and_revoked(box, ec2, web):
    [made] = ec2.authorize_security_group_egress(
        GroupId=web, IpPermissions=[permission(Description="to the office")]
    )["SecurityGroupRules"]
    assert (made["IsEgress"], made["CidrIpv4"], made["FromPort"]) == (True, "10.0.0.0/8", 443)
    assert made["Description"] == "to the office"
    assert made["SecurityGroupRuleArn"].endswith(f"security-group-rule/{made['SecurityGroupRuleId']}")
    assert len(group(ec2, web)["IpPermissionsEgress"]) == 2
    assert group(ec2, web)["IpPermissions"] == []

    [gone] = ec2.revoke_security_group_egress(GroupId=web, IpPermissions=[EVERYTHING])[
        "RevokedSecurityGroupRules"
    ]
    assert (gone["IsEgress"], gone["CidrIpv4"], gone["IpProtocol"]) == (True, "0.0.0.0/0", "-1")
    ec2.revoke_security_group_egress(GroupId=web, SecurityGroupRuleIds=[made["SecurityGroupRuleId"].upper()])
    assert group(ec2, web)["IpPermissionsEgress"] == []


def test_egress_rules_are_in_force_on_the_node_when_they_are_answered(box, ec2, web):
    [instance] = box.run_instances(box.image, SecurityGroupIds=[web])
    box.until_state(instance, "running")
    ec2.revoke_security_group_egress(GroupId=web, IpPermissions=[EVERYTHING])
    assert box.in_trio(lambda: box.network.groups[web].egress) == ()
    ec2.authorize_security_group_egress(GroupId=web, IpPermissions=[permission()])
    [rule] = box.in_trio(lambda: box.network.groups[web].egress)
    assert (rule.protocol, rule.from_port, rule.cidr) == ("tcp", 443, "10.0.0.0/8")


def test_egress_to_a_group_keeps_that_group_from_going(ec2, web):
    other = ec2.create_security_group(GroupName="db", Description="d")["GroupId"]
    to_group = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": other}]}
    ec2.authorize_security_group_egress(GroupId=web, IpPermissions=[to_group])
    assert refused(ec2.delete_security_group, GroupId=other)[0] == "DependencyViolation"
    [gone] = ec2.revoke_security_group_egress(GroupId=web, IpPermissions=[to_group])[
        "RevokedSecurityGroupRules"
    ]
    assert gone["ReferencedGroupId"] == other


REFUSED = {
    "no group": ({"GroupId": None}, "MissingParameter"),
    "no rules": ({"IpPermissions": None}, "MissingParameter"),
    "a group that is not there": ({"GroupId": "sg-99999999"}, "InvalidGroup.NotFound"),
    "a rule that is there": ({"IpPermissions": [EVERYTHING]}, "InvalidPermission.Duplicate"),
    "too many": (
        {"IpPermissions": [permission(p) for p in range(1, 11)]},
        "RulesPerSecurityGroupLimitExceeded",
    ),
    "IPv6": (
        {"IpPermissions": [{"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}]},
        "UnsupportedOperation",
    ),
    "a prefix list": (
        {"IpPermissions": [{"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-1"}]}]},
        "UnsupportedOperation",
    ),
    "the flat form": ({"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp"}, "UnsupportedOperation"),
    "tags of a rule": ({"TagSpecifications": tagged("security-group-rule", a="b")}, "UnsupportedOperation"),
    "tags of something else": ({"TagSpecifications": tagged("instance", a="b")}, "InvalidParameterValue"),
    "a dry run": ({"DryRun": True}, "DryRunOperation"),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_authorize_egress_refuses_and_changes_nothing(ec2, web, case):
    more, code = REFUSED[case]
    asked = {"GroupId": web, "IpPermissions": [permission()]} | more
    asked = {name: value for name, value in asked.items() if value is not None}
    assert refused(ec2.authorize_security_group_egress, **asked)[0] == code
    assert len(group(ec2, web)["IpPermissionsEgress"]) == 1


def test_revoke_egress_takes_all_rules_of_the_request_or_none(ec2, web):
    code = refused(ec2.revoke_security_group_egress, GroupId=web, IpPermissions=[EVERYTHING, permission()])
    assert code == ("InvalidPermission.NotFound", 400)
    asked = {"GroupId": web, "SecurityGroupRuleIds": ["sgr-99999999"]}
    assert refused(ec2.revoke_security_group_egress, **asked)[0] == "InvalidSecurityGroupRuleId.NotFound"
    asked["SecurityGroupRuleIds"] = ["x"]
    assert refused(ec2.revoke_security_group_egress, **asked)[0] == "InvalidSecurityGroupRuleId.Malformed"
    dry = {"GroupId": web, "IpPermissions": [EVERYTHING], "DryRun": True}
    assert refused(ec2.revoke_security_group_egress, **dry)[0] == "DryRunOperation"
    assert len(group(ec2, web)["IpPermissionsEgress"]) == 1


def test_an_ingress_rule_is_not_revoked_by_its_id_as_egress(ec2, web):
    [made] = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission()])[
        "SecurityGroupRules"
    ]
    asked = {"GroupId": web, "SecurityGroupRuleIds": [made["SecurityGroupRuleId"]]}
    assert refused(ec2.revoke_security_group_egress, **asked)[0] == "InvalidSecurityGroupRuleId.NotFound"
    [gone] = ec2.revoke_security_group_ingress(**asked)["RevokedSecurityGroupRules"]
    assert (gone["SecurityGroupRuleId"], gone["IsEgress"]) == (made["SecurityGroupRuleId"], False)


def test_describe_security_group_rules_shows_both_directions(ec2, web):
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission(80)])
    found = rules(ec2, web)
    assert sorted((r["IsEgress"], r["FromPort"]) for r in found) == [(False, 80), (True, -1)]
    one = found[0]["SecurityGroupRuleId"]
    asked = ec2.describe_security_group_rules(SecurityGroupRuleIds=[one.upper()])["SecurityGroupRules"]
    assert [r["SecurityGroupRuleId"] for r in asked] == [one]
    assert refused(ec2.describe_security_group_rules, SecurityGroupRuleIds=["sgr-99999999"]) == (
        "InvalidSecurityGroupRuleId.NotFound",
        400,
    )
    assert refused(ec2.describe_security_group_rules, DryRun=True)[0] == "DryRunOperation"


def test_rules_come_in_pages(ec2, web):
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission(p) for p in range(1, 9)])
    pages = ec2.get_paginator("describe_security_group_rules").paginate(
        Filters=filters(**{"group-id": web}), PaginationConfig={"PageSize": 5}
    )
    sizes = [len(p["SecurityGroupRules"]) for p in pages]
    assert sizes == [5, 4]


def test_another_account_sees_no_rule(box, ec2, web):
    [rule] = rules(ec2, web)
    mallory = box.ec2("mallory")
    rule_id = rule["SecurityGroupRuleId"]
    code = refused(mallory.describe_security_group_rules, SecurityGroupRuleIds=[rule_id])
    assert code[0] == "InvalidSecurityGroupRuleId.NotFound"
    assert rules(mallory, web) == []
    for call in (mallory.authorize_security_group_egress, mallory.revoke_security_group_egress):
        assert refused(call, GroupId=web, IpPermissions=[EVERYTHING])[0] == "InvalidGroup.NotFound"
    call = mallory.update_security_group_rule_descriptions_egress
    assert refused(call, GroupId=web, IpPermissions=[EVERYTHING])[0] == "InvalidGroup.NotFound"


def test_descriptions_are_changed_by_rule_and_by_id(ec2, web):
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission(Description="old")])
    ec2.update_security_group_rule_descriptions_ingress(
        GroupName="web", IpPermissions=[permission(Description="new")]
    )
    [rule] = [r for r in rules(ec2, web) if not r["IsEgress"]]
    assert rule["Description"] == "new"
    ec2.update_security_group_rule_descriptions_ingress(GroupId=web, IpPermissions=[permission()])
    [rule] = [r for r in rules(ec2, web) if not r["IsEgress"]]
    assert "Description" not in rule
    [out] = [r for r in rules(ec2, web) if r["IsEgress"]]
    by_id = [{"SecurityGroupRuleId": out["SecurityGroupRuleId"], "Description": "all"}]
    ec2.update_security_group_rule_descriptions_egress(GroupId=web, SecurityGroupRuleDescriptions=by_id)
    [out] = [r for r in rules(ec2, web) if r["IsEgress"]]
    assert out["Description"] == "all"


DESCRIPTIONS_REFUSED = {
    "no group": ({"GroupId": None}, "MissingParameter"),
    "nothing named": ({"IpPermissions": None}, "MissingParameter"),
    "a rule that is not there": ({"IpPermissions": [permission(99)]}, "InvalidPermission.NotFound"),
    "a long text": ({"IpPermissions": [permission(Description="d" * 256)]}, "InvalidParameterValue"),
    "both forms": (
        {"SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": "sgr-99999999"}]},
        "InvalidParameterCombination",
    ),
    "an id that is not there": (
        {"IpPermissions": None, "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": "sgr-99999999"}]},
        "InvalidSecurityGroupRuleId.NotFound",
    ),
    "a dry run": ({"DryRun": True}, "DryRunOperation"),
}


@pytest.mark.parametrize("case", DESCRIPTIONS_REFUSED, ids=str)
def test_update_of_descriptions_refuses(ec2, web, case):
    more, code = DESCRIPTIONS_REFUSED[case]
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission()])
    asked = {"GroupId": web, "IpPermissions": [permission(Description="x")]} | more
    asked = {name: value for name, value in asked.items() if value is not None}
    assert refused(ec2.update_security_group_rule_descriptions_ingress, **asked)[0] == code
    assert all("Description" not in r for r in rules(ec2, web))


def test_groups_are_found_by_their_egress_rules(ec2, web):
    ec2.authorize_security_group_egress(GroupId=web, IpPermissions=[permission(8443)])

    def found(**wanted):
        reply = ec2.describe_security_groups(Filters=filters(**wanted))
        return [g["GroupName"] for g in reply["SecurityGroups"]]

    assert found(**{"egress.ip-permission.from-port": "8443"}) == ["web"]
    assert found(**{"egress.ip-permission.cidr": "10.0.0.0/8"}) == ["web"]
    assert found(**{"ip-permission.from-port": "8443"}) == []
