"""HTTP/1.1 connections to other hosts, kept open: TLS to the very key that the host is known by.

The certificate is only the form in which TLS carries the key, so its names and dates mean nothing; the key in
it must be the one that was pinned when the host joined.
"""

import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import h11
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from euca_box.bus.peers import Peer

READ_BYTES = 64 * 1024
LARGEST_ANSWER_BYTES = 64 << 20
IDLE_KEPT = 16  # connections to one host that wait for the next message
IDLE_SECONDS = 3.0  # then the other host may be closing it: Hypercorn does after five (keep_alive_timeout)


class ConnectionLost(Exception):
    """The other host could not be reached, broke off, or is not the one it should be."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Connections:
    def __init__(self) -> None:
        self._idle: dict[str, list[Connection]] = {}

    async def ask(self, peer: Peer, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """One exchange. Raises ConnectionLost; then it is unknown whether the other host has got it."""
        waiting = self._idle.setdefault(peer.host_id, [])
        await _close_old(waiting)
        connection = waiting.pop() if waiting else await Connection.open(peer)
        async with connection:
            answer = await connection.exchange(peer, target, headers, body)
            if connection.is_reusable and len(waiting) < IDLE_KEPT:
                waiting.append(connection.release())
            return answer

    async def close(self) -> None:
        for waiting in self._idle.values():
            while waiting:
                await waiting.pop().close()


async def _close_old(waiting: "list[Connection]") -> None:
    """The ones that have waited longest are the first."""
    oldest = trio.current_time() - IDLE_SECONDS
    while waiting and waiting[0].idle_since < oldest:
        await waiting.pop(0).close()


class Connection:
    def __init__(self, stream: trio.abc.Stream, local_address: str = "") -> None:
        self._stream = stream
        self.local_address = local_address  # from which the other host sees us
        self._http = h11.Connection(h11.CLIENT)
        self._is_kept = False
        self.idle_since = 0.0

    @classmethod
    async def open(cls, peer: Peer) -> "Connection":
        try:
            tcp = await trio.open_tcp_stream(peer.host, peer.port)
            tcp.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
            stream = trio.SSLStream(tcp, pinned_context(), server_hostname=peer.host, https_compatible=True)
            await stream.do_handshake()
        except (OSError, trio.BrokenResourceError, ssl.SSLError) as error:
            raise ConnectionLost(f"{peer.host} port {peer.port}: {_reason(error)}") from None
        connection = cls(stream, str(tcp.socket.getsockname()[0]))
        if key_in(stream.getpeercert(binary_form=True)) != peer.public_key:
            await connection.close()
            raise ConnectionLost(f"{peer.host} port {peer.port} has another key than the host that joined")
        return connection

    @property
    def is_reusable(self) -> bool:
        return self._http.our_state is h11.IDLE

    def release(self) -> "Connection":
        self._is_kept = True
        self.idle_since = trio.current_time()
        return self

    async def __aenter__(self) -> "Connection":
        self._is_kept = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # One that was left in the middle, by a deadline as well, would answer the next question with its own.
        if not self._is_kept:
            await self.close()

    async def close(self) -> None:
        await trio.aclose_forcefully(self._stream)

    async def exchange(self, peer: Peer, target: str, headers: dict[str, str], body: bytes) -> Answer:
        sent = {"host": peer.host, "content-type": "application/json", "content-length": str(len(body))}
        request = h11.Request(method="POST", target=target, headers=list((sent | headers).items()))
        try:
            data = self._http.send(request) + self._http.send(h11.Data(data=body))
            await self._stream.send_all(data + self._http.send(h11.EndOfMessage()))
            return await self._answer()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as error:
            raise ConnectionLost(f"{peer.host} port {peer.port}: {_reason(error)}") from None
        except h11.RemoteProtocolError as error:
            raise ConnectionLost(f"{peer.host} port {peer.port}: {error}") from None

    async def _answer(self) -> Answer:
        answer, body = Answer(0, {}, b""), bytearray()
        while True:
            event: Any = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(bytes(await self._stream.receive_some(READ_BYTES)))
            elif isinstance(event, h11.Response):
                answer.status = event.status_code
                answer.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > LARGEST_ANSWER_BYTES:
                    raise h11.RemoteProtocolError("the answer is too long")
            elif isinstance(event, h11.EndOfMessage):
                if self._http.their_state is h11.DONE and self._http.our_state is h11.DONE:
                    self._http.start_next_cycle()
                answer.body = bytes(body)
                return answer
            elif not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the connection ended in the middle")


def pinned_context() -> ssl.SSLContext:
    """For a connection whose key is compared (`key_in`) when it is there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # its key is compared instead
    context.set_alpn_protocols(["http/1.1"])
    return context


def key_in(certificate: bytes | None) -> bytes:
    """The Ed25519 key of a certificate (DER); of another kind some bytes that are no host's."""
    if certificate is None:
        return b""
    key = x509.load_der_x509_certificate(certificate).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)[-32:]


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
