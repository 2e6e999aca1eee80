"""The host of this node goes to sleep when its cluster says so, and never with an instance on it."""

import logging
from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import Call, Done
from euca_box.messages.nc import NcPowerDown
from euca_box.model.errors import IncorrectState
from euca_box.net.network import NetError

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc

log = logging.getLogger(__name__)

ANSWER_SECONDS = 1.0  # the answer shall get out before the host sleeps


async def power_down(nc: "Nc", call: Call, op: NcPowerDown) -> Done:
    if not nc.settings.sleep_command:
        raise IncorrectState(f"{nc.address} cannot sleep: nc.sleep_command is empty.")
    if here := [i for i, resident in nc.residents.items() if resident.gone_at is None]:
        raise IncorrectState(
            f"{nc.address} has {len(here)} instances, such as {here[0]}, and does not sleep."
        )
    assert nc.tasks is not None
    nc.tasks.start_soon(_sleep, nc)
    return Done()


async def _sleep(nc: "Nc") -> None:
    """Unless an instance came meanwhile. The command returns when the host is awake again, or at once."""
    await trio.sleep(ANSWER_SECONDS)
    if any(resident.gone_at is None for resident in nc.residents.values()):
        return
    log.info("this host goes to sleep: %s", nc.settings.sleep_command[0])
    try:
        await nc.workbench.power_down(nc.settings.sleep_command)
    except NetError as error:
        log.error("this host does not sleep: %s", error)
