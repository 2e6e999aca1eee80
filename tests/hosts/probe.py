# ruff: noqa: T201
"""What a test does from inside a namespace: listen, dial, send raw frames, count what arrives.

serve tcp|udp PORT        answers each with the address it sees; prints "ready", then the peers
dial tcp|udp IP PORT [SOURCE]   prints the answer, or "none"
hold IP PORT              dials once, then for each line on stdin asks again and prints the answer
frames COUNT HEX          sends the frame COUNT times from eth0
datagrams COUNT IP PORT HEX     sends the UDP datagram COUNT times
turns COUNT HEX...              sends the frames in turns, COUNT times each
tally SECONDS DEVICE HEX...     prints "ready", then how many frames with each HEX came before a pause
count HEX SECONDS         prints "ready", then how many frames that contain HEX arrived at eth0
"""

import socket
import sys
import time

PATIENCE = 0.6


def serve(kind: str, port: str) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", int(port)))
    if kind == "udp":
        print("ready", flush=True)
        while True:
            _, peer = server.recvfrom(100)
            server.sendto(peer[0].encode(), peer)
    server.listen(50)
    print("ready", flush=True)
    import threading

    while True:
        connection, peer = server.accept()
        threading.Thread(target=_echo_peer, args=(connection, peer[0]), daemon=True).start()


def _echo_peer(connection: socket.socket, peer: str) -> None:
    with connection:
        while connection.recv(100):
            connection.sendall(peer.encode())


def dial(kind: str, address: str, port: str, source: str = "0.0.0.0") -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.bind((source, 0))
            sock.connect((address, int(port)))
            sock.send(b"who am I?")
            print(sock.recv(100).decode())
        except OSError:
            print("none")


def hold(address: str, port: str) -> None:
    with socket.create_connection((address, int(port)), timeout=PATIENCE) as connection:
        for _ in sys.stdin:
            connection.settimeout(PATIENCE)
            try:
                connection.send(b"still me?")
                print(connection.recv(100).decode() or "none", flush=True)
            except OSError:
                print("none", flush=True)


def frames(count: str, data: str) -> None:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("eth0", 0))
    for _ in range(int(count)):
        raw.send(bytes.fromhex(data))


def turns(count: str, *datas: str) -> None:
    """In turns, and no faster than a guest's wire takes them."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("eth0", 0))
    for number in range(int(count)):
        for data in datas:
            raw.send(bytes.fromhex(data))
        if number % 20 == 19:
            time.sleep(0.004)


def tally(seconds: str, device: str, *marks: str) -> None:
    """Until nothing has come for so long."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
    raw.bind((device, 0))
    print("ready", flush=True)
    wanted = [bytes.fromhex(mark) for mark in marks]
    found, deadline = [0] * len(wanted), time.monotonic() + 5
    while (left := deadline - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            frame, origin = raw.recvfrom(2000)
        except TimeoutError:
            break
        if origin[2] == socket.PACKET_OUTGOING:
            continue
        for number, mark in enumerate(wanted):
            if mark in frame:
                found[number] += 1
        deadline = time.monotonic() + float(seconds)
    print(*found)


def datagrams(count: str, address: str, port: str, data: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(int(count)):
            sock.sendto(bytes.fromhex(data), (address, int(port)))


def count(data: str, seconds: str, device: str = "eth0") -> None:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    raw.bind((device, 0))
    print("ready", flush=True)
    found, deadline = 0, time.monotonic() + float(seconds)
    while (left := deadline - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            frame, origin = raw.recvfrom(2000)
            found += bytes.fromhex(data) in frame and origin[2] != socket.PACKET_OUTGOING
        except TimeoutError:
            break
    print(found)


if __name__ == "__main__":
    modes = {
        "serve": serve,
        "dial": dial,
        "hold": hold,
        "frames": frames,
        "datagrams": datagrams,
        "turns": turns,
        "tally": tally,
        "count": count,
    }
    modes[sys.argv[1]](*sys.argv[2:])
