"""Kernel settings: on our own devices, and ip_forward, the one that belongs to the whole host."""

import logging
from pathlib import Path

from euca_box.net.network import NetError

log = logging.getLogger(__name__)
_ROOT = Path("/proc/sys/net")

_BRIDGE = {
    "ipv4/conf/{device}/forwarding": "1",
    "ipv4/conf/{device}/proxy_arp": "1",  # guests are reached by another device, so the host answers
    "ipv4/neigh/{device}/proxy_delay": "0",  # at once; the default waits up to 0.8 s
    "ipv4/conf/{device}/rp_filter": "1",
    "ipv4/conf/{device}/accept_redirects": "0",
    "ipv4/conf/{device}/send_redirects": "0",
    "ipv6/conf/{device}/disable_ipv6": "1",
}
_WAY_BACK = {
    "ipv4/conf/{device}/forwarding": "1",
    "ipv4/conf/{device}/arp_ignore": "8",  # it hears the bridge's broadcasts, but only the bridge answers
    "ipv4/conf/{device}/rp_filter": "0",
    "ipv6/conf/{device}/disable_ipv6": "1",
}


def set_bridge_sysctls(bridge: str, *, proxy_arp: bool = True) -> list[str]:
    """Routing, proxy ARP, no IPv6. The names of those that were otherwise. Raises NetError."""
    names = {name.format(device=bridge): value for name, value in _BRIDGE.items()}
    names[f"ipv4/conf/{bridge}/proxy_arp"] = "1" if proxy_arp else "0"
    changed = [name for name, value in names.items() if _write_sysctl(name, value)]
    if _write_sysctl("ipv4/ip_forward", "1"):
        log.warning(
            "IPv4 forwarding was off on this host and is now on: guests need it (net.ipv4.ip_forward=1)"
        )
        changed.append("ipv4/ip_forward")
    return changed


def set_way_back_sysctls(device: str) -> None:
    """For the second device of a bridge, by which guests' packets go back to guests. Raises NetError."""
    for name, value in _WAY_BACK.items():
        _write_sysctl(name.format(device=device), value)


def silence_port(device: str) -> None:
    """The host itself says nothing over IPv6 on a guest's port. Raises NetError."""
    _write_sysctl(f"ipv6/conf/{device}/disable_ipv6", "1")


def _write_sysctl(name: str, value: str) -> bool:
    """True when it had another value. A host without IPv6 has no such files."""
    path = _ROOT / name
    try:
        if path.read_text().strip() == value:
            return False
        path.write_text(value)
    except FileNotFoundError:
        if name.startswith("ipv6/"):
            return False
        raise NetError(f"{path} is missing") from None
    except OSError as error:
        raise NetError(f"cannot set {path} to {value}: {error}") from error
    return True
