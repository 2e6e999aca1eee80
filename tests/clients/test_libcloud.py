"""Apache Libcloud: its EC2 driver with both signatures, its Eucalyptus driver, its S3 driver.

Libcloud reads every element in the namespace of one API version with the slash at its end, and finds
nothing, without an error, when the answer has another: every test counts what comes back.
"""

import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from libcloud.common.types import InvalidCredsError
from libcloud.compute.base import NodeImage, NodeSize
from libcloud.compute.providers import get_driver as get_compute_driver
from libcloud.compute.types import KeyPairDoesNotExistError, NodeState
from libcloud.compute.types import Provider as ComputeProvider
from libcloud.storage.providers import get_driver as get_storage_driver
from libcloud.storage.types import (
    ContainerDoesNotExistError,
    ContainerIsNotEmptyError,
    ObjectDoesNotExistError,
)
from libcloud.storage.types import Provider as StorageProvider

from tests.api.cloud_box import PUBLIC, CloudBox, running_cloud

HOST = "127.0.0.1"
Ec2: Any = get_compute_driver(ComputeProvider.EC2)
Eucalyptus: Any = get_compute_driver(ComputeProvider.EUCALYPTUS)
S3: Any = get_storage_driver(StorageProvider.S3)
Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        box.register_images()
        yield box


def ec2_v4(box: CloudBox, user: str = "alice", secret: str = "") -> Any:
    return _ec2(box, user, secret, "4")


def ec2_v2(box: CloudBox, user: str = "alice", secret: str = "") -> Any:
    return _ec2(box, user, secret, "2")


def _ec2(box: CloudBox, user: str, secret: str, signature: str) -> Any:
    key, own = box.credentials(user)
    return Ec2(key, secret or own, secure=False, host=HOST, port=box.port, signature_version=signature)


def eucalyptus(box: CloudBox, user: str = "alice", secret: str = "") -> Any:
    key, own = box.credentials(user)
    return Eucalyptus(key, secret or own, secure=False, host=HOST, port=box.port)


every_driver = pytest.mark.parametrize("connect", [ec2_v4, ec2_v2, eucalyptus])


def s3_of(box: CloudBox, user: str = "alice") -> Any:
    return S3(*box.credentials(user), secure=False, host=HOST, port=box.port)


@every_driver
def test_images_are_found_with_all_that_libcloud_reads(box: CloudBox, connect: Connect) -> None:
    images = connect(box).list_images(ex_owner="self")
    assert {image.name for image in images} == {"vmlinuz-tiny", "initrd-tiny", "root-tiny"}
    root = next(image for image in images if image.name == "root-tiny")
    assert (root.extra["state"], root.extra["image_type"], root.extra["architecture"]) == (
        "available",
        "machine",
        "x86_64",
    )
    assert root.extra["kernel_id"].startswith("eki-")
    assert connect(box).get_image(root.id).id == root.id


@every_driver
def test_zones_are_found(box: CloudBox, connect: Connect) -> None:
    zones = connect(box).ex_list_availability_zones()
    assert [(z.name, z.zone_state, z.region_name) for z in zones] == [
        ("us-east-1a", "available", "us-east-1")
    ]


@pytest.mark.parametrize("connect", [ec2_v4, ec2_v2])
def test_locations_are_zones(box: CloudBox, connect: Connect) -> None:
    assert [at.availability_zone.name for at in connect(box).list_locations()] == ["us-east-1a"]


@every_driver
def test_key_pairs(box: CloudBox, connect: Connect) -> None:
    ec2 = connect(box)
    made = ec2.create_key_pair("lib")
    assert made.private_key.startswith("-----BEGIN ")
    public = box.ec2().describe_key_pairs(KeyNames=["lib"], IncludePublicKey=True)["KeyPairs"][0]["PublicKey"]
    ec2.import_key_pair_from_string("lib-copy", public)
    assert [k.name for k in ec2.list_key_pairs()] == ["lib", "lib-copy"]
    assert ec2.get_key_pair("lib").fingerprint == made.fingerprint
    for name in ("lib", "lib-copy"):
        assert ec2.delete_key_pair(ec2.get_key_pair(name))
    with pytest.raises(KeyPairDoesNotExistError):
        ec2.get_key_pair("lib")


@every_driver
def test_security_groups(box: CloudBox, connect: Connect) -> None:
    ec2 = connect(box)
    name = f"lib-{connect.__name__}"
    made = ec2.ex_create_security_group(name, "of libcloud")
    assert ec2.ex_authorize_security_group(name, 80, 81, "10.0.0.0/8")
    assert ec2.ex_authorize_security_group_ingress(made["group_id"], 22, 22, cidr_ips=["0.0.0.0/0"])
    pair = {"group_id": made["group_id"], "user_id": box.account()}
    assert ec2.ex_authorize_security_group_ingress(
        made["group_id"], 0, 65535, group_pairs=[pair], protocol="udp"
    )

    [shown] = ec2.ex_get_security_groups(group_names=[name])
    rules = {(r["protocol"], int(r["from_port"]), int(r["to_port"])): r for r in shown.ingress_rules}
    assert rules["tcp", 80, 81]["cidr_ips"] == ["10.0.0.0/8"]
    assert rules["tcp", 22, 22]["cidr_ips"] == ["0.0.0.0/0"]
    assert rules["udp", 0, 65535]["group_pairs"][0]["group_id"] == made["group_id"]
    assert name in ec2.ex_list_security_groups()
    assert ec2.ex_revoke_security_group_ingress(made["group_id"], 22, 22, cidr_ips=["0.0.0.0/0"])
    assert len(ec2.ex_get_security_groups(group_ids=[made["group_id"]])[0].ingress_rules) == 2
    assert ec2.ex_delete_security_group(name)


@every_driver
def test_a_node_is_created_seen_and_destroyed(box: CloudBox, connect: Connect) -> None:
    ec2 = connect(box)
    image = next(i for i in ec2.list_images(ex_owner="self") if i.name == "root-tiny")
    node = ec2.create_node(
        "named",
        size_of(ec2, "m1.small"),
        image,
        ex_security_groups=["default"],
        ex_userdata="#!/bin/sh\n",
        ex_metadata={"stage": "test"},
    )
    assert (node.state, node.extra["image_id"], node.extra["instance_type"]) == (
        NodeState.PENDING,
        image.id,
        "m1.small",
    )
    running = box.until_state(node.id, "running")
    assert {t["Key"]: t["Value"] for t in running["Tags"]} == {"Name": "named", "stage": "test"}
    [seen] = ec2.list_nodes(ex_node_ids=[node.id])
    assert (seen.name, seen.state) == ("named", NodeState.RUNNING)
    assert set(seen.public_ips) <= set(PUBLIC)
    assert seen.private_ips[0].startswith("127.77.")
    with_elastic_address(ec2, seen)
    assert ec2.ex_create_tags(seen, {"stage": "later"})
    assert ec2.ex_describe_tags(seen) == {"Name": "named", "stage": "later"}
    box.workbench.printed[node.id] = b"login: "
    assert ec2.ex_get_console_output(node)["output"] == "login: "
    assert ec2.reboot_node(node)
    assert ec2.destroy_node(node)
    box.until_state(node.id, "terminated")
    assert box.hypervisor.machines == {}


def with_elastic_address(ec2: Any, node: Any) -> None:
    """list_nodes asks for the addresses, too, and adds them to the nodes."""
    address = ec2.ex_allocate_address()
    assert ec2.ex_associate_address_with_node(node, address)
    assert address.ip in ec2.list_nodes(ex_node_ids=[node.id])[0].public_ips
    assert [a.instance_id for a in ec2.ex_describe_all_addresses()] == [node.id]
    assert ec2.ex_disassociate_address(address)
    assert ec2.ex_release_address(address)
    assert ec2.ex_describe_all_addresses() == []


def size_of(ec2: Any, name: str) -> NodeSize:
    """Sizes are a table within Libcloud for EC2; for Eucalyptus they are elements of 3.x and later."""
    known = {} if isinstance(ec2, Eucalyptus) else {size.id: size for size in ec2.list_sizes()}
    return known.get(name) or NodeSize(name, name, 128, 2, 0, 0, ec2)


@every_driver
def test_nodes_are_listed_when_there_are_none(box: CloudBox, connect: Connect) -> None:
    """In an account without instances Libcloud does not ask for addresses."""
    assert connect(box, "mallory").list_nodes() == []


@every_driver
def test_a_refusal_is_an_error_with_the_code(box: CloudBox, connect: Connect) -> None:
    ec2 = connect(box)
    with pytest.raises(Exception, match=r"InvalidAMIID\.NotFound"):
        ec2.create_node("n", size_of(ec2, "m1.small"), NodeImage("emi-00000000", "absent", ec2))
    with pytest.raises(Exception, match=r"InvalidInstanceID\.NotFound"):
        ec2.list_nodes(ex_node_ids=["i-00000000"])
    with pytest.raises(InvalidCredsError):
        connect(box, secret="wrong").list_images(ex_owner="self")


# S3


def test_a_container_and_its_objects(box: CloudBox, tmp_path: Any) -> None:
    s3 = s3_of(box)
    container = s3.create_container("lib-things")
    data = os.urandom(200_000)
    (tmp_path / "up").write_bytes(data)
    up = s3.upload_object(
        str(tmp_path / "up"), container, "a dir/ä b", extra={"meta_data": {"colour": "blue"}}
    )
    assert up.size == 200_000

    seen = s3.get_object("lib-things", "a dir/ä b")
    assert (seen.size, seen.meta_data, seen.hash) == (200_000, {"colour": "blue"}, up.hash.strip('"'))
    assert s3.download_object(seen, str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == data
    assert b"".join(s3.download_object_range_as_stream(seen, 5, 10)) == data[5:10]
    assert [o.name for o in s3.list_container_objects(container, prefix="a dir/")] == ["a dir/ä b"]
    assert "lib-things" in [c.name for c in s3.list_containers()]
    with pytest.raises(ContainerIsNotEmptyError):
        s3.delete_container(container)
    assert s3.delete_object(seen)
    with pytest.raises(ObjectDoesNotExistError):
        s3.get_object("lib-things", "a dir/ä b")
    assert s3.delete_container(container)
    with pytest.raises(ContainerDoesNotExistError):
        s3.get_container("lib-things")


def test_a_stream_goes_up_in_parts(box: CloudBox) -> None:
    s3 = s3_of(box)
    container = s3.create_container("lib-parts")
    data = os.urandom((11 << 20) + 1)
    up = s3.upload_object_via_stream(io.BytesIO(data), container, "big")
    assert (up.size, up.hash.strip('"').endswith("-3")) == (len(data), True)
    assert b"".join(s3.download_object_as_stream(up)) == data
    assert list(s3.ex_iterate_multipart_uploads(container)) == []


def test_s3_of_another_user_is_refused(box: CloudBox) -> None:
    container = s3_of(box).create_container("lib-hers")
    with pytest.raises(InvalidCredsError):
        s3_of(box, "mallory").list_container_objects(container)
