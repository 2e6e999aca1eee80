"""What a first start makes: folders, a CA and the server's certificate, the administrator.

Idempotent: what is there stays. The password is answered once and kept only as a hash.
"""

import fcntl
import shutil
import socket
import stat
import struct
import time
from dataclasses import dataclass

from euca_box import membership
from euca_box.auth import certificates, secrets
from euca_box.config import Config
from euca_box.datadir import DataDir, DataDirError
from euca_box.roles.clc import role as clc_role
from euca_box.roles.clc import users
from euca_box.store.sqlite_store import open_store

SIOCGIFADDR = 0x8915  # linux/sockios.h
MARKER = "initialised.json"


@dataclass(frozen=True)
class Made:
    """`password` is set when the administrator was made just now."""

    password: str | None = None


async def initialise(config: Config, data: DataDir, roles: tuple[str, ...]) -> Made:
    """Raises DataDirError, StoreError."""
    data.make()
    if "nc" in roles:
        _check_passable(data, config.nc.qemu_uid)
    if membership.find(data) is None:  # else the cloud's authority has certified this host
        make_tls(config, data)
    _check_not_lost(data, roles)
    if "clc" not in roles:
        return Made()
    store = await open_store(data.path / "clc" / "clc.db", clc_role.MIGRATIONS)
    try:
        password = secrets.new_password()
        sealer = secrets.Sealer(secrets.load_or_make_key(data.path / "master.key"))
        made = await users.make_admin(store, sealer, config.cloud.account, time.time(), password)
    finally:
        await store.close()
    if not (data.path / MARKER).exists():
        data.write_json(MARKER, {"account": config.cloud.account, "region": config.cloud.region})
    return Made(password if made else None)


def make_tls(config: Config, data: DataDir) -> None:
    """CA, identity and cloud key once, the server's certificate whenever this host is named anew."""
    ca, ca_key = data.path / "ca.pem", data.path / "ca.key"
    if not (ca.exists() and ca_key.exists()):
        certificates.make_ca(ca, ca_key)
    names = [*host_addresses(), "127.0.0.1", "localhost", socket.gethostname()]
    if config.api.domain:
        names += [config.api.domain, f"*.{config.api.domain}"]
    certificate, key = data.tls
    if not (key.exists() and certificates.covers(certificate, names)):
        certificates.issue(ca, ca_key, certificate, key, names)
    certificate, key = data.identity
    if not (certificate.exists() and key.exists()):
        certificates.issue_identity(ca, ca_key, certificate, key)
    certificate, key = data.cloud
    if not (certificate.exists() and key.exists()):
        certificates.issue_cloud(ca, ca_key, certificate, key)


def host_addresses(without: str = "") -> list[str]:
    """The IPv4 address of each interface but loopback, and but the one named."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)
            except OSError:
                continue  # no address
            address = socket.inet_ntoa(answer[20:24])
            if name != without and not address.startswith("127."):
                found.append(address)
    return found


def _check_passable(data: DataDir, uid: int) -> None:
    """QEMU runs as a user of its own and must be able to enter every folder above its disks."""
    for folder in data.path.parents:
        if not folder.stat().st_mode & stat.S_IXOTH:
            raise DataDirError(
                f"QEMU runs as user {uid}, which cannot enter {folder}. Let it pass (chmod o+x {folder}), "
                "or choose another place with --data-dir."
            )


def _check_not_lost(data: DataDir, roles: tuple[str, ...]) -> None:
    """A cloud whose rows were lost must not start as a new one beside the old objects and instances: what no
    row names would be removed."""
    lost = [
        role
        for role, is_used in (
            ("clc", (data.path / MARKER).exists()),
            ("walrus", any((data.path / "walrus" / "objects").glob("[0-9a-f][0-9a-f]/*"))),
        )
        if role in roles and is_used and not (data.path / role / f"{role}.db").exists()
    ]
    if lost:
        path = data.path / lost[0] / f"{lost[0]}.db"
        raise DataDirError(
            f"{path} is missing, but this cloud was initialised. Restore it from a backup, "
            f"or begin anew with another --data-dir."
        )
    if shutil.disk_usage(data.path).free < 64 * 1024 * 1024:
        raise DataDirError(
            f"less than 64 MiB are free on the disk of {data.path}. Make room and start again."
        )
