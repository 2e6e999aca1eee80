"""What every role answers, whatever it is: for the operator, who asks each at its own address.

Eucalyptus 1.6.2 had a service of its own for it beside each component ("GL": GetLogs, GetKeys).
"""

from dataclasses import dataclass

from euca_box.messages.base import Op
from euca_box.model.findings import Finding
from euca_box.model.stories import Story


@dataclass(frozen=True)
class LogLines:
    """JSON lines, the oldest first. `cursor` asks for what comes behind them."""

    host: str
    lines: tuple[str, ...]
    cursor: str


@dataclass(frozen=True)
class GetLogs(Op[LogLines], role="service", timeout=60):
    """The newest lines of the role and of its process. `about` is a part of the message; `level` the lowest.

    With `after`, only what came behind it, and it waits so long for something to come.
    """

    request: str = ""
    about: str = ""
    since: float = 0.0
    level: str = ""
    most: int = 500
    process: bool = True  # lines that belong to no role, too
    after: str = ""
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class SettingRow:
    """`value` and `configured` are JSON: what is in force or will be, and what the configuration files say.

    `waits`: it is in force at the next start. `changed_by` is empty where nothing was changed.
    """

    name: str
    value: str
    configured: str
    meaning: str
    choices: tuple[str, ...] = ()
    waits: bool = False
    needs_restart: bool = False
    changed_at: float = 0.0
    changed_by: str = ""


@dataclass(frozen=True)
class RoleSettings:
    role: str
    host: str
    settings: tuple[SettingRow, ...]


@dataclass(frozen=True)
class GetSettings(Op[RoleSettings], role="service"):
    """The settings that the role keeps itself, all or those of these names."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChangeSettings(Op[RoleSettings], role="service"):
    """Name and value as typed. All are taken or none; the same again changes nothing. Answers those rows."""

    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ResetSettings(Op[RoleSettings], role="service"):
    """As the configuration files say again."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class TellStory(Op[Story], role="service", timeout=60):
    """What the role knows of a thing, by its id: an instance, a volume, a request, a node, an address..."""

    thing: str


@dataclass(frozen=True)
class Findings:
    host: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Examine(Op[Findings], role="service", timeout=60):
    """Look for what is wrong with the role; `process`: with its host, too. `fix`: put right what can be."""

    process: bool = True
    fix: bool = False
