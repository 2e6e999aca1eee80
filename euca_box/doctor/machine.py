"""The machine: kernel, QEMU, libvirt, KVM, forwarding of packets, and the clients that people use."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from euca_box.kvm import accelerator as kvm
from euca_box.model.findings import Finding, fail, ok, warn

if TYPE_CHECKING:
    from euca_box.doctor.examination import Host

SECONDS = 10.0
OLDEST_QEMU, OLDEST_KERNEL = (7, 2), (5, 10)  # Debian 12 and 11
LIBVIRT_SOCKET = Path("/run/libvirt/libvirt-sock")
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def versions(host: "Host", fix: bool) -> Iterator[Finding]:
    kernel = platform.release()
    old = _numbers(kernel) < OLDEST_KERNEL
    yield (
        warn("kernel", f"Linux {kernel} is old", "5.10 or newer is tried.")
        if old
        else ok("kernel", f"Linux {kernel}")
    )
    if "nc" in host.roles:
        yield _program("QEMU", "qemu-system-x86_64", "qemu-system-x86", OLDEST_QEMU)
        yield _program("nftables", "nft", "nftables", (0, 9))
        yield _program("dnsmasq", "dnsmasq", "dnsmasq-base", (2, 80))
    if {"sc", "nc"} & set(host.roles):
        yield _program("qemu-img", "qemu-img", "qemu-utils", OLDEST_QEMU)


def accelerator(host: "Host", fix: bool) -> Iterator[Finding]:
    if "nc" not in host.roles:
        return
    found = kvm.probe()
    if found.name == "kvm":
        nested = next(
            (p.read_text().strip() for p in Path("/sys/module").glob("kvm_*/parameters/nested")), "N"
        )
        yield ok("kvm", f"{found.reason}; nested guests: {'yes' if nested in ('Y', '1') else 'no'}")
    elif host.config.nc.accelerator == "kvm":
        yield fail(
            "kvm", found.reason, "Switch virtualization on in the firmware, or set nc.accelerator to auto."
        )
    else:
        advice = (
            "Guests are emulated (TCG), which is slow. Switch on VT-x or AMD-V, or nested virtualization."
        )
        yield warn("kvm", found.reason, advice)


def libvirt(host: "Host", fix: bool) -> Iterator[Finding]:
    uri = host.config.nc.hypervisor
    if "nc" not in host.roles:
        return
    if not uri.startswith("qemu:///system"):
        yield ok(
            "libvirt", f"{uri} needs no daemon of its own" if "embed" in uri else f"{uri} is another host's"
        )
    elif not LIBVIRT_SOCKET.exists():
        yield fail("libvirt", f"{LIBVIRT_SOCKET} is not there", "Start it: systemctl start libvirtd")
    elif not os.access(LIBVIRT_SOCKET, os.R_OK | os.W_OK):
        yield fail(
            "libvirt", f"{LIBVIRT_SOCKET} may not be opened", "Run as root, or join the group libvirt."
        )
    else:
        yield ok("libvirt", f"{LIBVIRT_SOCKET} opens")


def forwarding(host: "Host", fix: bool) -> Iterator[Finding]:
    """A running node switches it on by itself; a stopped cloud needs it not."""
    if "nc" not in host.roles or host.config.network.mode == "SYSTEM" or not host.running:
        return
    try:
        is_on = FORWARD.read_text().strip() == "1"
    except OSError as error:
        yield warn("forwarding", f"{FORWARD}: {error.strerror}", "Guests reach nothing outside without it.")
        return
    if is_on:
        yield ok("forwarding", "packets are forwarded")
    else:
        advice = "sysctl -w net.ipv4.ip_forward=1, and find out what switches it off (sysctl.d)."
        yield fail("forwarding", "net.ipv4.ip_forward is off: guests reach nothing outside", advice)


def clients(host: "Host", fix: bool) -> Iterator[Finding]:
    text = _version_text("aws")
    if text is None:
        yield ok("awscli", "not installed here; any client of EC2 and S3 will do")
    else:
        yield ok("awscli", text)


def _program(check: str, program: str, package: str, oldest: tuple[int, ...]) -> Finding:
    text = _version_text(program)
    if text is None:
        return fail(check, f"{program} is not installed", f"apt-get install {package}")
    if _numbers(text) < oldest:
        return warn(check, f"{text} is old", f"{'.'.join(map(str, oldest))} or newer is tried.")
    return ok(check, text)


def _version_text(program: str) -> str | None:
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program}: {error}"
    return (done.stdout or done.stderr).strip().partition("\n")[0][:100]


def _numbers(text: str) -> tuple[int, ...]:
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)
