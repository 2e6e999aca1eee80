"""What guests use of the node: counters of the hypervisor, kept for a day in memory.

Each five minutes, and each minute of instances with detailed monitoring (EC2 user guide, "Manage detailed
monitoring"). After a restart of this process the series begins anew.
"""

import logging
from collections import deque
from typing import TYPE_CHECKING

import trio

from euca_box.kvm.hypervisor import KvmError
from euca_box.messages.base import Call
from euca_box.messages.cc import Sample, Usage
from euca_box.messages.nc import NcGetUsage
from euca_box.model.ec2_errors import InvalidInstanceIDNotFound

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc

log = logging.getLogger(__name__)

MEASURE_SECONDS = 60.0
BASIC_TURNS = 5  # instances without detailed monitoring are looked at each time this many minutes passed
KEPT = 24 * 60


async def measure(nc: "Nc") -> None:
    turn = 0
    while True:
        try:
            await _measure_once(nc, basic=turn % BASIC_TURNS == 0)
        except KvmError as error:
            log.warning("the guests could not be measured: %s", error)
        turn += 1
        await trio.sleep(MEASURE_SECONDS)


async def get_usage(nc: "Nc", call: Call, op: NcGetUsage) -> Usage:
    if op.instance_id not in nc.residents:
        raise InvalidInstanceIDNotFound(op.instance_id)
    return Usage(tuple(sample for sample in nc.samples.get(op.instance_id, ()) if sample.at > op.after))


async def _measure_once(nc: "Nc", *, basic: bool) -> None:
    found = await nc.hypervisor.usage()
    for instance_id in nc.samples.keys() - nc.residents.keys():
        del nc.samples[instance_id]
    for instance_id, counters in found.items():
        resident = nc.residents.get(instance_id)
        if resident is not None and (basic or resident.spec.monitoring):
            samples = nc.samples.setdefault(instance_id, deque(maxlen=KEPT))
            samples.append(Sample(nc.now(), counters))
