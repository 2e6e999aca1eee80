"""What an instance may learn about itself (EC2 user guide, instance metadata categories). Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RoleCredentials:
    """What an instance gets by its instance profile. Without a role in the profile `role_name` is empty, and
    so are the keys. Times in seconds since 1970."""

    profile_arn: str
    profile_id: str
    role_name: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    issued_at: float = 0.0
    expires_at: float = 0.0


@dataclass(frozen=True, slots=True)
class InstanceMetadata:
    """One instance as its metadata service shows it; an empty text or None leaves the leaf out.

    `block_devices` are the leaves of block-device-mapping, {"ami": "sda1", "root": "/dev/sda1"}.
    `http_tokens` is "optional" or "required", `http_endpoint` "enabled" or "disabled" (EC2
    ModifyInstanceMetadataOptions). `launch_time` is aware, UTC. The user data may hold secrets and is left
    out of the repr.
    """

    instance_id: str
    image_id: str
    reservation_id: str
    instance_type: str
    private_ip: str
    mac: str
    hostname: str
    account_id: str
    zone: str
    region: str
    launch_time: datetime
    launch_index: int = 0
    kernel_id: str = ""
    ramdisk_id: str = ""
    manifest_path: str = "(unknown)"
    ancestor_image_ids: tuple[str, ...] = ()
    product_codes: tuple[str, ...] = ()
    architecture: str = "x86_64"
    public_ip: str = ""
    public_hostname: str = ""
    key_name: str = ""
    public_key: str = ""
    user_data: bytes = field(default=b"", repr=False)
    group_names: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    block_devices: Mapping[str, str] = field(default_factory=dict)
    interface_id: str = ""
    vpc_id: str = ""
    subnet_id: str = ""
    vpc_cidr: str = ""
    subnet_cidr: str = ""
    services_domain: str = "amazonaws.com"
    tags: Mapping[str, str] = field(default_factory=dict)
    tags_shown: bool = False  # InstanceMetadataTags=enabled
    http_tokens: str = "optional"
    http_endpoint: str = "enabled"
    hop_limit: int = 1
    credentials: RoleCredentials | None = None
