"""An ASGI application that does what its path says, behind either HTTP/1.1 engine; a client of raw bytes."""

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from euca_box.api import server


@dataclass
class Http1Box:
    port: int
    loop: asyncio.AbstractEventLoop
    app: "App"
    stop: asyncio.Event
    thread: threading.Thread
    tls: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return self.tls.wrap_socket(raw, server_hostname="localhost") if self.tls else raw

    def ask(self, request: bytes, *, pieces: int = 0) -> bytes:
        """All that is answered until the server closes, or until it is sure that we send no more."""
        with self.connect() as connection:
            for at in range(0, len(request), pieces or len(request)):
                connection.sendall(request[at : at + (pieces or len(request))])
            if self.tls is None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
            return read_to_end(connection)

    def call(self, function: Any) -> None:
        """In the server's loop."""
        self.loop.call_soon_threadsafe(function)


def read_to_end(connection: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            answer += data
    return answer


def read_answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of one answer with Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    [length] = [
        int(v) for n, _, v in (x.partition(b":") for x in head.split(b"\r\n")) if n == b"content-length"
    ]
    while len(body) < length:
        more = connection.recv(65536)
        assert more, data
        body += more
    return head, body


@dataclass
class App:
    """`seen` keeps scopes; `gone` is set when a request learns that its client is."""

    seen: list[dict[str, Any]] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    cut: threading.Event = field(default_factory=threading.Event)
    sent_bytes: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            message = await receive()
            await send({"type": "websocket.send", "text": message["text"].upper()})
        else:
            self.seen.append(scope)
            await getattr(self, scope["path"].strip("/").split("/")[0] or "echo")(scope, receive, send)

    async def echo(self, scope: Any, receive: Any, send: Any) -> None:
        """Method, target and body, as text."""
        self.began.set()
        body = await whole_body(receive)
        if body is None:
            self.gone.set()
            return
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        await answer(send, b"%b %b %b" % (scope["method"].encode(), target, body))

    async def unread(self, scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"no", status=403)

    async def late(self, scope: Any, receive: Any, send: Any) -> None:
        self.began.set()
        await self.go.wait()
        await answer(send, b"late")

    async def wait(self, scope: Any, receive: Any, send: Any) -> None:
        self.began.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.set()
        with contextlib.suppress(OSError):
            await answer(send, b"nobody")

    async def slow(self, scope: Any, receive: Any, send: Any) -> None:
        """Takes nothing of the body until it may."""
        self.began.set()
        await self.go.wait()
        await self.echo_length(scope, receive, send)

    async def echo_length(self, scope: Any, receive: Any, send: Any) -> None:
        body = await whole_body(receive)
        await answer(send, b"%d" % len(body or b""))

    async def pieces(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"one", b"", bytearray(b"two")):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def endless(self, scope: Any, receive: Any, send: Any) -> None:
        self.began.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while not self.go.is_set():
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                self.sent_bytes += 65536
                await asyncio.sleep(0)
        except OSError:
            self.cut.set()

    async def status(self, scope: Any, receive: Any, send: Any) -> None:
        number = int(scope["path"].rpartition("/")[2])
        await send({"type": "http.response.start", "status": number, "headers": []})
        await send({"type": "http.response.body"})

    async def broken(self, scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("broken")

    async def silent(self, scope: Any, receive: Any, send: Any) -> None:
        return

    async def half(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"five!", "more_body": True})
        raise ValueError("half")

    async def short(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"five!"})

    async def splitting(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"x-evil", b"a\r\nset-cookie: b")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    async def hops(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "euca_box.hop_limit", "hops": 1})
        await answer(send, b"near")


async def whole_body(receive: Any) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return bytes(body)


async def answer(send: Any, body: bytes, status: int = 200) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, where it is installed, as in the product; EUCA_BOX_PLAIN_ASYNCIO: asyncio's own loop."""
    if not os.environ.get("EUCA_BOX_PLAIN_ASYNCIO"):
        with contextlib.suppress(ImportError):
            import uvloop

            factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
            return factory
    return None


@contextlib.contextmanager
def running_app(engine: str, tls: tuple[Path, Path] | None = None) -> Iterator[Http1Box]:
    found: list[Http1Box] = []
    ready = threading.Event()
    listener = server.bind("127.0.0.1", 0, tls, "port")

    async def main() -> None:
        app, stop = App(), asyncio.Event()
        found.append(Http1Box(listener.port, asyncio.get_running_loop(), app, stop, thread))
        ready.set()
        server._Config.keep_alive_timeout = 0.2  # Hypercorn's engine ends half-closed connections by it
        await server.run_server(app, listener, stop.wait, engine)  # type: ignore[arg-type]

    def run() -> None:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    box = found[0]
    if tls is not None:
        box.tls = ssl.create_default_context(cafile=str(tls[0]))
    try:
        yield box
    finally:
        if thread.is_alive():
            box.call(box.app.go.set)
            box.call(box.stop.set)
            thread.join(20)
        assert not thread.is_alive()
