"""The way of a packet to an instance, step by step, as the operator is shown it."""

from dataclasses import dataclass

GOOD, BAD, NOTE = "good", "bad", "note"


@dataclass(frozen=True)
class Step:
    """`where`: the role or host. `state`: good, bad (packets stop here), or note (for the operator to judge).

    `command`: what to run next, when it is not good.
    """

    where: str
    what: str
    state: str
    detail: str = ""
    command: str = ""
