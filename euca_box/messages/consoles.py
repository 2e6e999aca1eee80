"""Where the console of a guest is, for whoever shows it."""

from dataclasses import dataclass

from euca_box.messages.base import Op


@dataclass(frozen=True)
class ConsolePlace:
    """Addresses on the bus: of the cluster controller, and of the node; empty while it has none."""

    cc: str
    node: str


@dataclass(frozen=True)
class FindConsole(Op[ConsolePlace], role="clc", timeout=10):
    """InvalidInstanceID.NotFound also for another account's."""

    instance_id: str
