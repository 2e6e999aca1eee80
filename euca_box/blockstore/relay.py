"""A volume of another host, for a guest of this one: a storage daemon here speaks TLS with the one there.

The guest's QEMU has a unix socket, as on the storage controller's own host. When the way to the volume breaks
off, the guest's requests wait; the daemon connects again by itself. Daemons outlive this process.
"""

import json
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from euca_box.auth import certificates
from euca_box.auth import export_certificates as names
from euca_box.blockstore.daemon import Daemon, Owner
from euca_box.blockstore.engine import Connection, EngineError, RemoteConnection
from euca_box.blockstore.graph import NODE
from euca_box.blockstore.qmp import NoDaemon

OPEN_SECONDS = 10
RECONNECT_SECONDS = 300  # then the guest's QEMU has an error, and pauses until it is let go on
PATIENCE_SECONDS = 0.5  # for a daemon to end
STATE = "connection.json"


@dataclass(frozen=True)
class RelayGraph:
    """daemon.Graph of a volume that is elsewhere."""

    folder: Path

    def words(self) -> list[str]:
        found = json.loads((self.folder / STATE).read_text())
        credentials = {
            "qom-type": "tls-creds-x509", "id": "tls", "dir": str(self.folder), "endpoint": "client",
            "verify-peer": True, "priority": names.PRIORITY,
        }  # fmt: skip
        remote: dict[str, Any] = {
            "driver": "nbd", "node-name": "remote", "export": found["export"], "tls-creds": "tls",
            "server": {
                "type": "inet", "host": found["address"], "port": str(found["port"]), "keep-alive": True,
            },
            "tls-hostname": names.SERVER_NAME,
            "open-timeout": OPEN_SECONDS, "reconnect-delay": RECONNECT_SECONDS,
        }  # fmt: skip
        top = {"driver": "raw", "node-name": NODE, "file": "remote"}
        return [
            "--object", json.dumps(credentials), "--blockdev", json.dumps(remote),
            "--blockdev", json.dumps(top),
        ]  # fmt: skip

    def key(self) -> bytes | None:
        return None

    @property
    def is_mapped(self) -> bool:
        return False


class Relay:
    """`folder` has sockets and keys: short, on a file system in memory; a reboot ends the guests, too."""

    def __init__(self, folder: Path, uid: int | None = None) -> None:
        self._folder, self._owner = folder, Owner(uid)
        self._locks: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)

    async def request(self, volume_id: str) -> str:
        """For a certificate of a key that never leaves this host; the same one while the volume is here."""
        async with self._locks[volume_id]:
            return await trio.to_thread.run_sync(self._request, volume_id)

    async def connect(
        self, volume_id: str, generation: int, to: RemoteConnection, uid: int | None
    ) -> Connection:
        """Where a QEMU of this user finds it. Twice is fine. Raises EngineError."""
        async with self._locks[volume_id]:
            folder = self._place(volume_id)
            where = {"address": to.address, "port": to.port, "export": to.export}
            state = {**where, "generation": generation, "uid": uid}
            known = folder / names.CLIENT
            there = {k: v for k, v in (self._state(volume_id) or {}).items() if k != "size_gib"}
            if there != state or known.read_text() != to.certificate:
                await self._daemon(volume_id).end(PATIENCE_SECONDS)
                await trio.to_thread.run_sync(self._keep, volume_id, state, to)
            return await self._up(volume_id, state)

    async def disconnect(self, volume_id: str) -> None:
        """One that is not connected is fine."""
        async with self._locks[volume_id]:
            if self._place(volume_id).exists():
                # It may wait for a volume that is out of reach. All that it had it has passed on.
                await self._daemon(volume_id).end(PATIENCE_SECONDS)
                await trio.to_thread.run_sync(shutil.rmtree, self._place(volume_id))
        self._locks.pop(volume_id, None)

    async def renew(self, volume_id: str, size_gib: int) -> None:
        """The volume has grown to this size; the guest's QEMU connects again. Raises EngineError."""
        async with self._locks[volume_id]:
            state = self._state(volume_id)
            if state is None or state.get("size_gib") == size_gib:
                return
            await self._daemon(volume_id).end(PATIENCE_SECONDS)
            await self._up(volume_id, state)
            text = json.dumps({**state, "size_gib": size_gib})
            certificates.write_file(self._place(volume_id) / STATE, text.encode(), 0o600)

    async def keep(self) -> list[str]:
        """Bring back those whose daemon has died; their volumes, in words."""
        found = []
        for path in sorted(self._folder.glob(f"*/{STATE}")):
            volume_id = path.parent.name
            async with self._locks[volume_id]:
                state = self._state(volume_id)
                if state is None or await self._is_up(volume_id):
                    continue
                try:
                    await self._up(volume_id, state)
                    found.append(f"{volume_id} is there again")
                except EngineError as error:
                    found.append(f"{volume_id} is out of reach: {error}")
        return found

    async def _up(self, volume_id: str, state: dict[str, Any]) -> Connection:
        daemon = self._daemon(volume_id)
        await daemon.ensure()
        return await daemon.export(int(state["generation"]), state["uid"])

    async def _is_up(self, volume_id: str) -> bool:
        try:
            return await self._daemon(volume_id).exported_generation() is not None
        except NoDaemon:
            return False

    def _place(self, volume_id: str) -> Path:
        return self._folder / volume_id

    def _daemon(self, volume_id: str) -> Daemon:
        return Daemon(volume_id, RelayGraph(self._place(volume_id)), self._place(volume_id), self._owner)

    def _request(self, volume_id: str) -> str:
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        place = self._place(volume_id)
        place.mkdir(mode=0o711, exist_ok=True)
        key = certificates.private_key(place / names.CLIENT_KEY)
        return certificates.request(key).decode()

    def _state(self, volume_id: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self._place(volume_id) / STATE).read_text())
        except (OSError, ValueError):
            return None
        return found

    def _keep(self, volume_id: str, state: dict[str, Any], to: RemoteConnection) -> None:
        place = self._place(volume_id)
        for name, text in (
            (names.AUTHORITY, to.authority), (names.CLIENT, to.certificate), (STATE, json.dumps(state)),
        ):  # fmt: skip
            certificates.write_file(place / name, text.encode(), 0o600)
        for name in (names.AUTHORITY, names.CLIENT, names.CLIENT_KEY):
            self._owner.take(place / name)
