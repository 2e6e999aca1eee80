"""The data directory: where everything is kept, locked against a second process.

data_dir/           0711: QEMU's user passes through to nc/
  .lock             flock of the process that runs
  ca.pem ca.key tls.pem tls.key identity.pem identity.key cloud.pem cloud.key master.key
  clc/ walrus/ cc/  0700: rows and objects
  nc/               instances, image cache, rows
  libvirt/          libvirt's own files (qemu:///embed)
  logs/ demo/
"""

import fcntl
import hashlib
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRIVATE = ("clc", "walrus", "cc", "logs", "demo")
LONGEST_SOCKET_FOLDER = 60  # of the 107 bytes that a unix socket's path may have


class DataDirError(Exception):
    """The data directory cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class DataDir:
    path: Path

    @property
    def run_dir(self) -> Path:
        """Where sockets are: a short path, one for each data directory."""
        digest = hashlib.sha256(str(self.path).encode()).hexdigest()[:8]
        base = Path("/run/euca-box") if os.geteuid() == 0 else _user_run_dir()
        return base / digest

    @property
    def admin_socket(self) -> Path:
        return self.run_dir / "admin.sock"

    @property
    def libvirt_root(self) -> Path:
        """Beside the data where the path is short enough for libvirt's sockets, else below /run."""
        beside = self.path / "libvirt"
        return beside if len(str(beside)) <= LONGEST_SOCKET_FOLDER - 20 else self.run_dir / "libvirt"

    @property
    def tls(self) -> tuple[Path, Path]:
        return self.path / "tls.pem", self.path / "tls.key"

    @property
    def identity(self) -> tuple[Path, Path]:
        """Certificate and key by which instance identity documents are signed."""
        return self.path / "identity.pem", self.path / "identity.key"

    @property
    def cloud(self) -> tuple[Path, Path]:
        """Certificate and key to which bundled images are encrypted."""
        return self.path / "cloud.pem", self.path / "cloud.key"

    @property
    def flag(self) -> str:
        """` --data-dir D` for a command to type, or nothing at the default place."""
        return "" if self.path == default_data_dir() else f" --data-dir {self.path}"

    def make(self) -> None:
        """Make the folders. Raises DataDirError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o711)
            for name in PRIVATE:
                (self.path / name).mkdir(exist_ok=True)
                (self.path / name).chmod(0o700)
            for name in ("nc", "sc"):  # QEMU and storage daemons pass through to what is theirs
                (self.path / name).mkdir(exist_ok=True)
                (self.path / name).chmod(0o711)
            self.run_dir.mkdir(parents=True, exist_ok=True)
            self.run_dir.chmod(0o711)
        except OSError as error:
            raise DataDirError(
                f"cannot make {error.filename}: {error.strerror}. Choose another place with --data-dir."
            ) from None

    def lock(self) -> int:
        """Hold the directory until this process ends. Raises DataDirError when another one does."""
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DataDirError(
                f"{self.path} is in use by process {holder}. Stop it, or choose another --data-dir."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor

    def read_json(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.path / name).read_text())
        except FileNotFoundError:
            return {}
        return found

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Whole or not at all, 0600."""
        path = self.path / name
        fresh = path.with_name(path.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


def default_data_dir() -> Path:
    """/var/lib/euca-box for root, else XDG's place for the user's data (basedir-spec)."""
    if os.geteuid() == 0:
        return Path("/var/lib/euca-box")
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "euca-box"


def host_name() -> str:
    """The short name of this host, as it stands in nc@HOST."""
    return socket.gethostname().partition(".")[0] or "localhost"


def _user_run_dir() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/euca-box-{os.geteuid()}") / "euca-box"  # noqa: S108
