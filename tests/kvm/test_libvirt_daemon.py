"""libvirt as a daemon: it may be restarted or hang, and the node controller goes on with it afterwards.

A libvirtd of our own in a mount namespace, with libvirt's test driver behind it: no guest is started.
"""

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
import trio

from euca_box.kvm import libvirt_driver
from euca_box.kvm.accelerator import Accelerator
from euca_box.kvm.hypervisor import KvmError

pytestmark = [
    pytest.mark.kvm,
    pytest.mark.trio,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("libvirtd"), reason="needs root and libvirtd"),
]

COVERED = {
    "run": "/run/libvirt",
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
}
SETTINGS = """\
unix_sock_dir = "{folder}/run"
auth_unix_rw = "none"
auth_unix_ro = "none"
listen_tls = 0
"""


class Daemon:
    def __init__(self, folder) -> None:
        self.folder = folder
        self.uri = f"test+unix:///default?socket={folder}/run/libvirt-sock"
        for name in COVERED:
            (folder / name).mkdir()
        (folder / "libvirtd.conf").write_text(SETTINGS.format(folder=folder))

    def start(self) -> None:
        mounts = " && ".join(
            f"mkdir -p {path} && mount --bind {self.folder}/{name} {path}" for name, path in COVERED.items()
        )
        program = f"exec libvirtd -f {self.folder}/libvirtd.conf -p {self.folder}/pid"
        argv = ["unshare", "-m", "sh", "-c", f"{mounts} && {program}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self.answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            libvirt_driver.libvirt.open(self.uri).close()
        except libvirt_driver.libvirt.libvirtError:
            return False
        return True

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running(folder):
    daemon = Daemon(folder)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.kill()


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    monkeypatch.setattr(libvirt_driver, "KEEPALIVE_SECONDS", 1)
    monkeypatch.setattr(libvirt_driver, "KEEPALIVE_COUNT", 1)
    with running(tmp_path) as made:
        yield made


async def until_well(hypervisor) -> None:
    with trio.fail_after(30):
        while True:
            try:
                await hypervisor.domains()
                return
            except KvmError:
                await trio.sleep(0.1)


async def test_a_daemon_that_was_restarted_is_connected_to_again(daemon, tmp_path):
    found = Accelerator("tcg", "nothing runs here")
    async with libvirt_driver.open_libvirt(daemon.uri, tmp_path, 1, 1, found) as hypervisor:
        assert await hypervisor.domains() == []
        daemon.kill()
        with pytest.raises(KvmError):
            await hypervisor.domains()
        daemon.start()
        await until_well(hypervisor)


async def test_a_daemon_that_hangs_is_an_error_and_works_again_when_it_goes_on(daemon, tmp_path):
    found = Accelerator("tcg", "nothing runs here")
    async with libvirt_driver.open_libvirt(daemon.uri, tmp_path, 1, 1, found) as hypervisor:
        await hypervisor.domains()
        daemon.process.send_signal(signal.SIGSTOP)
        with pytest.raises(KvmError), trio.fail_after(30):
            await hypervisor.domains()
        daemon.process.send_signal(signal.SIGCONT)
        await until_well(hypervisor)
