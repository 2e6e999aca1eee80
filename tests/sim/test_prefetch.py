"""Images in the node's cache before an instance needs them."""

import pytest
import trio

from euca_box.images.download import DownloadError
from euca_box.messages import admin
from euca_box.messages.base import SYSTEM
from euca_box.model.ec2_errors import InvalidAMIIDNotFound
from tests.sim.cloud import cloud

pytestmark = pytest.mark.trio


async def states(c, *image_ids, wait_seconds=20.0):
    reply = await c.ask(admin.CacheImages(image_ids, wait_seconds), SYSTEM)
    return {row.image_id: row.state for row in reply.images}


async def test_an_image_is_fetched_with_its_kernel_and_a_launch_waits_for_nothing(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        cached = {"emi-00000001": "cached", "eki-00000001": "cached"}
        assert await states(c, "ami-00000001") == cached
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        assert c.workbench.fetches == 2
        assert await states(c) == {"emi-00000001": "in use", "eki-00000001": "in use"}


async def test_who_does_not_wait_hears_that_it_is_on_its_way_and_it_arrives(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        assert await states(c, "emi-00000002", wait_seconds=0.0) == {"emi-00000002": "fetching"}
        await trio.sleep(2)
        assert await states(c, "emi-00000002", wait_seconds=0.0) == {"emi-00000002": "cached"}
        assert c.workbench.fetches == 1


async def test_a_failed_fetch_says_why_and_the_next_tries_again(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        c.workbench.broken = DownloadError("the object was deleted after the image was registered")
        [state] = (await states(c, "emi-00000002")).values()
        assert (
            state == "failed: its image cannot be had: the object was deleted after the image was registered"
        )
        assert await states(c, "emi-00000002") == {"emi-00000002": "cached"}


async def test_an_image_that_is_not_there_is_refused(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        with pytest.raises(InvalidAMIIDNotFound):
            await states(c, "emi-0badf00d")
