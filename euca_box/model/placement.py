"""Which node an instance goes to: the policies by their names.

A policy is a function. It is given the nodes that have room, those of the settings first, then by their
names, and chooses one. `last` is the address of the node that was chosen before, empty at first.

    def cheapest(offers: Sequence[Offer], last: str) -> Offer: ...

Others are entry points of a package that is installed beside this one, in the group `euca_box.placement`;
`cc.scheduler` names them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

GROUP = "euca_box.placement"


@dataclass(frozen=True, slots=True)
class Offer:
    """A node that has room. Cores after overcommitment, MiB and GiB that nobody was promised."""

    node: str
    awake: bool
    cores_free: float
    memory_free_mib: int
    disk_free_gib: int
    instances: int  # that it has, whether they run or not


Policy = Callable[[Sequence[Offer], str], Offer]


def greedy(offers: Sequence[Offer], last: str) -> Offer:
    """The first that is awake, else the first (Eucalyptus 1.6.2)."""
    return next((offer for offer in offers if offer.awake), offers[0])


def round_robin(offers: Sequence[Offer], last: str) -> Offer:
    """The next after the one used last, among those that are awake (1.6.2 took sleeping ones, too)."""
    ordered = sorted(offers, key=lambda offer: (not offer.awake, offer.node))
    turn = [offer for offer in ordered if offer.awake] or ordered
    return next((offer for offer in turn if offer.node > last), turn[0])


def spread(offers: Sequence[Offer], last: str) -> Offer:
    """The one with the fewest instances, then the most memory: a lost node takes few with it."""
    return min(offers, key=lambda offer: (not offer.awake, offer.instances, -offer.memory_free_mib))


def power_save(offers: Sequence[Offer], last: str) -> Offer:
    """The fullest that is awake, so that others become empty and sleep; else the first, which is woken."""
    awake = [offer for offer in offers if offer.awake]
    return min(awake, key=lambda offer: (offer.instances == 0, offer.memory_free_mib)) if awake else offers[0]


POLICIES: dict[str, Policy] = {
    "GREEDY": greedy,
    "ROUNDROBIN": round_robin,
    "SPREAD": spread,
    "POWERSAVE": power_save,
}


def policy_named(name: str) -> Policy:
    """Raises ValueError, which names the ones there are."""
    if name in POLICIES:
        return POLICIES[name]
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise ValueError(f"{name} is no placement policy; there are {', '.join([*POLICIES, *found])}")
    policy: Policy = found[name].load()
    return policy
