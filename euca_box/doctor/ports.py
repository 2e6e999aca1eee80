"""Ports that the cloud listens on, other DHCP servers, and the names that should lead here."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from euca_box.model.findings import Finding, fail, ok, warn

if TYPE_CHECKING:
    from euca_box.doctor.examination import Host

DHCP_PORT = 67
LISTENING = "0A"  # proc(5), /proc/net/tcp


def ports(host: "Host", fix: bool) -> Iterator[Finding]:
    """Who has them, while the cloud does not run: itself has them else."""
    if host.running:
        yield ok("ports", "this cloud listens on its ports")
        return
    api, bus, dns = host.config.api, host.config.bus, host.config.dns
    wanted = {api.port: "api.port", api.console_port: "api.console_port", bus.port: "bus.port"}
    if dns.domain:
        wanted[dns.port] = "dns.port"
    for port, setting in wanted.items():
        holder = _holder("tcp", port)
        if holder is None:
            yield ok("ports", f"{setting} {port} is free")
        else:
            advice = f"Stop it, or set {setting} to another port."
            yield fail("ports", f"{setting} {port} is taken by {holder}", advice)


def other_dhcp(host: "Host", fix: bool) -> Iterator[Finding]:
    """A server that answers on every interface also answers guests, with addresses that are not theirs."""
    if "nc" not in host.roles or host.config.network.mode == "SYSTEM":
        return
    for address, inode in _bound("udp", DHCP_PORT):
        program = _program_with(inode)
        if address == "0.0.0.0" and not _is_ours(program, host):  # noqa: S104
            advice = f"Let it listen on its own interfaces only, not on {host.config.network.bridge}."
            text = f"{program or 'another program'} answers DHCP on every interface of this host"
            yield warn("dhcp", text, advice)
            return
    yield ok("dhcp", "no other DHCP server listens on all interfaces of this host")


def names(host: "Host", fix: bool) -> Iterator[Finding]:
    for setting, name in (
        ("api.domain", host.config.api.domain),
        ("api.website_domain", host.config.api.website_domain),
    ):
        if not name:
            continue
        try:
            found = sorted({info[4][0] for info in socket.getaddrinfo(f"x.{name}", None)})
        except OSError:
            advice = f"Add a wildcard record *.{name} to the DNS that leads to this host."
            yield warn("names", f"{setting}: x.{name} leads nowhere", advice)
        else:
            yield ok("names", f"{setting}: x.{name} leads to {', '.join(map(str, found))}")


def _holder(kind: str, port: int) -> str | None:
    """The program that listens there, as far as we may see; None when nobody does."""
    for name in (kind, f"{kind}6"):
        for _, inode in _bound(name, port):
            return _program_with(inode) or "another program"
    return None


def _bound(kind: str, port: int) -> Iterator[tuple[str, str]]:
    """Local address and inode of sockets on the port (proc(5))."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
            fields = line.split()
            address, _, number = fields[1].rpartition(":")
            if int(number, 16) == port and (kind.startswith("udp") or fields[3] == LISTENING):
                ip = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if len(address) == 8 else "::"
                yield ip, fields[9]


def _program_with(inode: str) -> str:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                if os.readlink(descriptor) == f"socket:[{inode}]":
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    return f"{command.strip()[:80]} (process {process.name})"
    return ""


def _is_ours(program: str, host: "Host") -> bool:
    return str(host.data.path) in program or str(host.data.run_dir) in program
