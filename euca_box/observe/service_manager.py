"""What systemd is told: that we are ready, that we still live, that we stop (sd_notify(3))."""

import contextlib
import os
import socket


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


def watchdog_seconds() -> float | None:
    """How often it must hear of us, where it does: a third of its patience."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 3e6 if microseconds.isdigit() and int(microseconds) > 0 and ours else None
