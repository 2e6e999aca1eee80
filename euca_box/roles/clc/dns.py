"""Which addresses have names: those of instances that are there."""

from typing import TYPE_CHECKING

from euca_box.messages.base import Call
from euca_box.messages.dns import AddressesInUse, ListAddressesInUse

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


async def list_addresses_in_use(clc: "Clc", call: Call, op: ListAddressesInUse) -> AddressesInUse:
    alive = [record for record in clc.instances.all() if record.ended_at is None]
    return AddressesInUse(
        frozenset(record.private_ip for record in alive if record.private_ip),
        frozenset(record.public_ip for record in alive if record.public_ip),
    )
