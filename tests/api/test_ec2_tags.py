"""Tags by the front door: on what an account owns, all or nothing, invisible to others."""

import pytest

from tests.api.cloud_box import filters, refused, running_cloud, tagged


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        box.kernel, box.ramdisk, box.image = box.register_images()
        box.key = box.ec2().create_key_pair(KeyName="k", KeyType="ed25519")["KeyPairId"]
        box.group = box.ec2().create_security_group(GroupName="g", Description="d")["GroupId"]
        [box.instance_id] = box.run_instances(box.image)
        box.until_state(box.instance_id, "running")
        yield box
        box.terminate_all()


@pytest.fixture
def ec2(box):
    return box.ec2()


@pytest.fixture(autouse=True)
def _no_tags(box):
    yield
    everything = [box.instance_id, box.image, box.kernel, box.key, box.group]
    box.ec2().delete_tags(Resources=everything)
    assert box.ec2().describe_tags()["Tags"] == []


def pairs(**tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_of(ec2, *resource_ids):
    reply = ec2.describe_tags(Filters=filters(resource_id=list(resource_ids)))
    return {(t["ResourceId"], t["Key"], t["Value"]) for t in reply["Tags"]}


def test_create_tags_shows_them_on_every_kind_of_resource(box, ec2):
    everything = [box.instance_id, box.image, box.kernel, box.key, box.group]
    ec2.create_tags(Resources=[e.upper() for e in everything], Tags=pairs(Name="a & <b>", empty=""))
    wanted = [{"Key": "Name", "Value": "a & <b>"}, {"Key": "empty", "Value": ""}]

    assert box.instance(box.instance_id)["Tags"] == wanted
    assert ec2.describe_images(ImageIds=[box.image])["Images"][0]["Tags"] == wanted
    assert ec2.describe_images(ImageIds=[box.kernel])["Images"][0]["Tags"] == wanted
    assert ec2.describe_key_pairs(KeyPairIds=[box.key])["KeyPairs"][0]["Tags"] == wanted
    assert ec2.describe_security_groups(GroupIds=[box.group])["SecurityGroups"][0]["Tags"] == wanted
    kinds = {t["ResourceId"]: t["ResourceType"] for t in ec2.describe_tags()["Tags"]}
    assert kinds == {
        box.instance_id: "instance",
        box.image: "image",
        box.kernel: "image",
        box.key: "key-pair",
        box.group: "security-group",
    }


def test_an_elastic_address_has_tags(box, ec2):
    allocation_id = ec2.allocate_address()["AllocationId"]
    ec2.create_tags(Resources=[allocation_id], Tags=pairs(a="1"))
    [address] = ec2.describe_addresses(AllocationIds=[allocation_id])["Addresses"]
    assert address["Tags"] == pairs(a="1")
    assert [t["ResourceType"] for t in ec2.describe_tags()["Tags"]] == ["elastic-ip"]
    ec2.release_address(AllocationId=allocation_id)
    code, _ = refused(ec2.create_tags, Resources=[allocation_id], Tags=pairs(a="1"))
    assert code == "InvalidAllocationID.NotFound"


def test_create_tags_twice_is_harmless_and_replaces_the_value(box, ec2):
    for value in ("1", "1", "2"):
        ec2.create_tags(Resources=[box.group, box.group], Tags=pairs(a=value, b="x"))
    assert tags_of(ec2, box.group) == {(box.group, "a", "2"), (box.group, "b", "x")}


def test_delete_tags_goes_by_the_value_when_one_is_given(box, ec2):
    ec2.create_tags(Resources=[box.image], Tags=pairs(a="1", b="2", c="3", d="", e="5"))
    ec2.delete_tags(
        Resources=[box.image],
        Tags=[
            {"Key": "a", "Value": "1"},
            {"Key": "b", "Value": "not this"},
            {"Key": "c"},
            {"Key": "d", "Value": ""},
            {"Key": "e", "Value": ""},
            {"Key": "absent"},
        ],
    )
    assert tags_of(ec2, box.image) == {(box.image, "b", "2"), (box.image, "e", "5")}


def test_the_tag_of_an_instance_is_found_by_the_filters_of_describe_instances(box, ec2):
    ec2.create_tags(Resources=[box.instance_id], Tags=pairs(env="prod"))
    found = ec2.describe_instances(Filters=[{"Name": "tag:env", "Values": ["prod"]}])["Reservations"]
    assert [i["InstanceId"] for r in found for i in r["Instances"]] == [box.instance_id]
    ec2.delete_tags(Resources=[box.instance_id], Tags=[{"Key": "env"}])
    assert ec2.describe_instances(Filters=[{"Name": "tag:env", "Values": ["prod"]}])["Reservations"] == []


def test_one_unknown_resource_and_none_is_tagged(box, ec2):
    absent = {
        "i-00000000": "InvalidInstanceID.NotFound",
        "emi-00000000": "InvalidAMIID.NotFound",
        "key-00000000": "InvalidKeyPair.NotFound",
        "sg-00000000": "InvalidGroup.NotFound",
        "i-xyz": "InvalidInstanceID.Malformed",
        "vpc-00000001": "UnsupportedOperation",
        "subnet-00000001": "UnsupportedOperation",
        "eni-00000001": "UnsupportedOperation",
        "tgw-00000001": "InvalidID",
        "": "InvalidID",
    }
    for resource_id, code in absent.items():
        for call in (ec2.create_tags, ec2.delete_tags):
            asked = {"Resources": [box.group, resource_id], "Tags": pairs(a="1")}
            assert refused(call, **asked) == (code, 400), resource_id
    assert tags_of(ec2, box.group) == set()


REFUSED = {
    "no tag": ([], "MissingParameter"),
    "a reserved key": (pairs(**{"aws:x": "1"}), "InvalidParameterValue"),
    "an empty key": (pairs(**{"": "1"}), "InvalidParameterValue"),
    "a long key": (pairs(**{"k" * 129: "1"}), "InvalidParameterValue"),
    "a long value": (pairs(k="v" * 257), "InvalidParameterValue"),
    "one key twice": (pairs(a="1") + pairs(a="2"), "InvalidParameterValue"),
}


@pytest.mark.parametrize(("tags", "code"), REFUSED.values(), ids=REFUSED)
def test_create_tags_refuses(box, ec2, tags, code):
    assert refused(ec2.create_tags, Resources=[box.group], Tags=tags) == (code, 400)
    assert tags_of(ec2, box.group) == set()


def test_a_resource_has_at_most_50_tags(box, ec2):
    ec2.create_tags(Resources=[box.group], Tags=pairs(**{f"k{n}": "v" for n in range(50)}))
    code = refused(ec2.create_tags, Resources=[box.key, box.group], Tags=pairs(one_more="v"))
    assert code == ("TagLimitExceeded", 400)
    assert tags_of(ec2, box.key) == set()
    ec2.create_tags(Resources=[box.group], Tags=pairs(k7="w"))
    assert (box.group, "k7", "w") in tags_of(ec2, box.group)


def test_reserved_tags_are_not_deleted_and_requests_without_resources_refused(box, ec2):
    code, _ = refused(ec2.delete_tags, Resources=[box.group], Tags=[{"Key": "aws:x"}])
    assert code == "InvalidParameterValue"
    for call in (ec2.create_tags, ec2.delete_tags):
        assert refused(call, Resources=[], Tags=pairs(a="1"))[0] == "MissingParameter"


def test_a_dry_run_changes_no_tag(box, ec2):
    ec2.create_tags(Resources=[box.group], Tags=pairs(a="1"))
    asked = {"Resources": [box.group], "DryRun": True}
    assert refused(ec2.create_tags, **asked, Tags=pairs(b="2")) == ("DryRunOperation", 412)
    assert refused(ec2.delete_tags, **asked, Tags=[{"Key": "a"}]) == ("DryRunOperation", 412)
    assert refused(ec2.describe_tags, DryRun=True) == ("DryRunOperation", 412)
    assert tags_of(ec2, box.group) == {(box.group, "a", "1")}


def test_another_account_sees_and_changes_no_tag(box, ec2):
    ec2.create_tags(Resources=[box.group, box.image], Tags=pairs(a="1"))
    other = box.ec2("mallory")
    assert other.describe_tags()["Tags"] == []
    for call in (other.create_tags, other.delete_tags):
        assert refused(call, Resources=[box.group], Tags=pairs(a="2"))[0] == "InvalidGroup.NotFound"
        code, _ = refused(call, Resources=[box.image], Tags=pairs(a="2"))
        assert code in ("UnauthorizedOperation", "InvalidAMIID.NotFound")
    assert tags_of(ec2, box.group, box.image) == {(box.group, "a", "1"), (box.image, "a", "1")}


def test_every_filter_of_describe_tags_finds_the_tag_and_not_another(box, ec2):
    ec2.create_tags(Resources=[box.group], Tags=pairs(colour="red"))
    ec2.create_tags(Resources=[box.key], Tags=pairs(shape="round"))
    values = {
        "key": "col*",
        "value": "r?d",
        "resource-id": box.group,
        "resource-type": "security-group",
        "tag:colour": "red",
        "tag-key": "colour",
        "tag-value": "red",
    }
    for name, value in values.items():
        found = ec2.describe_tags(Filters=[{"Name": name, "Values": [value]}])["Tags"]
        assert [(t["ResourceId"], t["Key"]) for t in found] == [(box.group, "colour")], name
    assert refused(ec2.describe_tags, Filters=filters(size="1")) == ("InvalidParameterValue", 400)


def test_describe_tags_pages_through_every_tag_once(box, ec2):
    ec2.create_tags(Resources=[box.group, box.key], Tags=pairs(**{f"k{n}": "v" for n in range(8)}))
    seen, more = [], {}
    while True:
        reply = ec2.describe_tags(MaxResults=5, **more)
        seen += [(t["ResourceId"], t["Key"]) for t in reply["Tags"]]
        if not reply.get("NextToken"):
            break
        more = {"NextToken": reply["NextToken"]}
    assert len(seen) == len(set(seen)) == 16
    assert refused(ec2.describe_tags, MaxResults=4) == ("InvalidParameterValue", 400)


def test_tags_given_at_launch_are_described_and_go_with_the_resource(box, ec2):
    made = ec2.create_key_pair(KeyName="x", KeyType="ed25519", TagSpecifications=tagged("key-pair", a="1"))
    assert tags_of(ec2, made["KeyPairId"]) == {(made["KeyPairId"], "a", "1")}
    ec2.delete_key_pair(KeyName="x")
    assert tags_of(ec2, made["KeyPairId"]) == set()
