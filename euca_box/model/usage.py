"""What a guest has used since it was started. Pure values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counters:
    """They grow until the guest is started again, but `memory_mib`: what it takes of the node now.

    In and out are as the guest sees them.
    """

    cpu_seconds: float = 0.0
    memory_mib: int = 0
    disk_read_bytes: int = 0
    disk_written_bytes: int = 0
    net_in_bytes: int = 0
    net_out_bytes: int = 0
