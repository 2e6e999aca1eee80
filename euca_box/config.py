"""Every setting: its default, type, meaning and range. `config.toml.example` is written from here.

Order: defaults, /etc/euca-box/config.toml, /etc/euca-box/conf.d/*.toml, the environment
(EUCA_BOX__SECTION__SETTING), flags. All mistakes are reported at once, with file and line.
"""

import ipaddress
import re
from typing import Any

import attrs

from euca_box.model.network_modes import MODES
from euca_box.model.placement import policy_named
from euca_box.model.quotas import parse_quota

ROLES = ("clc", "walrus", "cc", "sc", "nc")

Check = Any  # a function of the value that raises ValueError with the reason


def setting(default: Any, meaning: str, *, choices: tuple[Any, ...] = (), check: Check = None) -> Any:
    """One setting: attrs field whose metadata is its documentation and its rule."""
    metadata = {"meaning": meaning, "choices": choices, "check": check}
    if isinstance(default, list | dict):
        return attrs.field(factory=lambda: type(default)(default), metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


def at_least(low: float, high: float = float("inf")) -> Check:
    def check(value: float) -> None:
        if not low <= value <= high:
            raise ValueError(
                f"must be at least {low:g}" if high == float("inf") else f"must be {low:g} to {high:g}"
            )

    return check


def shaped(pattern: str, words: str) -> Check:
    def check(value: str) -> None:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must be {words}")

    return check


def _networks(texts: list[str]) -> None:
    for text in texts:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            raise ValueError(f'must be networks like "10.0.0.0/8"; {text!r} is none') from None


def _targets(targets: list[str]) -> None:
    for target in targets:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}=https?://[^\s/]\S*", target):
            raise ValueError("must be NAME=URL each: letters, digits, - and _; http or https")


def _quotas(quotas: list[str]) -> None:
    for quota in quotas:
        parse_quota(quota)


def _network_or_auto(value: str) -> None:
    if value == "auto":
        return
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError(f'must be "auto" or an IPv4 network such as 172.31.0.0/20 ({error})') from None
    if not 16 <= network.prefixlen <= 28:
        raise ValueError("must be a network of /16 to /28")


def _ranges_or_auto(value: str) -> None:
    if value not in ("auto", ""):
        addresses_of(value)


def _address_or_none(value: str) -> None:
    if value:
        ipaddress.IPv4Address(value)


def _mac_map(pairs: list[str]) -> None:
    found = [mac_pair(pair) for pair in pairs]
    if len({mac for mac, _ in found}) < len(found) or len({ip for _, ip in found}) < len(found):
        raise ValueError("must name each MAC and each address once")


def mac_pair(text: str) -> tuple[str, str]:
    """`52:54:00:00:00:01=192.168.7.21`. Raises ValueError."""
    mac, _, address = text.partition("=")
    if not re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", mac.strip().lower()):
        raise ValueError(f"{text[:60]!r} must be MAC=ADDRESS, the MAC of one machine")
    return mac.strip().lower(), str(ipaddress.IPv4Address(address.strip()))


def addresses_of(ranges: str) -> list[str]:
    """`172.30.0.10-172.30.0.99, 10.0.0.7` -> every address, in order. Raises ValueError."""
    found: list[str] = []
    for part in filter(None, (p.strip() for p in ranges.split(","))):
        first, _, last = part.partition("-")
        low = ipaddress.IPv4Address(first.strip())
        if last and "." not in last:
            last = first.rpartition(".")[0] + "." + last.strip()
        high = ipaddress.IPv4Address(last.strip()) if last else low
        if high < low or int(high) - int(low) > 65535:
            raise ValueError(f"{part} is no range of addresses")
        found += [str(ipaddress.IPv4Address(n)) for n in range(int(low), int(high) + 1)]
    return found


@attrs.frozen
class Api:
    """The front ends: EC2, S3, IAM and STS on one port, the console on another"""

    listen: list[str] = setting(
        ["auto"], 'Addresses to listen on. "auto": loopback and every address of this host.'
    )
    port: int = setting(8773, "EC2, S3, IAM and STS, on one root URL.", check=at_least(0, 65535))
    console_port: int = setting(8443, "Web console, always TLS.", check=at_least(0, 65535))
    console_names: list[str] = setting(
        [], "Names under which the web console is reached, beside addresses, localhost and this host's name."
    )
    metadata_port: int = setting(
        8775, "Where the redirect of 169.254.169.254:80 ends on the guests' bridge.", check=at_least(1, 65535)
    )
    tls: str = setting(
        "auto",
        "auto: plain on loopback and on the guests' bridge, TLS elsewhere. on, off: everywhere.",
        choices=("auto", "on", "off"),
    )
    http_engine: str = setting(
        "httptools",
        "What speaks HTTP/1.1: httptools is faster and stricter, h11 is Hypercorn's own.",
        choices=("httptools", "h11"),
    )
    old_signatures: bool = setting(
        False,
        "Also accept signature versions 0 and 1 of EC2; who listens can forge them.",
    )
    legacy_soap: bool = setting(
        False,
        "Also believe SOAP messages signed with RSA-SHA1, and those of S3 over plain HTTP.",
    )
    domain: str = setting("", "Host name under which buckets are BUCKET.DOMAIN. Empty: path style only.")
    metrics_from: list[str] = setting(
        ["127.0.0.0/8", "::1/128"],
        "Networks whose hosts may read /metrics on the console's port; for others there is no such page.",
        check=_networks,
    )
    website_domain: str = setting(
        "",
        "Host name under which buckets are web sites, BUCKET.WEBSITE_DOMAIN; another than domain.",
    )


@attrs.frozen
class Bus:
    """The role bus, by which the hosts of a cloud speak to each other; always TLS"""

    listen: list[str] = setting(
        ["auto"], 'Addresses to listen on for other hosts. "auto": every address of this host but loopback.'
    )
    port: int = setting(8774, "TCP.", check=at_least(0, 65535))
    address: str = setting(
        "",
        "The address of this host that others use. Empty: the first one, or the one that it joined from.",
        check=_address_or_none,
    )


@attrs.frozen
class Cloud:
    """The cloud as its users see it"""

    region: str = setting(
        "us-east-1",
        "Region name that is shown. Any is accepted.",
        check=shaped(r"[a-z0-9-]{1,32}", "a-z 0-9 -"),
    )
    zone: str = setting(
        "us-east-1a",
        "Availability zone of this cluster.",
        check=shaped(r"[a-zA-Z0-9-]{1,32}", "letters, digits, -"),
    )
    account: str = setting(
        "000000000001", "Account of the first administrator.", check=shaped(r"\d{12}", "12 digits")
    )
    id_digits: int = setting(
        8, "Hex digits of new ids: 8 as Eucalyptus had them, 17 as AWS has now.", choices=(8, 17)
    )
    max_instances: int = setting(64, "Instances an account may have at once.", check=at_least(0))
    images_public: bool = setting(
        False,
        "Every account may run a new image, as in Eucalyptus 1.6.2. Else its owner says who may.",
    )
    max_images: int = setting(
        100,
        "Images that the cloud keeps for an account: of bundles and instances, copies. Not its objects.",
        check=at_least(0),
    )
    max_addresses: int = setting(
        5, "Elastic addresses an account may have; administrators have no limit.", check=at_least(0)
    )
    max_key_pairs: int = setting(500, "Key pairs an account may have.", check=at_least(1))
    max_security_groups: int = setting(500, "Security groups an account may have.", check=at_least(1))
    max_group_rules: int = setting(200, "Rules a security group may have.", check=at_least(1))
    launch_seconds: float = setting(
        600.0, "An instance that is still pending after this is given up.", check=at_least(10)
    )
    image_seconds: float = setting(
        3600.0, "An image that is still pending after this is given up.", check=at_least(10)
    )
    max_volumes: int = setting(100, "Volumes an account may have.", check=at_least(0))
    max_volumes_gib: int = setting(
        0, "What all volumes of an account may have together. 0: any size.", check=at_least(0)
    )
    max_snapshots: int = setting(1000, "Snapshots an account may have.", check=at_least(0))
    snapshot_seconds: float = setting(
        86400.0, "A snapshot that is still pending after this is given up.", check=at_least(10)
    )
    volume_seconds: float = setting(
        3600.0, "A volume that is still creating after this is given up.", check=at_least(10)
    )
    attach_seconds: float = setting(
        120.0, "A volume that is still attaching after this is given up.", check=at_least(5)
    )
    sign_up: bool = setting(
        True, "Strangers may ask for an account in the web console; an administrator approves or rejects."
    )
    events_days: float = setting(
        90.0, "How long it is kept what was asked of the cloud and by whom.", check=at_least(0)
    )
    events_most: int = setting(
        1_000_000, "How many of them are kept, half a GiB for a million; the oldest go.", check=at_least(0)
    )
    terminated_seconds: float = setting(
        3600.0, "How long a terminated instance stays in the listing.", check=at_least(0)
    )
    recover_seconds: float = setting(
        0.0,
        "How long a node does not answer until its instances whose root is a volume start on another one; "
        "what was there is cut off from its volumes first. 0: never.",
        check=at_least(0),
    )


@attrs.frozen
class Mail:
    """Mail to who asks for an account, forgets a password, or decides. Without a server none is sent"""

    smtp_host: str = setting("", "The SMTP server. Empty: no mail.")
    smtp_port: int = setting(587, "Its port: 587 with starttls, 465 with tls, 25.", check=at_least(1, 65535))
    tls: str = setting("starttls", "How the connection is protected.", choices=("starttls", "tls", "none"))
    user: str = setting("", "User name at the server. Empty: none is given.")
    password_file: str = setting("", "File with the password at the server; only root should read it.")
    ca_file: str = setting("", "Authority of the server's certificate (PEM). Empty: those of this host.")
    sender: str = setting("", "Address that mail comes from.")
    admin: str = setting("", "Address of who decides over accounts.")
    console_url: str = setting("", "The web console in links. Empty: https://HOST:PORT of this host.")


@attrs.frozen
class Network:
    """Networks of the instances"""

    mode: str = setting(
        "EDGE",
        "Network mode: EDGE, or one of Eucalyptus 1.6. The operator guide says what each can do.",
        choices=tuple(MODES),
    )
    bridge: str = setting(
        "ebr0",
        "Bridge of the guests on this host. In modes STATIC and SYSTEM one of the site's, which is there.",
        check=shaped(r"[a-z][a-z0-9]{0,9}", "a-z 0-9"),
    )
    private_subnet: str = setting(
        "auto",
        "Subnet of the instances. auto: one that clashes with no route of this host.",
        check=_network_or_auto,
    )
    addresses_per_network: int = setting(
        32,
        "Addresses of each group's network, a power of two, in the modes MANAGED and MANAGED-NOVLAN.",
        choices=tuple(2**n for n in range(3, 12)),
    )
    mac_map: list[str] = setting(
        [], "Mode STATIC: MAC=ADDRESS of each instance that there may be.", check=_mac_map
    )
    router: str = setting(
        "",
        "Mode STATIC: the site's router. Empty: the first address of private_subnet.",
        check=_address_or_none,
    )
    private_interface: str = setting(
        "",
        "Interface to the other nodes, for guests of several nodes. Empty: this node is alone.",
        check=shaped(r"[a-zA-Z0-9._-]{0,15}", "the name of an interface"),
    )
    segments: str = setting(
        "vxlan",
        "Mode MANAGED: how groups' networks are told apart between nodes. vlan needs 802.1Q in the kernel "
        "and a switch that lets the tags through.",
        choices=("vxlan", "vlan"),
    )
    tunnel_port: int = setting(
        8776, "UDP port of the tunnels between nodes, the same on all.", check=at_least(1, 65535)
    )
    tunnel_number: int = setting(
        15_400_000,
        "VXLAN network identifier between nodes, the same on all; MANAGED takes the next 4094 too.",
        check=at_least(1, 16_773_000),
    )
    public_addresses: str = setting(
        "auto",
        "Public addresses to hand out: ranges and single ones, with commas. auto: a range that only "
        "this host reaches. Empty: none.",
        check=_ranges_or_auto,
    )
    automatic_public_addresses: bool = setting(
        True, "Every instance gets a public address, unless it is asked for without."
    )
    reserved_public_addresses: int = setting(
        0, "Public addresses kept for instances: accounts cannot allocate these.", check=at_least(0)
    )
    cut_revoked: bool = setting(
        False, "Connections end when the rule that allowed them is revoked. Else they live on, as on AWS."
    )
    uplink: str = setting("", "Interface on which public addresses are answered for. Empty: this host only.")
    dns: list[str] = setting([], "Name servers for the guests. Empty: those of this host.")


_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


@attrs.frozen
class Dns:
    """Names for instances and buckets; off while there is no domain"""

    domain: str = setting(
        "",
        "The cloud's domain, as cloud.example.com: euca-A-B-C-D.eucalyptus.DOMAIN for public addresses, "
        "BUCKET.walrus.DOMAIN for buckets; private ones are in eucalyptus.internal. Empty: off.",
        check=shaped(rf"({_LABEL}(\.{_LABEL})*)?", "a domain, in lower case"),
    )
    listen: list[str] = setting(
        ["auto"], 'Addresses to answer on. "auto": loopback and every address of this host.'
    )
    port: int = setting(53, "UDP and TCP.", check=at_least(0, 65535))
    service_address: str = setting(
        "", "Where walrus.DOMAIN leads. Empty: the first address of this host.", check=_address_or_none
    )


@attrs.frozen
class Walrus:
    """Walrus, the object store"""

    max_image_gib: int = setting(64, "Largest virtual size of an image.", check=at_least(1))
    image_cache_gib: int = setting(
        30, "What images unpacked from bundles may take; the least used go first.", check=at_least(1)
    )
    max_buckets: int = setting(0, "Buckets of an account. 0: any number.", check=at_least(0))
    max_gib: float = setting(
        0.0,
        "What the buckets of an account may hold, all versions and parts counted. 0: any amount.",
        check=at_least(0),
    )
    quotas: list[str] = setting(
        [], "Accounts with limits of their own: ACCOUNT=BUCKETS/GIB, as 000000000002=10/2.5.", check=_quotas
    )
    lifecycle_day_seconds: float = setting(
        86400.0, "How long a day of a lifecycle rule is; shorter to try rules out.", check=at_least(1)
    )
    scrub_mib_per_second: float = setting(
        8.0,
        "How fast all stored bytes are read and compared with their checksums. 0: never.",
        check=at_least(0),
    )
    scrub_days: float = setting(
        30.0, "How long after one such round began the next begins.", check=at_least(0)
    )
    notification_targets: list[str] = setting(
        [],
        "Who buckets may tell of changes: NAME=URL. A bucket names it arn:aws:sns:REGION:ACCOUNT:NAME.",
        check=_targets,
    )


@attrs.frozen
class Cc:
    """Cluster controller"""

    scheduler: str = setting(
        "GREEDY",
        "Which node an instance goes to. GREEDY: the first with room; ROUNDROBIN: the next in turn; SPREAD: "
        "the one with the fewest instances; POWERSAVE: the fullest, and nodes without instances sleep. Or "
        "the name of a policy that is installed beside euca-box.",
        check=policy_named,
    )
    power_idle_seconds: float = setting(
        300.0, "POWERSAVE: how long a node is without instances before it sleeps.", check=at_least(10)
    )
    power_wake_seconds: float = setting(
        300.0, "How long a node that is woken may take until it answers.", check=at_least(10)
    )
    wake_command: list[str] = setting(
        [],
        "Program and arguments that wake a node; {host} and {mac} stand for its own. Empty: Wake-on-LAN. For "
        'IPMI: ["ipmitool", "-I", "lanplus", "-H", "{host}-bmc", "-U", "euca", "-f", "/etc/euca-box/ipmi", '
        '"chassis", "power", "on"].',
    )
    sleep_command: list[str] = setting(
        [],
        "Program and arguments that switch a node off from here; {host} stands for it. Empty: the node's own "
        "nc.sleep_command.",
    )
    cpu_overcommit: float = setting(16.0, "Virtual CPUs for each CPU of a node.", check=at_least(1))
    memory_overcommit: float = setting(
        1.0, "MiB promised for each MiB of a node. Above 1 the host swaps, or ends guests.", check=at_least(1)
    )
    disk_overcommit: float = setting(
        1.0, "GiB promised for each GiB of a node: disks are as large as what is written.", check=at_least(1)
    )
    poll_seconds: float = setting(6.0, "How often the nodes are asked what they run.", check=at_least(0.1))
    cooling_seconds: float = setting(
        60.0, "How long a private address rests before it is used again.", check=at_least(0)
    )


@attrs.frozen
class Sc:
    """Storage controller"""

    max_volume_gib: int = setting(1024, "Largest size of a volume.", check=at_least(1, 65536))
    max_total_gib: int = setting(
        0,
        "What all volumes of the zone may have together. 0: any size; they take what is written.",
        check=at_least(0),
    )
    reserved_disk_gib: int = setting(
        2, "No volume or snapshot is made when no more than this is free.", check=at_least(0)
    )
    cache_gib: float = setting(
        4.0, "Chunks of snapshots that are kept near, for volumes of them. 0: none.", check=at_least(0)
    )
    scrub_mib_per_second: float = setting(
        8.0, "How fast all volumes are read, to find what the disk cannot read. 0: never.", check=at_least(0)
    )
    scrub_days: float = setting(
        30.0, "How long after one such round began the next begins.", check=at_least(0)
    )
    storage_uid: int = setting(
        1_899_999_999,
        "User that storage daemons run as, which no account of the host has. 0: as we do.",
        check=at_least(0),
    )


@attrs.frozen
class Nc:
    """Node controller"""

    hypervisor: str = setting(
        "qemu:///embed", "libvirt URI. qemu:///embed needs no daemon.", check=shaped(r"\S+", "a libvirt URI")
    )
    accelerator: str = setting(
        "auto", "auto: KVM where it works, else TCG, which is slow.", choices=("auto", "kvm", "tcg")
    )
    qemu_uid: int = setting(
        64055, "User and group that QEMU runs as (Debian's libvirt-qemu).", check=at_least(1)
    )
    inject_keys: bool = setting(
        False,
        "Write the SSH key into root file systems (ext, raw) too, for images that do not ask the metadata. "
        "The first start of such an instance copies its image.",
    )
    guest_limits: bool = setting(
        True, "Keep a guest's CPU time and memory to its VM type by control groups, where the host has them."
    )
    first_guest_uid: int = setting(
        1_900_000_000,
        "Each guest's QEMU runs as a user of its own: one of 2^27 numbers from this on, which no account of "
        "the host has. 0: all as qemu_uid.",
        check=at_least(0, 2_013_265_919),
    )
    max_cores: int = setting(0, "Cores to offer. 0: all.", check=at_least(0))
    max_memory_mib: int = setting(
        0, "Memory to offer. 0: all but the reserve, or three quarters of a small host.", check=at_least(0)
    )
    reserved_memory_mib: int = setting(1024, "Memory kept for the host itself.", check=at_least(0))
    max_disk_gib: int = setting(0, "Disk to offer. 0: what is free but the reserve.", check=at_least(0))
    reserved_disk_gib: int = setting(2, "Disk kept free for the host itself.", check=at_least(0))
    cache_gib: int = setting(20, "Image cache of this node.", check=at_least(1))
    reboot_grace_seconds: float = setting(
        20.0, "How long a guest may take to react to RebootInstances before it is reset.", check=at_least(0)
    )
    sleep_command: list[str] = setting(
        [],
        "Policy POWERSAVE: program and arguments that send this host to sleep, such as "
        '["systemctl", "suspend"]. Empty: it does not sleep by itself.',
    )
    wake_interface: str = setting(
        "",
        "Interface whose MAC wakes this host (Wake-on-LAN). Empty: the one with the default route.",
        check=shaped(r"[a-zA-Z0-9._-]{0,15}", "the name of an interface"),
    )
    stop_grace_seconds: float = setting(
        60.0, "How long a guest may take to switch itself off at StopInstances.", check=at_least(0)
    )
    console_kib: int = setting(64, "Console output kept for each instance.", check=at_least(4, 4096))


LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@attrs.frozen
class Log:
    """Logs"""

    level: str = setting("INFO", "How much is logged.", choices=LOG_LEVELS)
    clc: str = setting("", "How much the cloud controller logs. Empty: as level.", choices=("", *LOG_LEVELS))
    walrus: str = setting("", "How much Walrus logs. Empty: as level.", choices=("", *LOG_LEVELS))
    cc: str = setting("", "How much cluster controllers log. Empty: as level.", choices=("", *LOG_LEVELS))
    sc: str = setting("", "How much storage controllers log. Empty: as level.", choices=("", *LOG_LEVELS))
    nc: str = setting("", "How much node controllers log. Empty: as level.", choices=("", *LOG_LEVELS))
    terminal: str = setting(
        "auto",
        "What goes to standard error. auto: for journald if it reads that, else text.",
        choices=("auto", "text", "json", "journal", "off"),
    )
    file_mib: int = setting(
        32, "Size at which logs/euca-box.log, JSON lines, is put aside. 0: no file.", check=at_least(0)
    )
    files: int = setting(4, "How many files that were put aside are kept.", check=at_least(0, 100))


@attrs.frozen
class VmType:
    """cpu, memory_mib, disk_gib, ephemeral_gib, swap_mib"""

    cpu: int = setting(1, "Virtual CPUs.", check=at_least(1, 255))
    memory_mib: int = setting(128, "Memory.", check=at_least(32))
    disk_gib: int = setting(10, "Root disk.", check=at_least(1))
    ephemeral_gib: int = setting(0, "A second disk, formatted and empty. 0: none.", check=at_least(0))
    swap_mib: int = setting(0, "Swap space, a disk of its own. 0: none.", check=at_least(0))


# EUCALYPTUS 1.6.2, section VM types: the first five, editable.
VM_TYPES = {
    "m1.small": VmType(1, 128, 10),
    "c1.medium": VmType(2, 128, 10),
    "m1.large": VmType(2, 512, 10),
    "m1.xlarge": VmType(2, 1024, 10),
    "c1.xlarge": VmType(4, 2048, 10),
    # Names that today's clients ask for by default, with the CPUs and memory that AWS gives them.
    "t2.nano": VmType(1, 512, 10),
    "t2.micro": VmType(1, 1024, 10),
    "t2.small": VmType(1, 2048, 10),
    "t2.medium": VmType(2, 4096, 10),
    "t3.nano": VmType(2, 512, 10),
    "t3.micro": VmType(2, 1024, 10),
    "t3.small": VmType(2, 2048, 10),
    "t3.medium": VmType(2, 4096, 10),
    "m5.large": VmType(2, 8192, 20),
    "m5.xlarge": VmType(4, 16384, 20),
}


@attrs.frozen
class Config:
    """The whole file."""

    roles: list[str] = setting(["all"], "Roles of this process: all, or some of clc, walrus, cc, sc, nc.")
    data_dir: str = setting(
        "", "Where everything is kept. Empty: /var/lib/euca-box, or for a user ~/.local/share/euca-box."
    )
    api: Api = attrs.field(factory=Api)
    bus: Bus = attrs.field(factory=Bus)
    cloud: Cloud = attrs.field(factory=Cloud)
    network: Network = attrs.field(factory=Network)
    mail: Mail = attrs.field(factory=Mail)
    dns: Dns = attrs.field(factory=Dns)
    walrus: Walrus = attrs.field(factory=Walrus)
    cc: Cc = attrs.field(factory=Cc)
    sc: Sc = attrs.field(factory=Sc)
    nc: Nc = attrs.field(factory=Nc)
    log: Log = attrs.field(factory=Log)
    vm_types: dict[str, VmType] = attrs.field(
        factory=lambda: dict(VM_TYPES),
        metadata={"meaning": "VM types. Naming one here replaces the whole list."},
    )
