"""A volume of another host: a storage daemon there, one here, TLS between them. Here both are this host."""

import shutil
import subprocess

import pytest
import trio

from euca_box.blockstore.engine import EngineError, StaleGeneration
from euca_box.blockstore.relay import Relay
from tests.contract.test_block_engine import KEY, MIB, NEEDS, SIZE, file_world

pytestmark = [pytest.mark.trio, NEEDS]
HERE = "127.0.0.1"


@pytest.fixture
async def world(tmp_path):
    async with file_world(tmp_path) as made:
        yield made


@pytest.fixture
async def relay(world):
    folder = world.run.with_name(world.run.name + "r")
    relays = []

    def new(name=""):
        relays.append(Relay(folder / name if name else folder))
        return relays[-1]

    yield new
    for made in relays:
        for path in made._folder.glob("vol-*"):
            await made.disconnect(path.name)
    shutil.rmtree(folder, ignore_errors=True)


async def connected(world, relay, generation=1, uid=None):
    request = await relay.request("vol-1")
    remote = await world.engine.export_remotely("vol-1", generation, HERE, request)
    return remote, await relay.connect("vol-1", generation, remote, uid)


async def test_a_volume_is_written_and_read_through_the_relay(world, relay):
    await world.engine.create("vol-1", SIZE)
    node = relay()
    remote, connection = await connected(world, node)
    await world.write(connection, 5 * MIB, b"1" * MIB)
    assert await world.read(connection, 5 * MIB, 4096) == b"1" * 4096
    assert await world.engine.exported() == {"vol-1": 1}
    again, same = await connected(world, node)
    assert (again, same) == (remote, connection)
    assert await world.read(connection, 5 * MIB, 512) == b"1" * 512
    await node.disconnect("vol-1")
    await node.disconnect("vol-1")
    await world.engine.unexport("vol-1")
    local = await world.engine.export("vol-1", 2, None)
    assert await world.read(local, 5 * MIB, 512) == b"1" * 512


async def test_who_has_no_certificate_or_that_of_an_earlier_attachment_is_not_let_in(world, relay):
    await world.engine.create("vol-1", SIZE)
    old, new = relay("old"), relay("new")
    remote, before = await connected(world, old, 1)
    plain = f"nbd://{HERE}:{remote.port}/{remote.export}"
    done = subprocess.run(["qemu-io", "-f", "raw", "-c", "read 0 512", plain], capture_output=True)
    assert b"read 512" not in done.stdout
    later, after = await connected(world, new, 2)
    await world.write(after, 0, b"n" * 512)
    with trio.move_on_after(1), pytest.raises(OSError, match=r"failed|error"):
        await world.write(before, 0, b"o" * 512)
    assert await world.read(after, 0, 512) == b"n" * 512
    with pytest.raises(StaleGeneration):
        await connected(world, old, 1)
    thief = relay("thief")
    await thief.request("vol-1")
    with pytest.raises(EngineError):  # the right certificate, and not its key
        await thief.connect("vol-1", 2, later, None)


async def test_the_daemon_of_the_volume_dies_and_is_found_again_with_all_that_was_written(world, relay):
    await world.engine.create("vol-1", SIZE)
    node = relay()
    remote, connection = await connected(world, node)
    await world.write(connection, 0, b"a" * MIB)
    await world.crash("vol-1")

    async def read():
        assert await world.read(connection, 0, 512) == b"a" * 512
        waited.append(trio.current_time())

    waited = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.sleep(0.5)
        assert not waited  # it waits, and is told no error
        back = await world.engine.export_remotely("vol-1", 1, HERE, await node.request("vol-1"))
        assert back == remote
        nursery.cancel_scope.deadline = trio.current_time() + 20
    assert waited


async def test_a_relay_that_died_is_brought_back_and_tells_it(world, relay):
    await world.engine.create("vol-1", SIZE)
    node = relay()
    _, connection = await connected(world, node)
    await world.write(connection, 0, b"a" * 512)
    pid = int((node._folder / "vol-1" / "pid").read_text())
    subprocess.run(["kill", "-9", str(pid)], check=True)
    with trio.fail_after(20):
        while (told := await relay().keep()) == []:
            await trio.sleep(0.05)
    assert told == ["vol-1 is there again"]
    assert await world.read(connection, 0, 512) == b"a" * 512
    assert await node.keep() == []


async def test_a_newer_attachment_at_the_volumes_own_host_cuts_off_a_remote_one(world, relay):
    await world.engine.create("vol-1", SIZE)
    _, remote = await connected(world, relay(), 1)
    local = await world.engine.export("vol-1", 2, None)
    await world.write(local, 0, b"l" * 512)
    with trio.move_on_after(1), pytest.raises(OSError, match=r"failed|error"):
        await world.write(remote, 0, b"r" * 512)
    assert await world.read(local, 0, 512) == b"l" * 512


async def test_an_enciphered_volume_is_used_from_another_host(world, relay):
    await world.engine.create("vol-1", SIZE, KEY)
    _, connection = await connected(world, relay())
    await world.write(connection, MIB, b"1" * 4096)
    assert await world.read(connection, MIB, 4096) == b"1" * 4096


@pytest.mark.parametrize(
    "request_text", ["", "no request", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END"]
)
async def test_what_is_no_request_for_a_certificate_is_refused(world, request_text):
    await world.engine.create("vol-1", SIZE)
    with pytest.raises(EngineError, match="not sound"):
        await world.engine.export_remotely("vol-1", 1, HERE, request_text)
