"""Consoles by sockets of the node: many look and type, nobody else may, and QEMU's own are not touched."""

import pytest
import trio

from euca_box.bus.bus import Bus
from euca_box.kvm.fake import FakeHypervisor
from euca_box.roles.nc import consoles
from euca_box.roles.nc import role as nc_role
from euca_box.roles.nc.workbench import HostWorkbench
from euca_box.store.sync_store import SyncStore
from tests.roles.test_marks import PLACEMENT, SPEC

pytestmark = pytest.mark.trio
ID = SPEC.instance_id


class Guest:
    """What QEMU is to a node: a socket for the serial line, one for the screen."""

    def __init__(self, folder, nursery) -> None:
        self.folder, self.nursery = folder, nursery
        self.serial, self.typed, self.connected = None, b"", trio.Event()

    async def start(self) -> None:
        self.folder.mkdir(parents=True)
        for name, serve in (("serial.sock", self._serial), ("vnc.sock", self._vnc)):
            listener = trio.socket.socket(trio.socket.AF_UNIX)
            await listener.bind(str(self.folder / name))
            listener.listen(8)
            self.nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(listener)])

    async def _serial(self, stream) -> None:
        self.serial = stream
        self.connected.set()
        while data := await stream.receive_some():
            self.typed += data

    async def _vnc(self, stream) -> None:
        await stream.send_all(b"RFB 003.008\n")
        async with stream:
            await stream.send_all(b"heard " + await stream.receive_some())


@pytest.fixture
async def node(tmp_path, nursery):
    settings = nc_role.NcSettings(
        "n1", tmp_path / "nc", tmp_path / "run", "172.31.0.1", "172.31.0.0/28", 1 << 30
    )
    workbench = HostWorkbench(1, 1000, trio.CapacityLimiter(2), set_owner=lambda *_: None)
    nc = nc_role.Nc(
        settings, SyncStore(nc_role.MIGRATIONS), Bus(), FakeHypervisor(), None, workbench, lambda: 0.0
    )
    nc.tasks = nursery
    await nc.keep(nc_role.Resident(SPEC, PLACEMENT))
    nc.folder_of(ID).mkdir(parents=True)
    nc.guest = Guest(nc.sockets_of(ID), nursery)
    await nc.guest.start()
    await consoles.connect(nc, ID, fresh=True)
    await nc.guest.connected.wait()
    yield nc
    nursery.cancel_scope.cancel()


async def look(nc, name="serial.sock"):
    path = consoles.folder_of(nc, ID) / name
    while not path.is_socket():
        await trio.sleep(0.001)
    return await trio.open_unix_socket(str(path))


async def heard(stream, words):
    seen = b""
    with trio.fail_after(5):
        while words not in seen:
            seen += await stream.receive_some()
    return seen


async def test_many_see_the_same_and_all_may_type(node):
    await node.guest.serial.send_all(b"login: ")
    first, second = await look(node), await look(node)
    for viewer in (first, second):
        await heard(viewer, b"login: ")
    await first.send_all(b"ro")
    await second.send_all(b"ot")
    with trio.fail_after(5):
        while sorted(node.guest.typed) != sorted(b"root"):
            await trio.sleep(0.001)
    await first.aclose()
    await node.guest.serial.send_all(b"# ")
    await heard(second, b"# ")


async def test_one_viewer_too_many_is_told_so_and_disturbs_nobody(node):
    viewers = [await look(node) for _ in range(consoles.VIEWERS)]
    await node.guest.serial.send_all(b"ready")
    for viewer in viewers:
        await heard(viewer, b"ready")
    late = await look(node)
    assert b"too many" in await heard(late, b"already")
    await viewers[0].aclose()
    await node.guest.serial.send_all(b"again")
    await heard(viewers[1], b"again")


async def test_the_screen_is_relayed_both_ways(node):
    screen = await look(node, "screen.sock")
    await heard(screen, b"RFB 003.008\n")
    await screen.send_all(b"RFB 003.003\n")
    await heard(screen, b"heard RFB 003.003\n")
    assert await screen.receive_some() == b""


async def test_a_screen_that_is_not_there_costs_the_serial_line_nothing(node):
    (node.sockets_of(ID) / "vnc.sock").unlink()
    screen = await look(node, "screen.sock")
    with trio.fail_after(5):
        assert await screen.receive_some() == b""
    await node.guest.serial.send_all(b"alive")
    await heard(await look(node), b"alive")


async def test_the_sockets_are_root_s_and_go_with_the_console(node):
    await look(node)
    folder = consoles.folder_of(node, ID)
    for name in ("serial.sock", "screen.sock"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    await consoles.disconnect(node, ID)
    assert not folder.exists()
    assert (node.folder_of(ID) / "console.log").exists()
