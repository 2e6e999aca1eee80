"""An instance's metadata as a tree of text (EC2 user guide, "Instance metadata categories").

A flat mapping, path -> content; directories follow from it. What a directory lists can always be fetched,
because cloud-init's crawler gives up at the first leaf that cannot.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from euca_box.model.metadata import InstanceMetadata, RoleCredentials

# As 169.254.169.254 lists them; all show one tree, for nothing here has IPv6, which the later ones add.
VERSIONS = (
    *(
        "1.0",
        "2007-01-19",
        "2007-03-01",
        "2007-08-29",
        "2007-10-10",
        "2007-12-15",
        "2008-02-01",
        "2008-09-01",
    ),
    *("2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12", "2014-02-25", "2014-11-05", "2015-10-20"),
    *("2016-04-19", "2016-06-30", "2016-09-02", "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01"),
    *("2020-10-27", "2021-01-03", "2021-03-23", "latest"),
)
_FIRST_WITH_TAGS = "2021-03-23"
_TAG_KEY = re.compile(r"[A-Za-z0-9+\-=.,_:@]{1,128}")  # what EC2 allows when tags are shown in metadata
_KEYS = "meta-data/public-keys"

Tree = Mapping[str, bytes]
Prove = Callable[[str], Mapping[str, str]]


def metadata_tree(metadata: InstanceMetadata, version: str, prove: Prove) -> Tree:
    """Every leaf below /{version}/. `prove` has the leaves that sign the identity document.

    Leaves without content are left out, except that user data may be any bytes.
    """
    document = identity_document(metadata)
    texts = {
        **{f"meta-data/{path}": text for path, text in _instance_leaves(metadata)},
        **{f"meta-data/{path}": text for path, text in _network_leaves(metadata)},
        "dynamic/instance-identity/document": document,
        **prove(document),
    }
    if metadata.tags_shown and (version == "latest" or version >= _FIRST_WITH_TAGS):
        tags = {key: value for key, value in metadata.tags.items() if _is_path_name(key)}
        texts |= {f"meta-data/tags/instance/{key}": value for key, value in tags.items() if value}
    texts |= {f"meta-data/iam/{path}": text for path, text in _role_leaves(metadata.credentials)}
    if metadata.key_name and metadata.public_key:
        texts[f"{_KEYS}/0/openssh-key"] = metadata.public_key.strip()
    tree = {path: text.encode() for path, text in texts.items() if text}
    if metadata.user_data:
        tree["user-data"] = metadata.user_data
    return tree


def listing(tree: Tree, directory: str, metadata: InstanceMetadata) -> str | None:
    """The names in the directory ("" is the top), one a line, directories with a slash.

    None where there is none.
    """
    if directory == _KEYS and f"{_KEYS}/0/openssh-key" in tree:
        return f"0={metadata.key_name}"  # number and name, and no slash: the one exception of the format
    prefix = f"{directory}/" if directory else ""
    names = set()
    for path in tree:
        if path.startswith(prefix):
            name, slash, _ = path.removeprefix(prefix).partition("/")
            names.add(name + slash)
    return "\n".join(sorted(names)) if names else None


def identity_document(metadata: InstanceMetadata) -> str:
    """The instance identity document, version 2017-09-30."""
    return json.dumps(
        {
            "accountId": metadata.account_id,
            "architecture": metadata.architecture,
            "availabilityZone": metadata.zone,
            "billingProducts": None,
            "devpayProductCodes": None,
            "marketplaceProductCodes": None,
            "imageId": metadata.image_id,
            "instanceId": metadata.instance_id,
            "instanceType": metadata.instance_type,
            "kernelId": metadata.kernel_id or None,
            "pendingTime": metadata.launch_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "privateIp": metadata.private_ip,
            "ramdiskId": metadata.ramdisk_id or None,
            "region": metadata.region,
            "version": "2017-09-30",
        },
        indent=2,
    )


def _instance_leaves(metadata: InstanceMetadata) -> Iterator[tuple[str, str]]:
    yield "ami-id", metadata.image_id
    yield "ami-launch-index", str(metadata.launch_index)
    yield "ami-manifest-path", metadata.manifest_path
    yield "ancestor-ami-ids", "\n".join(metadata.ancestor_image_ids)
    yield from ((f"block-device-mapping/{name}", device) for name, device in metadata.block_devices.items())
    yield "hostname", metadata.hostname
    yield "instance-action", "none"
    yield "instance-id", metadata.instance_id
    yield "instance-life-cycle", "on-demand"
    yield "instance-type", metadata.instance_type
    yield "kernel-id", metadata.kernel_id
    yield "local-hostname", metadata.hostname
    yield "local-ipv4", metadata.private_ip
    yield "mac", metadata.mac
    yield "placement/availability-zone", metadata.zone
    yield "placement/region", metadata.region
    yield "profile", "default-hvm"
    yield "product-codes", "\n".join(metadata.product_codes)
    yield "public-hostname", metadata.public_hostname
    yield "public-ipv4", metadata.public_ip
    yield "ramdisk-id", metadata.ramdisk_id
    yield "reservation-id", metadata.reservation_id
    yield "security-groups", "\n".join(metadata.group_names)
    yield "services/domain", metadata.services_domain
    yield "services/partition", "aws"


def _role_leaves(found: RoleCredentials | None) -> Iterator[tuple[str, str]]:
    """EC2 user guide, "Retrieve security credentials from instance metadata"."""
    if found is None:
        return
    info = {
        "Code": "Success",
        "LastUpdated": _time(found.issued_at),
        "InstanceProfileArn": found.profile_arn,
        "InstanceProfileId": found.profile_id,
    }
    yield "info", json.dumps(info, indent=2)
    if found.role_name:
        credentials = {
            "Code": "Success",
            "LastUpdated": _time(found.issued_at),
            "Type": "AWS-HMAC",
            "AccessKeyId": found.access_key_id,
            "SecretAccessKey": found.secret_access_key,
            "Token": found.session_token,
            "Expiration": _time(found.expires_at),
        }
        yield f"security-credentials/{found.role_name}", json.dumps(credentials, indent=2)


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _network_leaves(metadata: InstanceMetadata) -> Iterator[tuple[str, str]]:
    """The one interface.

    Without vpc-id cloud-init takes the host for EC2-Classic and reconfigures it at each boot.
    """
    leaves = {
        "device-number": "0",
        "interface-id": metadata.interface_id,
        "local-hostname": metadata.hostname,
        "local-ipv4s": metadata.private_ip,
        "mac": metadata.mac,
        "owner-id": metadata.account_id,
        "public-hostname": metadata.public_hostname,
        "public-ipv4s": metadata.public_ip,
        "security-groups": "\n".join(metadata.group_names),
        "security-group-ids": "\n".join(metadata.group_ids),
        "subnet-id": metadata.subnet_id,
        "subnet-ipv4-cidr-block": metadata.subnet_cidr,
        "vpc-id": metadata.vpc_id,
        "vpc-ipv4-cidr-block": metadata.vpc_cidr,
        "vpc-ipv4-cidr-blocks": metadata.vpc_cidr,
    }
    if metadata.public_ip:
        leaves[f"ipv4-associations/{metadata.public_ip}"] = metadata.private_ip
    yield from ((f"network/interfaces/macs/{metadata.mac}/{name}", text) for name, text in leaves.items())


def _is_path_name(key: str) -> bool:
    return bool(_TAG_KEY.fullmatch(key)) and key not in (".", "..", "_index")
