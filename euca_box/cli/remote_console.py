"""The serial line of a guest on another host, for `euca-box console`: as the web console reaches it."""

import asyncio
import socket
import threading
from pathlib import Path

from euca_box import membership
from euca_box.api.roles.relay import NoRelay, Relays, SocketStream, Stream, pump
from euca_box.bus.peers import Peers
from euca_box.cli import common
from euca_box.datadir import DataDir


def open_serial(data: DataDir, instance_id: str) -> socket.socket:
    """A socket whose other end is the guest. Exits where there is no way to it."""
    try:
        place = common.ask_or_raise(data, "FindConsole", instance_id=instance_id)
    except common.Refused:
        common.fail(f"there is no instance {instance_id}")
    status = common.ask(data, "status")
    if not place["node"]:
        common.fail(f"{instance_id} runs on no host")
    relays = Relays(
        membership.host_key(data),
        Peers(membership.known_peers(data).peers),
        lambda address: address in status["addresses"] and address.startswith("cc@"),
        Path("/nonexistent"),
    )
    here, there = socket.socketpair()
    opened: list[str] = []
    is_settled = threading.Event()

    async def connect() -> None:
        try:
            guest = await relays.open(place["cc"], place["node"], instance_id, "serial")
        except NoRelay as error:
            opened.append(f"the console of {instance_id} cannot be reached: {error}")
            return
        finally:
            is_settled.set()
        await _between(guest, there)

    threading.Thread(target=lambda: asyncio.run(connect()), daemon=True).start()
    is_settled.wait()
    if opened:
        common.fail(opened[0])
    return here


async def _between(guest: Stream, there: socket.socket) -> None:
    ours = SocketStream(*await asyncio.open_connection(sock=there))
    try:
        await pump(guest, ours)
    finally:
        ours.close()
        guest.close()
