"""Private and public addresses: an address has one owner, and rests before it gets the next one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from euca_box.messages.instance_spec import InstanceSpec
from euca_box.model.ec2_errors import InsufficientInstanceCapacity, InvalidIPAddressInUse
from euca_box.model.network_modes import MODES
from euca_box.roles.cc import networks
from euca_box.roles.cc.private_pool import PrivatePool
from euca_box.store.store import Statement

if TYPE_CHECKING:
    from euca_box.roles.cc.role import Cc


@dataclass(frozen=True)
class Place:
    """The private side of a placement, and the rows that claim more than the address."""

    private_ip: str
    network: str = ""
    tag: int = 0
    mac: str = ""
    claims: tuple[Statement, ...] = ()


async def choose_place(cc: "Cc", spec: InstanceSpec) -> Place:
    """What the network mode gives the instance. To be called under `placing`.

    Raises InvalidIPAddressInUse, InsufficientInstanceCapacity.
    """
    mode = MODES[cc.settings.network_mode]
    if mode.name == "SYSTEM":
        return Place("")
    if mode.name == "STATIC":
        return await _choose_pair(cc)
    if not mode.network_for_each_group:
        return Place(await choose_private(cc, spec.wanted_private_ip))
    found = await networks.network_for(cc, spec)
    taken = await _taken(cc)
    hosts = list(found.network.hosts())[1:]  # the first is the gateway
    free = next((str(host) for host in hosts if str(host) not in taken), None)
    if free is None:
        raise InsufficientInstanceCapacity(f"All addresses of the group's network {found.network} are taken.")
    return Place(free, str(found.network), found.tag, claims=(found.claim(),))


async def _choose_pair(cc: "Cc") -> Place:
    """The first pair of MAC and address of the site's map that no instance has."""
    taken = await _taken(cc)
    for mac, ip in cc.settings.mac_map:
        if ip not in taken:
            return Place(ip, mac=mac)
    raise InsufficientInstanceCapacity("All addresses of the site's map are taken.")


async def choose_private(cc: "Cc", wanted: str | None = None) -> str:
    """The one wanted if it has no owner, else the lowest that has none and has rested.

    Raises InvalidIPAddressInUse, InsufficientInstanceCapacity.
    """
    if wanted is not None:
        owned = "SELECT 1 FROM private_address WHERE ip = ? AND instance_id IS NOT NULL"
        if await cc.store.read(owned, wanted):
            raise InvalidIPAddressInUse(wanted)
        return wanted
    if cc.private_pool is None:
        rows = await cc.store.read("SELECT ip, instance_id, free_after FROM private_address")
        pool = PrivatePool(cc.settings.subnet, cc.settings.gateway)
        pool.load((row["ip"], row["instance_id"], row["free_after"]) for row in rows)
        cc.private_pool = pool
    if (lowest := cc.private_pool.lowest(cc.now())) is None:
        raise InsufficientInstanceCapacity(f"All private addresses of {cc.settings.subnet} are taken.")
    return lowest


async def _taken(cc: "Cc") -> set[str]:
    """Private addresses that an instance has, or that still rest."""
    rows = await cc.store.read(
        "SELECT ip FROM private_address WHERE instance_id IS NOT NULL OR free_after > ?", cc.now()
    )
    return {row["ip"] for row in rows} | {cc.settings.gateway}


async def choose_public(cc: "Cc") -> str | None:
    """A public address without an owner, or None when there is none: the instance starts without."""
    return next(iter(await free_public(cc)), None)


async def free_public(cc: "Cc") -> list[str]:
    """The addresses of the pool that neither an instance nor an account has, in order."""
    rows = await cc.store.read("SELECT ip FROM public_address WHERE instance_id IS NOT NULL")
    taken = {row["ip"] for row in rows} | {address.public_ip for address in cc.elastic.values()}
    return [ip for ip in cc.settings.public_addresses if ip not in taken]


def claim(instance_id: str, place: Place, public_ip: str | None) -> list[Statement]:
    """Statements that give the addresses to the instance; part of the transaction that places it."""
    claims = list(place.claims)
    if place.private_ip:
        claims.append(
            Statement(
                "INSERT INTO private_address (ip, instance_id) VALUES (?, ?) ON CONFLICT (ip) "
                "DO UPDATE SET instance_id = excluded.instance_id WHERE private_address.instance_id IS NULL",
                (place.private_ip, instance_id),
                expect=1,
            )
        )
    if public_ip is not None:
        claims.append(claim_public(instance_id, public_ip))
    return claims


def claim_public(instance_id: str, public_ip: str) -> Statement:
    """The statement that gives an automatic public address to the instance."""
    return Statement(
        "INSERT INTO public_address (ip, instance_id) VALUES (?, ?) ON CONFLICT (ip) "
        "DO UPDATE SET instance_id = excluded.instance_id WHERE public_address.instance_id IS NULL",
        (public_ip, instance_id),
        expect=1,
    )


def release_public(instance_id: str) -> Statement:
    """The statement that takes the automatic public address from the instance."""
    return Statement("UPDATE public_address SET instance_id = NULL WHERE instance_id = ?", (instance_id,))


def release(cc: "Cc", instance_id: str) -> list[Statement]:
    """Statements that take all addresses from the instance; the private one rests."""
    return [
        Statement(
            "UPDATE private_address SET instance_id = NULL, free_after = ? WHERE instance_id = ?",
            (cc.now() + cc.settings.cooling_seconds, instance_id),
        ),
        release_public(instance_id),
        *networks.release(cc, cc.placed[instance_id]),
    ]
