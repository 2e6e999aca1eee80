"""The clock: signatures are good for minutes, messages between hosts for one."""

import ctypes
from collections.abc import Iterator
from typing import TYPE_CHECKING

from euca_box.model.findings import Finding, ok, warn

if TYPE_CHECKING:
    from euca_box.doctor.examination import Host

TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized
_TIMEX_BYTES = 512  # more than struct timex has; modes, its first field, is 0: only look


def clock(host: "Host", fix: bool) -> Iterator[Finding]:
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state == TIME_ERROR:
        advice = "Let chrony or systemd-timesyncd set it: timedatectl set-ntp true"
        yield warn("clock", "nothing keeps the clock of this host right", advice)
    else:
        yield ok("clock", "the clock is kept right")
