"""SOAP by a client that none of us wrote: zeep loads the WSDLs, signs by libxmlsec, and reads the answers."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
import zeep
from lxml import etree
from zeep.wsse.signature import BinarySignature

from euca_box.api.soap import ec2_shapes
from tests.api.cloud_box import running_cloud
from tests.soap import WSU

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("soap")) as box:
        yield box


@pytest.fixture(scope="module")
def key_files(cloud, tmp_path_factory):
    made = cloud.admin("AddCertificate", name="alice")
    folder = tmp_path_factory.mktemp("alice")
    (folder / "cert.pem").write_text(made["certificate"]["pem"])
    (folder / "pk.pem").write_text(made["private_key"])
    return folder / "pk.pem", folder / "cert.pem"


@pytest.fixture(scope="module")
def image_id(cloud):
    return cloud.register_images()[-1]


class Timestamped(BinarySignature):
    """zeep signs a Timestamp where there is one, and adds none."""

    def apply(self, envelope, headers):
        security = zeep.wsse.utils.get_security_header(envelope)
        moment = etree.SubElement(security, f"{{{WSU}}}Timestamp")
        now = datetime.now(UTC)
        etree.SubElement(moment, f"{{{WSU}}}Created").text = f"{now:%Y-%m-%dT%H:%M:%SZ}"
        end = now + timedelta(minutes=5)
        etree.SubElement(moment, f"{{{WSU}}}Expires").text = f"{end:%Y-%m-%dT%H:%M:%SZ}"
        return super().apply(envelope, headers)

    def verify(self, envelope):
        return envelope  # answers are not signed


def ec2(cloud, key_files, version=ec2_shapes.NEWEST, port="AmazonEC2BindingPort"):
    import xmlsec

    how = {"signature_method": xmlsec.Transform.RSA_SHA256, "digest_method": xmlsec.Transform.SHA256}
    client = zeep.Client(
        f"{cloud.url}/services/Eucalyptus?wsdl&Version={version}",
        wsse=Timestamped(str(key_files[0]), str(key_files[1]), **how),
    )
    return client.bind("AmazonEC2", port)


@pytest.mark.parametrize("port", ["AmazonEC2BindingPort", "AmazonEC2Binding12Port"])
def test_a_key_pair_is_made_shown_and_deleted(cloud, key_files, port):
    service = ec2(cloud, key_files, port=port)
    made = service.CreateKeyPair(keyName=f"by-{port}")
    assert made.keyMaterial.startswith("-----BEGIN")
    names = [item.keyName for item in service.DescribeKeyPairs().keySet.item]
    assert f"by-{port}" in names
    assert service.DeleteKeyPair(keyName=f"by-{port}")["return"] is True


@pytest.mark.parametrize("version", ec2_shapes.versions())
def test_instances_run_and_end_in_every_version(cloud, key_files, image_id, version):
    service = ec2(cloud, key_files, version)
    made = service.RunInstances(
        imageId=image_id,
        minCount=1,
        maxCount=1,
        groupSet={"item": [{"groupId": "default"}]},
        userData={"data": base64.b64encode(b"hello").decode()},
        placement={"availabilityZone": "us-east-1a"},
    )
    [instance] = made.instancesSet.item
    assert made.groupSet.item[0].groupId == "default"
    assert instance.instanceState.name == "pending" and instance.imageId == image_id
    shown = service.DescribeInstances(instancesSet={"item": [{"instanceId": instance.instanceId}]})
    # Of an answer with one element zeep gives that element.
    reservations = getattr(shown, "reservationSet", shown)
    [reservation] = getattr(reservations, "item", reservations)
    assert reservation.instancesSet.item[0].instanceId == instance.instanceId
    ended = service.TerminateInstances(instancesSet={"item": [{"instanceId": instance.instanceId}]})
    before = "shutdownState" if version < "2009-10-31" else "currentState"
    instances = getattr(ended, "instancesSet", ended)
    assert getattr(instances, "item", instances)[0][before].name == "shutting-down"


def items_of(answer, name):
    """Of an answer with one element zeep gives that element."""
    found = getattr(answer, name, answer)
    return getattr(found, "item", found)


@pytest.mark.parametrize("version", ec2_shapes.versions())
def test_volumes_and_snapshots_live_and_end_in_every_version_that_has_them(cloud, key_files, version):
    if "CreateVolume" not in ec2_shapes.actions(version):
        pytest.skip("the version is older than volumes")
    service = ec2(cloud, key_files, version)
    made = service.CreateVolume(size="1", availabilityZone="us-east-1a")
    assert made.status == "creating"
    cloud.until_volume(made.volumeId, "available")
    taken = service.CreateSnapshot(volumeId=made.volumeId)
    cloud.until_snapshot(taken.snapshotId, "completed")
    asked = {"snapshotSet": {"item": [{"snapshotId": taken.snapshotId}]}}
    [shown] = items_of(service.DescribeSnapshots(**asked), "snapshotSet")
    assert (shown.status, shown.progress, shown.volumeId) == ("completed", "100%", made.volumeId)
    again = service.CreateVolume(snapshotId=taken.snapshotId, availabilityZone="us-east-1a")
    cloud.until_volume(again.volumeId, "available")
    named = {"volumeSet": {"item": [{"volumeId": again.volumeId}]}}
    [volume] = items_of(service.DescribeVolumes(**named), "volumeSet")
    assert (volume.status, volume.snapshotId, str(volume.size)) == ("available", taken.snapshotId, "1")
    for volume_id in (made.volumeId, again.volumeId):
        service.DeleteVolume(volumeId=volume_id)
    service.DeleteSnapshot(snapshotId=taken.snapshotId)


def test_a_volume_is_attached_and_detached(cloud, key_files, image_id):
    service = ec2(cloud, key_files)
    [instance_id] = cloud.run_instances(image_id)
    cloud.until_state(instance_id, "running")
    volume_id = service.CreateVolume(size="1", availabilityZone="us-east-1a").volumeId
    cloud.until_volume(volume_id, "available")
    made = service.AttachVolume(volumeId=volume_id, instanceId=instance_id, device="/dev/sdf")
    assert (made.status, made.device) == ("attaching", "/dev/sdf")
    cloud.until_volume(volume_id, "in-use")
    assert service.DetachVolume(volumeId=volume_id).status == "detaching"
    cloud.until_volume(volume_id, "available")
    service.DeleteVolume(volumeId=volume_id)


def test_rules_tags_and_filters_are_read(cloud, key_files):
    service = ec2(cloud, key_files)
    group = service.CreateSecurityGroup(groupName="web", groupDescription="by soap").groupId
    rule = {
        "ipProtocol": "tcp",
        "fromPort": 80,
        "toPort": 80,
        "ipRanges": {"item": [{"cidrIp": "0.0.0.0/0"}]},
    }
    service.AuthorizeSecurityGroupIngress(groupId=group, ipPermissions={"item": [rule]})
    service.CreateTags(
        resourcesSet={"item": [{"resourceId": group}]}, tagSet={"item": [{"key": "a", "value": "b"}]}
    )
    wanted = {"item": [{"name": "tag:a", "valueSet": {"item": [{"value": "b"}]}}]}
    [found] = service.DescribeSecurityGroups(filterSet=wanted).securityGroupInfo.item
    assert found.groupId == group and found.tagSet.item[0].key == "a"
    [shown] = found.ipPermissions.item
    assert (shown.ipProtocol, shown.fromPort, shown.ipRanges.item[0].cidrIp) == ("tcp", 80, "0.0.0.0/0")
    service.DeleteSecurityGroup(groupName="web")


def test_an_error_is_a_fault_with_its_code_and_the_request_id(cloud, key_files):
    with pytest.raises(zeep.exceptions.Fault) as caught:
        ec2(cloud, key_files).TerminateInstances(instancesSet={"item": [{"instanceId": "i-00000000"}]})
    assert caught.value.code == "Client.InvalidInstanceID.NotFound"
    assert len(caught.value.detail[0].text) == 36


def test_launch_permissions_are_changed_and_shown(cloud, key_files, image_id):
    service = ec2(cloud, key_files)
    everybody = {"add": {"item": [{"group": "all"}]}}
    service.ModifyImageAttribute(imageId=image_id, launchPermission=everybody)
    shown = service.DescribeImageAttribute(imageId=image_id, launchPermission="")
    assert shown.launchPermission.item[0].group == "all"
    service.ResetImageAttribute(imageId=image_id, launchPermission="")


# S3


class S3:
    """Adds the three elements that sign a request."""

    def __init__(self, cloud, user="alice"):
        self._client = zeep.Client(f"{cloud.url}/services/Walrus?wsdl")
        self._key, self._secret = cloud.credentials(user)

    def type_of(self, name):
        return self._client.get_type("{http://s3.amazonaws.com/doc/2006-03-01/}" + name)

    def __getattr__(self, name):
        def call(**fields):
            now = datetime.now(UTC)
            # What zeep writes for a dateTime is what must be signed.
            text = zeep.xsd.DateTime().xmlvalue(now)
            signature = hmac.digest(self._secret.encode(), f"AmazonS3{name}{text}".encode(), hashlib.sha1)
            operation = getattr(self._client.service, name)
            return operation(
                AWSAccessKeyId=self._key,
                Timestamp=now,
                Signature=base64.b64encode(signature).decode(),
                **fields,
            )

        return call


def test_objects_are_kept_listed_read_and_deleted(cloud):
    s3 = S3(cloud)
    s3.CreateBucket(Bucket="soapy")
    assert "soapy" in [bucket.Name for bucket in s3.ListAllMyBuckets().Buckets.Bucket]
    kind = [{"Name": "Content-Type", "Value": "text/plain"}, {"Name": "colour", "Value": "grün"}]
    put = s3.PutObjectInline(Bucket="soapy", Key="a/b c", Data=b"bytes", ContentLength=5, Metadata=kind)
    got = s3.GetObject(Bucket="soapy", Key="a/b c", GetMetadata=True, GetData=True, InlineData=True)
    assert (got.Data, got.ETag) == (b"bytes", put.ETag)
    assert {entry.Name: entry.Value for entry in got.Metadata}["Content-Type"] == "text/plain"
    listed = s3.ListBucket(Bucket="soapy", Prefix="a/", MaxKeys=10)
    assert [entry.Key for entry in listed.Contents] == ["a/b c"] and listed.IsTruncated is False
    part = s3.GetObjectExtended(
        Bucket="soapy",
        Key="a/b c",
        GetMetadata=False,
        GetData=True,
        InlineData=True,
        ByteRangeStart=1,
        ByteRangeEnd=2,
    )
    assert (part.Status.Code, part.Data) == (206, b"yt")
    s3.CopyObject(SourceBucket="soapy", SourceKey="a/b c", DestinationBucket="soapy", DestinationKey="d")
    assert cloud.client("s3").get_object(Bucket="soapy", Key="d")["Body"].read() == b"bytes"
    for key in ("a/b c", "d"):
        assert s3.DeleteObject(Bucket="soapy", Key=key).Code == 204
    s3.DeleteBucket(Bucket="soapy")


def test_lists_of_rights_and_logging_are_set_and_shown(cloud):
    s3 = S3(cloud)
    s3.CreateBucket(Bucket="rights")
    cloud.client("s3").delete_bucket_ownership_controls(Bucket="rights")
    own = s3.GetBucketAccessControlPolicy(Bucket="rights")
    group, user = s3.type_of("Group"), s3.type_of("CanonicalUser")
    everybody = {
        "Grantee": group(URI="http://acs.amazonaws.com/groups/global/AllUsers"),
        "Permission": "READ",
    }
    mine = {"Grantee": user(ID=own.Owner.ID), "Permission": "FULL_CONTROL"}
    s3.SetBucketAccessControlPolicy(Bucket="rights", AccessControlList={"Grant": [everybody, mine]})
    shown = s3.GetBucketAccessControlPolicy(Bucket="rights").AccessControlList.Grant
    assert {grant.Permission for grant in shown} == {"READ", "FULL_CONTROL"}
    assert s3.GetBucketLoggingStatus(Bucket="rights") is None


def test_a_stranger_and_a_wrong_signature_are_refused(cloud):
    S3(cloud).CreateBucket(Bucket="guarded")
    with pytest.raises(zeep.exceptions.Fault) as caught:
        S3(cloud, "mallory").ListBucket(Bucket="guarded")
    assert caught.value.code == "Client.AccessDenied"
    forger = S3(cloud)
    forger._secret = "wrong"
    with pytest.raises(zeep.exceptions.Fault) as caught:
        forger.ListBucket(Bucket="guarded")
    assert caught.value.code == "Client.SignatureDoesNotMatch"
    with pytest.raises(zeep.exceptions.Fault) as caught:
        S3(cloud).GetObject(Bucket="guarded", Key="absent", GetMetadata=True, GetData=False, InlineData=False)
    assert caught.value.code == "Client.NoSuchKey"
