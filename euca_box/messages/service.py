"""What every role answers, whatever it is: for the operator, who asks each at its own address.

Eucalyptus 1.6.2 had a service of its own for it beside each component ("GL": GetLogs, GetKeys).
"""

from dataclasses import dataclass

from euca_box.messages.base import Op


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
