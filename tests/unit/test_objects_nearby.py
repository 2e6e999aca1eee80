"""Threads of this process reach objects without HTTP, by the URLs that Walrus has lent."""

import asyncio

import pytest

from euca_box.blockstore.chunks import Courier, DamagedChunk, TransferError
from euca_box.model.s3_errors import InsufficientStorage
from euca_box.objects.nearby import Nearby
from tests.unit.test_objects_engine import opened_objects

pytestmark = pytest.mark.anyio
URL = "http://here:8773/_snapshots/chunks/ab/abc?X-Amz-Signature=s"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_what_a_thread_puts_it_gets_and_other_urls_are_left_to_http(tmp_path):
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.open_hidden("_snapshots")
        near = Nearby(objects, asyncio.get_running_loop(), {"here:8773"})
        courier = Courier(near=near)
        data = b"\0" + b"chunk" * 300000
        await asyncio.to_thread(courier.put, URL, "", data)
        assert await asyncio.to_thread(courier.get, URL, "") == data
        for other in (URL.replace("here", "there"), "http://here:8773/_snapshots", "http://here:8773/"):
            assert await asyncio.to_thread(near.ask, "GET", other, None) is None
        assert await asyncio.to_thread(near.ask, "DELETE", URL, None) is None


async def test_what_is_not_there_and_what_is_damaged_is_told_apart(tmp_path):
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.open_hidden("_snapshots")
        courier = Courier(near=Nearby(objects, asyncio.get_running_loop(), {"here:8773"}))
        with pytest.raises(DamagedChunk, match="missing"):
            await asyncio.to_thread(courier.get, URL, "")
        await asyncio.to_thread(courier.put, URL, "", b"x" * 3_000_000)
        [file] = [path for path in (tmp_path / "objects").glob("*/*") if path.stat().st_size == 3_000_000]
        with file.open("r+b") as opened:
            opened.seek(1_000_000)
            opened.write(b"y")
        with pytest.raises((TransferError, DamagedChunk)):
            await asyncio.to_thread(courier.get, URL, "")


async def test_a_full_disk_is_a_transfer_that_failed(tmp_path):
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.open_hidden("_snapshots")
        courier = Courier(near=Nearby(objects, asyncio.get_running_loop(), {"here:8773"}))
        objects._files.space.require = lambda size: (_ for _ in ()).throw(_full())
        with pytest.raises(TransferError):
            await asyncio.to_thread(courier.put, URL, "", b"x" * 3_000_000)


def _full():
    return InsufficientStorage()
