"""Which settings each role keeps, so that they can be changed while it runs, and how each takes effect.

What is not here stands in the configuration files only: ports, paths, programs that run as root, and what a
cloud cannot change once it has instances (zone, account, networks).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from euca_box.config import Config, Walrus
from euca_box.model.placement import policy_named
from euca_box.model.quotas import Quota, Quotas, parse_quota
from euca_box.observe import logs

GIB = 1 << 30

Apply = Callable[[Any, Any, Config], bool]  # role, value, all settings -> whether it is in force now


def quotas_of(walrus: Walrus) -> Quotas:
    everybody = Quota(walrus.max_buckets, int(walrus.max_gib * GIB))
    return Quotas(everybody, dict(parse_quota(text) for text in walrus.quotas))


def _field(name: str, unit: int = 1) -> Apply:
    """A field of the role's settings of that name, in the setting's unit or one so many times smaller."""

    def apply(role: Any, value: Any, _: Config) -> bool:
        role.settings = replace(role.settings, **{name: value if unit == 1 else int(value * unit)})
        return True

    return apply


def _later(role: Any, value: Any, config: Config) -> bool:
    return False


def _level(role: str) -> Apply:
    def apply(_: Any, value: Any, __: Config) -> bool:
        logs.set_level(role, value)
        return True

    return apply


def _quotas(role: Any, _: Any, config: Config) -> bool:
    return bool(role.vault.limit(quotas_of(config.walrus)))


def _scheduler(role: Any, value: str, _: Config) -> bool:
    role.policy = policy_named(value)
    return _field("scheduler")(role, value, _)


def _nc_cache(role: Any, value: Any, _: Config) -> bool:
    role.cache.limit_bytes = value * GIB
    return True


def _fields(section: str, *names: str) -> dict[str, Apply]:
    return {f"{section}.{name}": _field(name) for name in names}


KEPT: Mapping[str, Mapping[str, Apply]] = {
    "clc": {
        **_fields(
            "cloud", "max_instances", "images_public", "max_images", "max_addresses", "max_key_pairs",
            "max_security_groups", "max_group_rules", "launch_seconds", "image_seconds", "max_volumes",
            "max_volumes_gib", "max_snapshots", "snapshot_seconds", "volume_seconds", "attach_seconds",
            "events_days", "events_most", "terminated_seconds",
        ),
        "cloud.sign_up": _later,
        "network.automatic_public_addresses": _field("automatic_public_addresses"),
        "mail.smtp_host": _later,
        "mail.smtp_port": _later,
        "mail.tls": _later,
        "mail.user": _later,
        "mail.sender": _later,
        "mail.admin": _later,
        "mail.console_url": _later,
        "log.clc": _level("clc"),
    },
    "walrus": {
        "walrus.max_image_gib": _field("max_image_bytes", GIB),
        "walrus.image_cache_gib": _field("image_cache_bytes", GIB),
        "walrus.max_buckets": _quotas,
        "walrus.max_gib": _quotas,
        "walrus.quotas": _quotas,
        "walrus.lifecycle_day_seconds": _later,
        "walrus.scrub_mib_per_second": _field("scrub_mib_per_second"),
        "walrus.scrub_days": _field("scrub_days"),
        "log.walrus": _level("walrus"),
    },
    "cc": {
        **_fields(
            "cc", "cpu_overcommit", "memory_overcommit", "disk_overcommit", "power_idle_seconds",
            "power_wake_seconds", "poll_seconds", "cooling_seconds",
        ),
        "cc.scheduler": _scheduler,
        "network.reserved_public_addresses": _field("reserved_addresses"),
        "log.cc": _level("cc"),
    },
    "sc": {
        **_fields("sc", "max_volume_gib", "max_total_gib", "reserved_disk_gib"),
        "sc.cache_gib": _later,
        "log.sc": _level("sc"),
    },
    "nc": {
        **_fields("nc", "reserved_memory_mib", "reserved_disk_gib", "reboot_grace_seconds",
                  "stop_grace_seconds", "inject_keys"),
        "nc.max_cores": _field("cores"),
        "nc.max_memory_mib": _field("memory_mib"),
        "nc.max_disk_gib": _field("disk_gib"),
        "nc.cache_gib": _nc_cache,
        "nc.console_kib": _later,
        "log.nc": _level("nc"),
    },
}  # fmt: skip
