"""What an elastic address is (EC2 2016-11-15 Address), as the CLC keeps it.

The wish is here: `instance_id` names who shall have the address. The cluster holds the pool and follows.
"""

from dataclasses import dataclass, replace

DOMAINS = ("vpc", "standard")


@dataclass(frozen=True, slots=True)
class Address:
    """One address of an account. `association_id` and `instance_id` are set together or not at all."""

    allocation_id: str
    account: str
    public_ip: str
    allocated_at: float
    domain: str = "vpc"
    association_id: str | None = None
    instance_id: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    zone: str = ""  # whose it is; empty: the configured one's


def freed(address: Address) -> Address:
    """The same address, associated with nothing."""
    return replace(address, association_id=None, instance_id=None)
