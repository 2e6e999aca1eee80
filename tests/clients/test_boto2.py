"""boto 2.49.0, the library of the clients that Eucalyptus 1.6.2 had, against the whole cloud.

It reads other elements than botocore does and signs in the ways of its time: SigV2 in the query of EC2,
the signature of 2006 for S3, and a SigV4 whose scope names no service, since it takes the service from
the host's first label. boto imports `imp`, which Python has until 3.11.
"""

import importlib
import os
import socket
import urllib.request
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest

from tests.api.cloud_box import FILE_SYSTEM, PUBLIC, CloudBox, running_cloud

boto: Any = pytest.importorskip("boto", reason="boto 2 needs Python 3.11", exc_type=ImportError)
compute: Any = importlib.import_module("boto.ec2.connection")
storage: Any = importlib.import_module("boto.s3.connection")
EC2ResponseError: Any = boto.exception.EC2ResponseError
S3ResponseError: Any = boto.exception.S3ResponseError

HOST = "127.0.0.1"
VERSION = "2009-11-30"  # what the clients of 1.6.2 said
Connect = Callable[..., Any]


class SignedV2(compute.EC2Connection):  # type: ignore[misc]
    """As before boto 2.48 made SigV4 the default."""

    def _required_auth_capability(self) -> list[str]:
        return ["ec2"]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        box.register_images()
        yield box


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_USE_SIGV4", "EC2_USE_SIGV4", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def sigv2(box: CloudBox, user: str = "alice", path: str = "/services/Eucalyptus", secret: str = "") -> Any:
    key, own = box.credentials(user)
    where = compute.RegionInfo(name="eucalyptus", endpoint=HOST)
    return SignedV2(
        key, secret or own, region=where, port=box.port, path=path, is_secure=False, api_version=VERSION
    )


def sigv4(box: CloudBox, user: str = "alice", path: str = "/services/Eucalyptus", secret: str = "") -> Any:
    key, own = box.credentials(user)
    return boto.connect_euca(HOST, key, secret or own, port=box.port, path=path)


both = pytest.mark.parametrize("connect", [sigv2, sigv4])


def walrus(box: CloudBox, user: str = "alice") -> Any:
    return boto.connect_walrus(HOST, *box.credentials(user), port=box.port)


def root_s3(box: CloudBox, user: str = "alice") -> Any:
    return storage.S3Connection(
        *box.credentials(user),
        host=HOST,
        port=box.port,
        is_secure=False,
        calling_format=storage.OrdinaryCallingFormat(),
    )


@both
@pytest.mark.parametrize(
    "path", ["/", "/services/Eucalyptus", "/services/Eucalyptus/", "/services/eucalyptus"]
)
def test_zones_and_regions_on_every_path(box: CloudBox, connect: Connect, path: str) -> None:
    ec2 = connect(box, path=path)
    assert [(z.name, z.state) for z in ec2.get_all_zones()] == [("us-east-1a", "available")]
    assert [r.name for r in ec2.get_all_regions()] == ["us-east-1"]


@both
def test_a_key_pair_is_made_shown_and_deleted(box: CloudBox, connect: Connect) -> None:
    ec2 = connect(box)
    pair = ec2.create_key_pair("old")
    assert pair.material.startswith("-----BEGIN ")
    assert [(k.name, k.fingerprint) for k in ec2.get_all_key_pairs(["old"])] == [("old", pair.fingerprint)]
    with pytest.raises(EC2ResponseError) as caught:
        ec2.create_key_pair("old")
    assert (caught.value.status, caught.value.error_code) == (400, "InvalidKeyPair.Duplicate")
    assert ec2.delete_key_pair("old")
    assert ec2.get_key_pair("old") is None


@both
def test_a_rule_in_the_flat_form_of_2009_and_in_the_new_one(box: CloudBox, connect: Connect) -> None:
    """The deprecated call sends IpProtocol, FromPort and CidrIp; the other IpPermissions.1."""
    ec2 = connect(box)
    name = f"web-{connect.__name__}"
    group = ec2.create_security_group(name, "of boto")
    assert ec2.authorize_security_group_deprecated(
        name, ip_protocol="tcp", from_port=80, to_port=80, cidr_ip="10.0.0.0/8"
    )
    assert group.authorize("udp", 53, 53, ["10.1.0.0/16", "10.2.0.0/16"])
    assert group.authorize("tcp", 22, 22, src_group=group)

    [shown] = ec2.get_all_security_groups([name])
    rules = {(r.ip_protocol, r.from_port, r.to_port): sorted(map(str, r.grants)) for r in shown.rules}
    assert rules["tcp", "80", "80"] == ["10.0.0.0/8"]
    assert rules["udp", "53", "53"] == ["10.1.0.0/16", "10.2.0.0/16"]
    [source] = next(r for r in shown.rules if r.from_port == "22").grants
    assert (source.group_id, source.owner_id) == (group.id, box.account())

    assert ec2.revoke_security_group_deprecated(
        name, ip_protocol="tcp", from_port=80, to_port=80, cidr_ip="10.0.0.0/8"
    )
    assert group.revoke("tcp", 22, 22, src_group=group)
    assert len(ec2.get_all_security_groups([name])[0].rules) == 1
    with pytest.raises(EC2ResponseError, match="already exists"):
        group.authorize("udp", 53, 53, "10.1.0.0/16")
    assert ec2.delete_security_group(name)


@both
def test_the_flat_form_with_a_source_group_opens_all_protocols(box: CloudBox, connect: Connect) -> None:
    """EC2 API reference of 2009, AuthorizeSecurityGroupIngress: a source group means tcp, udp and icmp."""
    ec2 = connect(box)
    name = f"all-{connect.__name__}"
    ec2.create_security_group(name, "of boto")
    assert ec2.authorize_security_group_deprecated(
        name, src_security_group_name=name, src_security_group_owner_id=box.account()
    )
    [shown] = ec2.get_all_security_groups([name])
    assert {g.owner_id for r in shown.rules for g in r.grants} == {box.account()}
    assert ec2.delete_security_group(name)


@both
def test_an_instance_lives_as_boto_sees_it(box: CloudBox, connect: Connect) -> None:
    ec2 = connect(box)
    kernel, ramdisk, image_id = images_of(box, ec2, f"boto-{connect.__name__}")
    [image] = ec2.get_all_images([image_id])
    assert (image.kernel_id, image.ramdisk_id, image.state, image.type) == (
        kernel,
        ramdisk,
        "available",
        "machine",
    )

    reservation = image.run(
        min_count=2, max_count=2, instance_type="m1.small", user_data="#!/bin/sh\nπ\n", placement="us-east-1a"
    )
    assert reservation.id.startswith("r-")
    for instance in reservation.instances:
        box.until(lambda instance=instance: instance.update() == "running")
        assert (instance.image_id, instance.placement, instance.instance_type) == (
            image_id,
            "us-east-1a",
            "m1.small",
        )
        assert instance.ip_address in PUBLIC
        assert instance.private_ip_address.startswith("127.77.")
        assert [g.name for g in instance.groups] == ["default"]
    first, second = reservation.instances
    box.workbench.printed[first.id] = b"Linux version 6\r\nlogin: "
    assert first.get_console_output().output == b"Linux version 6\r\nlogin: "
    assert first.reboot() is True or first.reboot() is None
    shown = ec2.get_only_instances(filters={"instance-state-name": "running", "image-id": image_id})
    assert {i.id for i in shown} == {first.id, second.id}

    with_elastic_address(ec2, first)
    first.add_tag("stage", "a & b")
    assert ec2.get_only_instances(filters={"tag:stage": "a & b"})[0].tags == {"stage": "a & b"}

    assert {i.id for i in ec2.terminate_instances([first.id, second.id])} == {first.id, second.id}
    for instance in (first, second):
        box.until(lambda instance=instance: instance.update() == "terminated")
    assert box.hypervisor.machines == {}
    assert ec2.deregister_image(image_id)


def with_elastic_address(ec2: Any, instance: Any) -> None:
    """As in 2009: the address is named by itself, without an allocation id."""
    address = ec2.allocate_address()
    assert ec2.associate_address(instance.id, address.public_ip)
    [shown] = ec2.get_all_addresses([address.public_ip])
    assert shown.instance_id == instance.id
    instance.update()
    assert instance.ip_address == address.public_ip
    assert ec2.disassociate_address(address.public_ip)
    assert ec2.release_address(address.public_ip)
    assert ec2.get_all_addresses() == []


def images_of(box: CloudBox, ec2: Any, name: str) -> tuple[str, str, str]:
    """The box's kernel and ramdisk, and a root that boto uploads and registers."""
    own = {image.type: image.id for image in ec2.get_all_images(owners=["self"])}
    kernel, ramdisk = own["kernel"], own["ramdisk"]
    bucket = walrus(box).create_bucket(name)
    bucket.new_key("root").set_contents_from_string(FILE_SYSTEM)
    root = ec2.register_image(name=name, image_location=f"{name}/root", kernel_id=kernel, ramdisk_id=ramdisk)
    return kernel, ramdisk, root


@both
def test_a_refusal_is_the_error_that_boto_knows(box: CloudBox, connect: Connect) -> None:
    ec2 = connect(box)
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: ec2.get_all_instances(["i-00000000"]), "InvalidInstanceID.NotFound"),
        (lambda: ec2.run_instances("emi-00000000"), "InvalidAMIID.NotFound"),
        (lambda: ec2.get_all_key_pairs(["absent"]), "InvalidKeyPair.NotFound"),
        (lambda: ec2.get_all_security_groups(["absent"]), "InvalidGroup.NotFound"),
        (lambda: ec2.get_all_reserved_instances(["absent"]), "InvalidReservedInstancesId"),
    ]
    for call, code in calls:
        with pytest.raises(EC2ResponseError) as caught:
            call()
        assert (caught.value.status, caught.value.error_code) == (400, code)
        assert len(caught.value.request_id) == 36
        assert caught.value.error_message
    with pytest.raises(EC2ResponseError) as caught:
        connect(box, secret="wrong").get_all_zones()
    assert (caught.value.status, caught.value.error_code) == (401, "AuthFailure")


@pytest.mark.parametrize("signature", ["2006", "4"])
@pytest.mark.parametrize("connect", [walrus, root_s3])
def test_a_bucket_and_its_objects(
    box: CloudBox, connect: Connect, signature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if signature == "4":
        monkeypatch.setenv("S3_USE_SIGV4", "True")
    s3 = connect(box)
    if signature == "4":
        s3._auth_handler.region_name = "us-east-1"  # boto takes it from Amazon's host names only
    bucket = s3.create_bucket(f"boto-{connect.__name__.replace('_', '-')}-{signature}")
    data = os.urandom(300_000)
    key = bucket.new_key("a dir/ä+b & c")
    key.set_metadata("colour", "blue")
    key.set_contents_from_string(data, headers={"Content-Type": "text/x"})

    seen = bucket.get_key("a dir/ä+b & c")
    assert (seen.size, seen.content_type, seen.get_metadata("colour")) == (300_000, "text/x", "blue")
    assert seen.get_contents_as_string() == data
    assert seen.get_contents_as_string(headers={"Range": "bytes=5-9"}) == data[5:10]
    copied = seen.copy(bucket.name, "copy")
    assert copied.etag == seen.etag
    assert [k.name for k in bucket.list()] == ["a dir/ä+b & c", "copy"]
    assert [p.name for p in bucket.list(delimiter="/")] == ["copy", "a dir/"]
    assert bucket.get_key("absent") is None
    assert bucket.name in [b.name for b in s3.get_all_buckets()]
    with pytest.raises(S3ResponseError, match="BucketNotEmpty"):
        s3.delete_bucket(bucket.name)
    assert [k.key for k in bucket.delete_keys(["copy", "a dir/ä+b & c"]).deleted] == ["copy", "a dir/ä+b & c"]
    s3.delete_bucket(bucket.name)
    assert s3.lookup(bucket.name) is None


def test_a_bucket_named_by_the_host(box: CloudBox, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *more, **named: real(HOST if host.endswith(".localhost") else host, *more, **named),
    )
    s3 = storage.S3Connection(
        *box.credentials("alice"),
        host="s3.localhost",
        port=box.port,
        is_secure=False,
        calling_format=storage.SubdomainCallingFormat(),
    )
    bucket = s3.create_bucket("boto-by-host")
    bucket.new_key("a dir/ä+b").set_contents_from_string(b"data")
    assert s3.calling_format.build_host(s3.server_name(), bucket.name).startswith("boto-by-host.s3.")
    assert [k.name for k in bucket.list()] == ["a dir/ä+b"]
    assert root_s3(box).get_bucket(bucket.name).get_key("a dir/ä+b").get_contents_as_string() == b"data"
    with urllib.request.urlopen(bucket.get_key("a dir/ä+b").generate_url(60)) as answer:
        assert answer.read() == b"data"
    bucket.delete_key("a dir/ä+b")
    s3.delete_bucket(bucket.name)


def test_parts_make_one_object_and_can_be_given_up(box: CloudBox) -> None:
    bucket = walrus(box).create_bucket("boto-parts")
    upload = bucket.initiate_multipart_upload("big")
    first, last = os.urandom(5 << 20), b"the end"
    for number, data in enumerate((first, last), start=1):
        upload.upload_part_from_file(BytesIO(data), number)
    assert [p.size for p in upload.get_all_parts()] == [len(first), len(last)]
    assert upload.complete_upload().etag.strip('"').endswith("-2")
    assert bucket.get_key("big").get_contents_as_string() == first + last

    given_up = bucket.initiate_multipart_upload("never")
    given_up.upload_part_from_file(BytesIO(b"lost"), 1)
    given_up.cancel_upload()
    assert bucket.get_all_multipart_uploads() == []
    assert bucket.get_key("never") is None


def test_access_lists_and_links_of_2006(box: CloudBox) -> None:
    bucket = walrus(box).create_bucket("boto-acl")
    key = bucket.new_key("k")
    key.set_contents_from_string("for some")
    theirs = root_s3(box, "mallory").get_bucket("boto-acl", validate=False)
    with pytest.raises(S3ResponseError) as caught:
        theirs.get_key("k", validate=False).get_contents_as_string()
    assert (caught.value.status, caught.value.error_code) == (403, "AccessDenied")

    with urllib.request.urlopen(key.generate_url(60)) as answer:
        assert answer.read() == b"for some"
    key.set_acl("public-read")
    assert sorted(g.permission for g in key.get_acl().acl.grants) == ["FULL_CONTROL", "READ"]
    assert theirs.get_key("k", validate=False).get_contents_as_string() == b"for some"
