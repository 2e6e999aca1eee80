"""The network modes of Eucalyptus 1.6 and EDGE of Eucalyptus 4: what users have in each, and what not."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NetworkMode:
    """`groups`: security groups are enforced. `public`: there are public and elastic addresses.

    `metadata`: guests reach it at 169.254.169.254. `network_for_each_group`: an instance has one group, for
    its whole life, and its members reach each other. `chooses`: the user may choose the private address.
    """

    name: str
    groups: bool
    public: bool
    metadata: bool
    network_for_each_group: bool
    chooses: bool


MODES = {
    mode.name: mode
    for mode in (
        NetworkMode("EDGE", True, True, True, False, True),
        NetworkMode("MANAGED", True, True, True, True, False),
        NetworkMode("MANAGED-NOVLAN", True, True, True, True, False),
        NetworkMode("STATIC", False, False, False, False, False),
        NetworkMode("SYSTEM", False, False, False, False, False),
    )
}
FIRST_TAG = 3  # the first part of the subnet, of tag 2, is the host's own
LAST_TAG = 4094


def networks_in(addresses: int, size: int) -> int:
    """The last tag that has a part of the subnet: tag t owns the part t - 2 (Eucalyptus 1.6)."""
    return min(addresses // size + 1, LAST_TAG)
