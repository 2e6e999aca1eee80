"""Addresses and names for the guests: one dnsmasq on our bridge, which goes on when this process ends.

dnsmasq(8) notices new files in its hosts directory; what was removed it forgets on SIGHUP. Its leases are
written nowhere that matters: every guest's address is fixed by its file, so that `run_dir` may be empty after
a reboot.
"""

import logging
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from euca_box.net.dhcp_release import release_lease
from euca_box.net.network import ONE_NETWORK, NetError, NetworkSettings, Port, gateway_of, network_of

log = logging.getLogger(__name__)

LEASE_SECONDS = 1200  # as Eucalyptus 1.6
_START_SECONDS = 10
_STOP_SECONDS = 5
USUAL_MTU = 1500


class DhcpServer:
    """Started, adopted and fed by us, but nobody's child. Blocks; raises NetError."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._settings = settings
        self._directory = settings.run_dir / settings.bridge
        self._hosts = self._directory / "hosts"
        self._networks: dict[int, Port] = {}  # a port of each network of a group, by its tag
        self._mtu: int | None = None
        self._pid_file = self._directory / "dnsmasq.pid"

    def prepare(self, ports: Iterable[Port], mtu: int | None = None) -> None:
        """Make the hosts directory as it should be, and one server run with our arguments.

        `mtu`: what guests are told that fits on their link, where it is less than usual.
        """
        self._mtu = mtu if mtu is not None and mtu < USUAL_MTU else None
        # dnsmasq reads as an ordinary user: nothing here is secret, and every directory must let it through.
        for directory in (*reversed(self._hosts.parents), self._hosts):
            if not directory.exists():
                directory.mkdir()
                directory.chmod(0o755)
        wanted = {port.instance_id: port for port in ports}
        self._networks = {port.tag: port for port in wanted.values() if port.network}
        for path in self._hosts.iterdir():
            if path.name not in wanted:
                path.unlink()
        for port in wanted.values():
            self.add_host(port)
        pid = self._running()
        if pid is not None and _command_line(pid) == self.command():
            os.kill(pid, signal.SIGHUP)
            return
        self.stop()
        self._end_abandoned()
        self._start()

    def revive(self) -> bool:
        """Start the server again when it has ended; whether that was so."""
        if self._running() is not None:
            return False
        self.stop()  # waits for one that is just ending
        self._start()
        return True

    def is_running(self) -> bool:
        return self._running() is not None

    def has_lease(self, port: Port) -> bool:
        """Whether the guest has asked and was answered, as far as the server remembers."""
        try:
            return f" {port.mac} {port.private_ip} " in (self._directory / "leases").read_text()
        except OSError:
            return False

    def add_host(self, port: Port) -> None:
        """From now on the port's MAC is offered its address."""
        line = f"{port.mac},{port.private_ip},{port.hostname},{LEASE_SECONDS}\n"
        try:
            self._write(self._hosts / port.instance_id, line)
        except OSError as error:
            raise NetError(f"cannot add the DHCP host of {port.instance_id}: {error}") from error

    def set_networks(self, ports: Iterable[Port]) -> None:
        """To be called with all ports when a group's network came or went: the server starts again with them.

        In the MANAGED modes, as in Eucalyptus 1.6; what it has given out stays given out.
        """
        self._networks = {port.tag: port for port in ports if port.network}
        pid = self._running()
        if pid is None or _command_line(pid) != self.command():
            self.stop()
            self._start()

    def _write(self, path: Path, text: str) -> None:
        if path.exists() and path.read_text() == text:
            return
        fresh = self._directory / f"{path.name}.new"
        fresh.write_text(text)
        fresh.chmod(0o644)
        fresh.replace(path)

    def forget_host(self, port: Port) -> None:
        """As remove_host, where the site's bridge has no gateway of ours to tell."""
        (self._hosts / port.instance_id).unlink(missing_ok=True)
        pid = self._running()
        if pid is not None:
            os.kill(pid, signal.SIGHUP)

    def remove_host(self, port: Port, bridge: str) -> None:
        """The MAC is offered nothing, and the address is free for the next MAC at once."""
        (self._hosts / port.instance_id).unlink(missing_ok=True)
        pid = self._running()
        if pid is not None:
            os.kill(pid, signal.SIGHUP)
            server = gateway_of(self._settings, port)
            release_lease(bridge, server, port.private_ip, port.mac)

    def stop(self) -> None:
        """End our server, if one runs, and wait until its sockets are free."""
        pid = self._recorded_pid()
        if pid is None or not (self._is_ours(pid) or _is_exiting(pid)):
            return
        if self._is_ours(pid):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while _is_alive(pid) and (self._is_ours(pid) or _is_exiting(pid)):
            if time.monotonic() > deadline:
                raise NetError(f"dnsmasq {pid} does not end")
            time.sleep(0.01)

    def _end_abandoned(self) -> None:
        """End servers that a cloud with other data left on this bridge: who holds the bridge's lock is its
        only owner, and two servers cannot have one address."""
        interface = f"--interface={self._settings.bridge}"
        for folder in Path("/proc").glob("[0-9]*"):
            arguments = _command_line(int(folder.name))
            if arguments[:1] != ["dnsmasq"] or not any(a.rstrip("*") == interface for a in arguments):
                continue
            if any(a.endswith(f"/{self._settings.bridge}/dnsmasq.pid") for a in arguments) and _is_here(
                folder
            ):
                log.warning(
                    "dnsmasq %s was left on %s by another cloud; ended", folder.name, self._settings.bridge
                )
                os.kill(int(folder.name), signal.SIGTERM)
                _wait_gone(int(folder.name))

    def remove(self) -> None:
        self.stop()
        for path in self._hosts.glob("*"):
            path.unlink(missing_ok=True)
        for path in self._directory.glob("*"):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        with suppress(OSError):
            self._directory.rmdir()

    def command(self) -> list[str]:
        """The whole configuration is in the arguments, so that an equal command line is an equal server."""
        settings = self._settings
        resolvers = [f"--server={address}" for address in settings.dns]
        return [
            "dnsmasq",
            "--conf-file=/dev/null",
            f"--pid-file={self._pid_file}",
            f"--user={_unprivileged_user()}",
            f"--interface={settings.bridge}{'*' if settings.mode == 'MANAGED' else ''}",
            "--except-interface=lo",
            "--bind-interfaces" if settings.mode in ONE_NETWORK else "--bind-dynamic",
            *(["--port=0"] if settings.mode == "STATIC" else []),  # the site has its own name servers
            "--no-hosts",
            "--no-ping",
            "--quiet-dhcp",
            "--dhcp-authoritative",
            *self._ranges(),
            f"--dhcp-hostsdir={self._hosts}",
            *([f"--dhcp-option=option:mtu,{self._mtu}"] if self._mtu else []),
            f"--dhcp-leasefile={self._directory / 'leases'}",
            f"--dhcp-lease-max={settings.subnet.num_addresses}",
            *_resolvers_told(settings),
            f"--domain={settings.domain}",
            *(f"--server=/{domain}/{settings.name_server}" for domain in settings.own_domains),
            *([] if settings.domain in settings.own_domains else [f"--local=/{settings.domain}/"]),
            "--domain-needed",
            "--bogus-priv",
            *(["--no-resolv", *resolvers] if resolvers else []),
        ]

    def _ranges(self) -> Iterator[str]:
        """Where the guests are, and by which router they leave. In the MANAGED modes one for each group."""
        settings = self._settings
        if settings.mode in ONE_NETWORK or not self._networks:
            subnet = settings.subnet
            yield f"--dhcp-range={subnet.network_address},static,{subnet.netmask},{LEASE_SECONDS}"
            yield f"--dhcp-option=option:router,{settings.gateway}"
            return
        for tag, port in sorted(self._networks.items()):
            network = network_of(settings, port)
            yield f"--dhcp-range=set:net{tag},{network[0]},static,{network.netmask},{LEASE_SECONDS}"
            yield f"--dhcp-option=tag:net{tag},option:router,{network[1]}"

    def _start(self) -> None:
        try:
            started = subprocess.run(
                self.command(),
                capture_output=True,
                text=True,
                timeout=_START_SECONDS,
                stdin=subprocess.DEVNULL,
            )
        except FileNotFoundError as error:
            raise NetError("dnsmasq is missing; install the package dnsmasq-base") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NetError(f"dnsmasq does not start: {error}") from error
        if started.returncode:
            raise NetError(f"dnsmasq does not start: {started.stderr.strip()[:500]}")

    def _running(self) -> int | None:
        pid = self._recorded_pid()
        return pid if pid is not None and self._is_ours(pid) else None

    def _recorded_pid(self) -> int | None:
        try:
            return int(self._pid_file.read_text())
        except (OSError, ValueError):
            return None

    def _is_ours(self, pid: int) -> bool:
        """A dnsmasq that has our pid file in its arguments; the kernel uses numbers again."""
        arguments = _command_line(pid)
        return arguments[:1] == ["dnsmasq"] and f"--pid-file={self._pid_file}" in arguments


def _resolvers_told(settings: NetworkSettings) -> list[str]:
    """Guests ask us, where we answer; without `dns` in mode STATIC they are told no name server."""
    if settings.mode != "STATIC":
        return [f"--dhcp-option=option:dns-server,{settings.gateway}"]
    return [f"--dhcp-option=option:dns-server,{','.join(settings.dns)}"]


def _unprivileged_user() -> str:
    for name in ("dnsmasq", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NetError("this host has neither a user dnsmasq nor nobody")


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def _is_here(process: Path) -> bool:
    """Whether the process is in our network namespace."""
    with suppress(OSError):
        return os.readlink(process / "ns" / "net") == os.readlink("/proc/thread-self/ns/net")
    return False


def _wait_gone(pid: int) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while _is_alive(pid):
        if time.monotonic() > deadline:
            raise NetError(f"dnsmasq {pid} does not end")
        time.sleep(0.01)


def _is_exiting(pid: int) -> bool:
    """A process gives its memory back, and so its command line, before its sockets."""
    return _command_line(pid) == [""]


def _is_alive(pid: int) -> bool:
    """Whether it may still hold its sockets: a zombie, which nobody may reap, does not (proc(5), stat)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
