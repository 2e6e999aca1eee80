"""Private and public addresses: an address has one owner, and rests before it gets the next one."""

from typing import TYPE_CHECKING

from euca_box.model.ec2_errors import InsufficientInstanceCapacity, InvalidIPAddressInUse
from euca_box.store.store import Statement

if TYPE_CHECKING:
    from euca_box.roles.cc.role import Cc

RESERVED = 4  # AWS keeps the first four addresses of a subnet: network, router, DNS, future


async def choose_private(cc: "Cc", wanted: str | None = None) -> str:
    """The one wanted if it has no owner, else the lowest that has none and has rested.

    Raises InvalidIPAddressInUse, InsufficientInstanceCapacity.
    """
    if wanted is not None:
        owned = "SELECT 1 FROM private_address WHERE ip = ? AND instance_id IS NOT NULL"
        if await cc.store.read(owned, wanted):
            raise InvalidIPAddressInUse(wanted)
        return wanted
    rows = await cc.store.read(
        "SELECT ip FROM private_address WHERE instance_id IS NOT NULL OR free_after > ?", cc.now()
    )
    taken = {row["ip"] for row in rows} | {cc.settings.gateway}
    hosts = iter(cc.settings.subnet.hosts())
    for number, address in enumerate(hosts, start=1):
        if number >= RESERVED and str(address) not in taken:
            return str(address)
    raise InsufficientInstanceCapacity(f"All private addresses of {cc.settings.subnet} are taken.")


async def choose_public(cc: "Cc") -> str | None:
    """A public address without an owner, or None when there is none: the instance starts without."""
    return next(iter(await free_public(cc)), None)


async def free_public(cc: "Cc") -> list[str]:
    """The addresses of the pool that neither an instance nor an account has, in order."""
    rows = await cc.store.read("SELECT ip FROM public_address WHERE instance_id IS NOT NULL")
    taken = {row["ip"] for row in rows} | {address.public_ip for address in cc.elastic.values()}
    return [ip for ip in cc.settings.public_addresses if ip not in taken]


def claim(instance_id: str, private_ip: str, public_ip: str | None) -> list[Statement]:
    """Statements that give the addresses to the instance; part of the transaction that places it."""
    claims = [
        Statement(
            "INSERT INTO private_address (ip, instance_id) VALUES (?, ?) ON CONFLICT (ip) "
            "DO UPDATE SET instance_id = excluded.instance_id WHERE private_address.instance_id IS NULL",
            (private_ip, instance_id),
            expect=1,
        )
    ]
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
    ]
