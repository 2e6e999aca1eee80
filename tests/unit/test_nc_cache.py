"""The node's image cache: nothing unverified, nothing twice, nothing above the limit."""

import hashlib
import os

import pytest
import trio

from euca_box.images.download import DownloadError
from euca_box.model.images import ImageData
from euca_box.roles.nc.cache import CacheError, ImageCache

pytestmark = pytest.mark.trio
SIZE = 1000


def image(name: str, size: int = SIZE) -> ImageData:
    sha256 = hashlib.sha256(content(name)).hexdigest()
    return ImageData("bucket", name, name, sha256, size, "raw", size, True)


def content(name: str) -> bytes:
    return name.encode().ljust(SIZE, b".")


class Walrus:
    """Sends what it is asked for, after a while."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.sent: dict[str, bytes] = {}  # instead of the right bytes
        self.error: Exception | None = None

    async def fetch(self, wanted: ImageData, target) -> str:
        self.fetched.append(wanted.key)
        data = self.sent.get(wanted.key, content(wanted.key))
        target.write_bytes(data[:10])
        await trio.sleep(1)
        if self.error is not None:
            raise self.error
        target.write_bytes(data)
        return hashlib.sha256(data).hexdigest()


async def digest(path) -> str:
    await trio.lowlevel.checkpoint()
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Node:
    def __init__(self, folder, nursery, limit) -> None:
        self.folder, self.nursery, self.limit = folder, nursery, limit
        self.walrus, self.in_use = Walrus(), set()
        self.start()

    def start(self) -> None:
        self.cache = ImageCache(self.folder, self.limit, self.walrus.fetch, digest, lambda: set(self.in_use))
        self.cache.open(self.nursery)

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
async def node(tmp_path, nursery):
    return Node(tmp_path / "cache", nursery, 3 * SIZE)


async def test_many_waiters_fetch_an_image_once(node, autojump_clock):
    async with trio.open_nursery() as waiters:
        for _ in range(4):
            waiters.start_soon(node.cache.get, image("a"))
    assert await node.cache.get(image("a")) == node.cache.path_of(image("a"))
    assert node.walrus.fetched == ["a"]


async def test_a_waiter_who_leaves_costs_the_others_nothing(node, autojump_clock):
    with trio.move_on_after(0.5):
        async with trio.open_nursery() as waiters:
            node.nursery.start_soon(node.cache.get, image("a"))
            waiters.start_soon(node.cache.get, image("a"))
    await node.cache.get(image("a"))
    assert node.walrus.fetched == ["a"]


async def test_a_fetch_that_nobody_waits_for_is_given_up_and_leaves_no_file(node, autojump_clock):
    with trio.move_on_after(0.5):
        await node.cache.get(image("a"))
    await trio.sleep(5)
    assert node.names() == set()
    await node.cache.get(image("a"))
    assert node.walrus.fetched == ["a", "a"]


async def test_other_bytes_than_were_registered_are_never_kept(node, autojump_clock):
    node.walrus.sent["a"] = b"evil".ljust(SIZE)
    with pytest.raises(CacheError, match="not those that were registered"):
        await node.cache.get(image("a"))
    assert node.names() == set()


@pytest.mark.parametrize(
    "error", [DownloadError("broke off"), OSError(28, "No space left"), ValueError("a bug")]
)
async def test_every_waiter_hears_of_a_failed_fetch_and_the_next_tries_again(node, autojump_clock, error):
    node.walrus.error = error
    heard = []

    async def wait():
        try:
            await node.cache.get(image("a"))
        except type(error) as raised:
            heard.append(raised)

    async with trio.open_nursery() as waiters:
        for _ in range(2):
            waiters.start_soon(wait)
    assert heard == [error, error]
    assert node.names() == set()
    node.walrus.error = None
    assert (await node.cache.get(image("a"))).exists()


async def test_the_image_that_was_used_longest_ago_makes_room(node, autojump_clock):
    for age, name in enumerate("abc"):
        os.utime(await node.cache.get(image(name)), (age, age))
    os.utime(await node.cache.get(image("a")), (9, 9))
    await node.cache.get(image("d"))
    assert not node.cache.has(image("b"))
    assert all(node.cache.has(image(name)) for name in "acd")


async def test_what_an_instance_stands_on_stays_and_a_full_cache_says_so(node, autojump_clock):
    for name in "abc":
        node.in_use.add(await node.cache.get(image(name)))
    with pytest.raises(CacheError, match="no room beside the images that are in use"):
        await node.cache.get(image("d"))
    assert all(node.cache.has(image(name)) for name in "abc")
    node.in_use.pop()
    await node.cache.get(image("d"))


async def test_fetches_at_once_keep_the_limit_too(node, autojump_clock):
    failed = []

    async def get(name):
        try:
            node.in_use.add(await node.cache.get(image(name)))
        except CacheError:
            failed.append(name)

    async with trio.open_nursery() as at_once:
        for name in "abcd":
            at_once.start_soon(get, name)
    assert len(failed) == 1
    assert sum(path.stat().st_size for path in node.folder.iterdir()) == 3 * SIZE


async def test_after_a_restart_what_is_whole_is_used_and_the_rest_is_fetched_anew(node, autojump_clock):
    whole, damaged = await node.cache.get(image("a")), await node.cache.get(image("b"))
    damaged.chmod(0o644)
    damaged.write_bytes(b"rotten".ljust(SIZE))
    (node.folder / "c.raw.7.partial").write_bytes(b"half")
    node.start()
    assert node.names() == {whole.name, damaged.name}
    await node.cache.get(image("a"))
    await node.cache.get(image("b"))
    assert node.walrus.fetched == ["a", "b", "b"]
    assert damaged.read_bytes() == content("b")
