"""The other hosts of the cloud: where they listen, their keys, and which roles they have."""

from collections.abc import Iterable

from euca_box.model.hosts import Peer

__all__ = ["Peer", "Peers"]


class Peers:
    """Looked up with each message; replaced as a whole, so that a host that was removed is out at once."""

    def __init__(self, peers: Iterable[Peer] = ()) -> None:
        self.replace(peers)

    def replace(self, peers: Iterable[Peer]) -> None:
        self._by_id = {peer.host_id: peer for peer in peers}
        self._by_address = {address: p for p in self._by_id.values() for address in p.addresses}

    def all(self) -> list[Peer]:
        return list(self._by_id.values())

    def at(self, address: str) -> Peer | None:
        return self._by_address.get(address)

    def find(self, host_id: str) -> Peer | None:
        return self._by_id.get(host_id)

    def key_of(self, host_id: str) -> bytes | None:
        peer = self._by_id.get(host_id)
        return None if peer is None else peer.public_key
