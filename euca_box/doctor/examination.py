"""All checks of a host, in the order in which an operator would look."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from euca_box.config import Config
from euca_box.datadir import DataDir
from euca_box.doctor import clocks, data, disks, machine, ports, secrets
from euca_box.model.findings import Finding, fail

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Host:
    """`running`: by this very process, which holds the ports and the lock."""

    config: Config
    data: DataDir
    roles: tuple[str, ...]
    running: bool


Check = Callable[[Host, bool], Iterable[Finding]]


def examine(host: Host, *, fix: bool = False) -> list[Finding]:
    """A check that breaks is a finding, too. Blocks for a second or so."""
    return [finding for check in CHECKS for finding in _safely(check, host, fix)]


def _safely(check: Check, host: Host, fix: bool) -> Iterator[Finding]:
    name = check.__name__
    try:
        yield from check(host, fix)
    except Exception as error:
        log.exception("the check %s failed", name)
        yield fail(name, f"the check failed: {error}", "The log has the reason: euca-box logs --level ERROR")


CHECKS: tuple[Check, ...] = (
    machine.versions,
    machine.accelerator,
    machine.libvirt,
    machine.forwarding,
    ports.ports,
    ports.other_dhcp,
    clocks.clock,
    disks.room,
    disks.abilities,
    data.databases,
    data.schema,
    secrets.files,
    secrets.certificates,
    ports.names,
    machine.clients,
)
