"""Keys and certificates: readable by their owner only, and not past their time."""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from euca_box.auth.certificates import end_of
from euca_box.model.findings import Finding, fail, ok, warn

if TYPE_CHECKING:
    from euca_box.doctor.examination import Host

SECRET = ("master.key", "ca.key", "tls.key", "identity.key", "cloud.key", "host.key", "walrus/objects.key")
SOON = timedelta(days=30)


def files(host: "Host", fix: bool) -> Iterator[Finding]:
    open_ones = [path for path in _secrets(host.data.path) if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if not open_ones:
        yield ok("secrets", "keys and databases are readable by their owner only")
    for path in open_ones:
        text = f"{path} can be read by others"
        if fix:
            os.chmod(path, 0o600)
            yield Finding("secrets", "ok", f"{text}: its mode is 0600 now", fixed=True)
        else:
            yield fail(
                "secrets", text, f"chmod 600 {path} (euca-box doctor --fix does it). Whoever read it has it."
            )


def certificates(host: "Host", fix: bool) -> Iterator[Finding]:
    now = datetime.now(UTC)
    for path in (host.data.path / "ca.pem", host.data.tls[0], host.data.identity[0], host.data.cloud[0]):
        if not path.exists():
            continue
        try:
            ends = end_of(path)
        except ValueError as error:
            yield fail("certificates", f"{path} is no certificate: {error}", "Restore it from a backup.")
            continue
        if ends < now:
            yield fail("certificates", f"{path.name} ended on {ends:%Y-%m-%d}", _renew(path))
        elif ends < now + SOON:
            yield warn("certificates", f"{path.name} ends on {ends:%Y-%m-%d}", _renew(path))
        else:
            yield ok("certificates", f"{path.name} is good until {ends:%Y-%m-%d}")


def _renew(path: Path) -> str:
    if path.name == "tls.pem":
        return "Start euca-box again: it makes a new one."
    return f"Move {path} and its key away and start again: a new one is made, and clients must trust it anew."


def _secrets(folder: Path) -> Iterator[Path]:
    for name in SECRET:
        if (folder / name).exists():
            yield folder / name
