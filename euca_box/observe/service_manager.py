"""What systemd is told: that we are ready, that we still live, that we stop (sd_notify(3))."""

import contextlib
import ctypes
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def notify(*fields: str) -> bool:
    """`READY=1`, `STATUS=...`. Whether somebody listens; never fails."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto("\n".join(fields).encode(), address)
        return True
    return False


def end_with_parent() -> None:
    """Of the one-file program: a kill of the unpacker, which holds nothing, is a kill of this (prctl(2))."""
    if getattr(sys, "frozen", False):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def watchdog_seconds() -> float | None:
    """How often it must hear of us, where it does: a third of its patience."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    # The one-file program is started by its unpacker, whose child it is.
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) in (str(os.getpid()), str(os.getppid()))
    return int(microseconds) / 3e6 if microseconds.isdigit() and int(microseconds) > 0 and ours else None
