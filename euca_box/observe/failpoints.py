"""Failpoints: named places where a test may kill, fail or delay the program (after etcd's gofail).

    fp("clc.run.after-commit")

Nothing happens unless the name is armed: by a test, or for a process of its own by the environment,
`EUCA_BOX_FAILPOINTS="clc.run.after-commit=kill;nc.stage=fail"`.
"""

import os
import signal
from collections.abc import Callable

VARIABLE = "EUCA_BOX_FAILPOINTS"


class FailpointError(Exception):
    """What an armed failpoint with the action `fail` raises."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


_armed: dict[str, Callable[[], None]] = {}


def fp(name: str) -> None:
    """Run what is armed at this place."""
    if _armed and (action := _armed.get(name)) is not None:
        action()


def arm(name: str, action: Callable[[], None] | str = "fail") -> None:
    """Arm one place: `kill`, `fail`, or a function."""
    if callable(action):
        _armed[name] = action
    elif action == "kill":
        _armed[name] = _kill
    elif action == "fail":

        def fail() -> None:
            raise FailpointError(name)

        _armed[name] = fail
    else:
        raise ValueError(f"failpoint {name}: {action} is neither kill nor fail")


def disarm_all() -> None:
    _armed.clear()


def arm_from_environment() -> None:
    """Arm what the environment asks for; called once by `run`."""
    for part in filter(None, os.environ.get(VARIABLE, "").split(";")):
        name, _, action = part.partition("=")
        arm(name.strip(), action.strip() or "fail")
