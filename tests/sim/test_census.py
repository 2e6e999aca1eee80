"""The counts that a launch is admitted by are those of the records, whatever happened to them."""

import pytest
import trio

from euca_box.messages import ec2_instances as ec2
from tests.sim.cloud import ALICE, cloud

pytestmark = pytest.mark.trio


def counted(c):
    live = [r for r in c.clc.instances.all() if r.ended_at is None]
    return (
        sum(r.account == ALICE.account for r in live),
        sum(r.instance_type == "m1.small" and not r.placed for r in live),
    )


def census(c):
    return c.clc.census.live[ALICE.account], c.clc.census.waiting["m1.small"]


async def test_the_census_follows_every_change_and_a_restart(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        first, second = await c.run_instances(2)
        assert census(c) == counted(c) == (2, 2)
        await c.until(first, "running")
        assert census(c) == counted(c) == (2, 0)
        await c.restart()
        assert census(c) == counted(c) == (2, 0)
        await c.ask(ec2.TerminateInstances((first,)))
        await c.until(first, "terminated")
        assert census(c) == counted(c) == (1, 0)
        await c.until(second, "running")
        await c.ask(ec2.TerminateInstances((second,)))
        await c.until(second, "terminated")
        await trio.sleep(4000)  # until they are forgotten
        assert c.clc.instances.all() == []
        assert census(c) == (0, 0)
