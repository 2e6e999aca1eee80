"""How a node's host is woken or switched off: Wake-on-LAN, or a command of the operator (ipmitool, ...)."""

import logging
import re
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from euca_box.net.links import Links
from euca_box.net.network import NetError

log = logging.getLogger(__name__)

COMMAND_SECONDS = 60.0
DISCARD_PORT = 9  # where magic packets are sent by custom; who listens there does not matter
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Power(Protocol):
    """Raises NetError when what was tried failed; nothing tells whether a host heard it."""

    @property
    def can_switch_off(self) -> bool:
        """Whether `switch_off` does anything; else the node has to do it itself."""

    async def wake(self, host: str, mac: str) -> None: ...

    async def switch_off(self, host: str) -> None: ...


@dataclass(frozen=True)
class HostPower:
    """argv of commands, in which {host} and {mac} stand for the node's; empty: Wake-on-LAN, and no switching
    off. They get no shell."""

    wake_command: Sequence[str] = ()
    sleep_command: Sequence[str] = ()

    @property
    def can_switch_off(self) -> bool:
        return bool(self.sleep_command)

    async def wake(self, host: str, mac: str) -> None:
        if self.wake_command:
            await run_command(filled(self.wake_command, host, mac))
        else:
            await trio.to_thread.run_sync(send_magic_packets, mac)

    async def switch_off(self, host: str) -> None:
        await run_command(filled(self.sleep_command, host, ""))


def filled(command: Sequence[str], host: str, mac: str) -> list[str]:
    """The argv for one node. What could be read as anything but the name of a host is refused."""
    if not _HOST.fullmatch(host):
        raise NetError(f"{host!r} is not the name of a host")
    return [word.replace("{host}", host).replace("{mac}", mac) for word in command]


async def run_command(argv: Sequence[str]) -> None:
    """Raises NetError with what it said last."""
    try:
        with trio.fail_after(COMMAND_SECONDS):
            done = await trio.run_process(
                list(argv), stdin=b"", capture_stdout=True, capture_stderr=True, check=False
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise NetError(f"{argv[0]} cannot be run: {error}") from error
    except trio.TooSlowError:
        raise NetError(f"{argv[0]} did not end within {COMMAND_SECONDS:g} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout or b"").decode(errors="replace").strip().splitlines()
        raise NetError(f"{argv[0]} ended with {done.returncode}: {(said or ['nothing'])[-1][:200]}")


def magic_packet(mac: str) -> bytes:
    """Six bytes of ones, sixteen times the address (AMD, Magic Packet Technology, 1995). Raises NetError."""
    if not _MAC.fullmatch(mac):
        raise NetError(f"{mac!r} is no MAC address, so its host cannot be woken")
    return b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) * 16


def send_magic_packets(mac: str) -> None:
    """Once into every subnet of this host (Eucalyptus 1.6.2). Raises NetError when none took it."""
    packet, sent = magic_packet(mac), 0
    for device, broadcast in _subnets():
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as udp:
                udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
                udp.sendto(packet, (broadcast, DISCARD_PORT))
            sent += 1
        except OSError as error:
            log.debug("no magic packet by %s: %s", device, error)
    if not sent:
        raise NetError("no interface of this host took the magic packet")


def wake_mac(device: str) -> str:
    """The MAC that wakes this host: of the interface named, else of the one with the default route; empty
    when there is none. Blocks. Raises NetError."""
    links = Links()
    try:
        found = device or links.default_device()
        return links.mac_of(found) if found else ""
    finally:
        links.close()


def _subnets() -> list[tuple[str, str]]:
    links = Links()
    try:
        return links.broadcast_addresses()
    finally:
        links.close()
