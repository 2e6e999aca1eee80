"""Everything a cluster and a node need to bundle an instance; travels down with the wish to bundle it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BundleOrder:
    """What a node must know to bundle an instance: whither, by whose signed form, and for whom.

    Certificates are PEM. `user` is the account's number.
    """

    bundle_id: str
    instance_id: str
    url: str  # of the bucket
    fields: tuple[tuple[str, str], ...] = field(repr=False)  # of the form, without key and file
    prefix: str
    user: str
    cloud_certificate: str
    user_certificate: str
    architecture: str
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    ca_file: str = ""


@dataclass(frozen=True)
class Bundling:
    """`text` is there when all parts are sent: what the manifest's signature must cover."""

    percent: int
    storing: bool = False
    text: bytes = b""
