"""What guests use of the node: counters of the hypervisor, read each minute.

The last two readings of every guest are there for whoever watches the node. A series of a day is kept for
each: of five minutes, or of one for instances with detailed monitoring (EC2 user guide, "Manage detailed
monitoring").
All is in memory, and begins anew with this process.
"""

import logging
from collections import deque
from typing import TYPE_CHECKING

import trio

from euca_box.kvm.hypervisor import KvmError
from euca_box.messages.base import Call
from euca_box.messages.cc import InstanceUsage, Sample, Usage, Usages
from euca_box.messages.nc import NcGetUsage, NcListUsage
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


async def list_usage(nc: "Nc", call: Call, op: NcListUsage) -> Usages:
    return Usages(tuple(InstanceUsage(name, tuple(last)) for name, last in nc.last_samples.items()))


async def get_usage(nc: "Nc", call: Call, op: NcGetUsage) -> Usage:
    if op.instance_id not in nc.residents:
        raise InvalidInstanceIDNotFound(op.instance_id)
    return Usage(tuple(sample for sample in nc.samples.get(op.instance_id, ()) if sample.at > op.after))


async def _measure_once(nc: "Nc", *, basic: bool) -> None:
    found = await nc.hypervisor.usage()
    for instance_id in nc.samples.keys() - nc.residents.keys():
        del nc.samples[instance_id]
    for instance_id in nc.last_samples.keys() - found.keys():
        del nc.last_samples[instance_id]
    for instance_id, counters in found.items():
        resident = nc.residents.get(instance_id)
        if resident is None:
            continue
        sample = Sample(nc.now(), counters)
        nc.last_samples.setdefault(instance_id, deque(maxlen=2)).append(sample)
        if basic or resident.spec.monitoring:
            nc.samples.setdefault(instance_id, deque(maxlen=KEPT)).append(sample)
