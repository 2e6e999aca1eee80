"""One host of the laboratory: an HostNetwork in its own process and network namespace, driven over a pipe.

A process of its own, because trio's worker threads would stay in the namespace they were born in, and because
a test must be able to kill it.
"""

import pickle
import struct
import sys
from typing import Any

import trio

from euca_box.net.host_network import HostNetwork
from euca_box.net.network import NetError


def read_frame(stream: Any) -> Any:
    head = stream.read(4)
    if len(head) < 4:
        raise EOFError
    (size,) = struct.unpack("!I", head)
    return pickle.loads(stream.read(size))


def write_frame(stream: Any, value: object) -> None:
    data = pickle.dumps(value)
    stream.write(struct.pack("!I", len(data)) + data)
    stream.flush()


async def _serve() -> None:
    network = HostNetwork(read_frame(sys.stdin.buffer))
    while True:
        try:
            method, arguments = await trio.to_thread.run_sync(read_frame, sys.stdin.buffer)
        except EOFError:
            return
        started = trio.current_time()
        try:
            answer, failed = await getattr(network, method)(*arguments), False
        except NetError as error:
            answer, failed = str(error), True
        write_frame(sys.stdout.buffer, (failed, answer, trio.current_time() - started))


if __name__ == "__main__":
    trio.run(_serve)
