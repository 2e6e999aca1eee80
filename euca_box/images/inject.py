"""Writes an SSH key into an ext file system, for images that do not ask the metadata. Not mounted: debugfs.

As Eucalyptus 1.6.2 did it, /root/.ssh/authorized_keys gets one line more. The file system is a user's, so
debugfs (e2fsprogs) runs in the jail of convert.py: as an unprivileged user, without network, with limits.
"""

import os
import tempfile
from pathlib import Path

import trio

from euca_box.images.convert import jail

SECONDS = 30.0
LONGEST_KEYS = 256 * 1024  # of authorized_keys as it was
READ = "cat /root/.ssh/authorized_keys"
SCRIPT = """\
set_inode_field /root/.ssh mode 040700
set_inode_field /root/.ssh uid 0
set_inode_field /root/.ssh gid 0
rm /root/.ssh/authorized_keys
write {keys} /root/.ssh/authorized_keys
set_inode_field /root/.ssh/authorized_keys mode 0100600
set_inode_field /root/.ssh/authorized_keys uid 0
set_inode_field /root/.ssh/authorized_keys gid 0
"""


class InjectError(Exception):
    """The key is not in the file system; the text is for the log."""


async def inject_key(image: Path, public_key: str, uid: int) -> None:
    """Append the key. `image` is a raw file of uid's, without partitions. Raises InjectError, OSError."""
    before = await _debugfs(image, uid, "-R", READ)
    if len(before) > LONGEST_KEYS:
        raise InjectError("its authorized_keys is too long")
    keys = b"".join(line + b"\n" for line in [*before.splitlines(), public_key.strip().encode()] if line)
    with tempfile.TemporaryFile() as file:
        file.write(keys)
        file.flush()
        os.fchmod(file.fileno(), 0o644)  # opened anew by its name in /proc, by the jail's user
        script = SCRIPT.format(keys=f"/proc/self/fd/{file.fileno()}")
        if b"Type: directory" not in await _debugfs(image, uid, "-R", "stat /root/.ssh"):
            script = "mkdir /root/.ssh\n" + script  # where there is one it would leave a lost one behind
        await _debugfs(image, uid, "-w", "-f", "-", script=script, keep=(file.fileno(),))
    if await _debugfs(image, uid, "-R", READ) != keys:
        raise InjectError("debugfs did not write it: no ext file system, no /root, or no room")


async def _debugfs(
    image: Path, uid: int, *options: str, script: str = "", keep: tuple[int, ...] = ()
) -> bytes:
    """What it prints; its complaints go elsewhere, and its status tells nothing."""
    argv = ["debugfs", *options, str(image)]
    if os.geteuid() == 0:
        argv = [*jail(uid, uid, os.stat(image).st_size), *argv]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "DEBUGFS_PAGER": "cat"}
    with trio.move_on_after(SECONDS):
        done = await trio.run_process(
            argv,
            stdin=script.encode(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=environment,
            cwd="/",
            pass_fds=keep,
        )
        return bytes(done.stdout)
    raise InjectError(f"debugfs did not end within {SECONDS:g} s")
