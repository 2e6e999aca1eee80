"""The demo guest takes its name, keys and orders from the metadata service, by IMDSv2 or by v1.

QEMU's own user network and a metadata server in a thread stand for the cloud: no root, no taps.
"""

import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from euca_box.images.demo import COMMAND_LINE
from tests.kvm import real

pytestmark = [
    pytest.mark.kvm,
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="needs QEMU"),
]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4Zq0x7Z8 somebody@example.com"
VALUES = {
    "meta-data/instance-id": "i-4e9f08a1",
    "meta-data/local-hostname": "ip-10-0-0-5$(poweroff).internal",
    "meta-data/public-keys/0/openssh-key": KEY + "\n",
    "meta-data/local-ipv4": "10.0.0.5",
    "meta-data/public-ipv4": "203.0.113.9",
    "user-data": "#!/bin/sh\necho user data says $((6 * 7))\n",
}
# A connection of QEMU's user network is standard input and output; the metadata server is the other end.
RELAY = """
import os, socket, sys, threading
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def up():
    while data := os.read(0, 65536):
        peer.sendall(data)
threading.Thread(target=up, daemon=True).start()
while data := peer.recv(65536):
    os.write(1, data)
"""


class Metadata(BaseHTTPRequestHandler):
    token: str | None = "TOKEN=="

    def do_PUT(self):
        self._answer(200, self.token) if self.token else self._answer(404, "")

    def do_GET(self):
        path = self.path.removeprefix("/latest/")
        if self.headers.get("X-aws-ec2-metadata-token") != self.token:
            self._answer(401, "")
        elif path in VALUES:
            self._answer(200, VALUES[path])
        else:
            self._answer(404, "no such thing")

    def _answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@contextmanager
def given_metadata(version):
    handler = type("Handler", (Metadata,), {"token": "TOKEN==" if version == 2 else None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Guest:
    def __init__(self, tmp_path, metadata_port):
        image = real.demo()
        relay = tmp_path / "relay.py"
        relay.write_text(RELAY)
        self.console = tmp_path / "serial"
        relayed = f"guestfwd=tcp:169.254.169.254:80-cmd:{sys.executable} {relay} {metadata_port}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.ssh_port = free.getsockname()[1]
        network = f"user,id=n,net=169.254.169.0/24,{relayed},hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"
        root = tmp_path / "root.ext4"
        shutil.copyfile(image.root, root)
        subprocess.run(["qemu-img", "resize", "-q", "-f", "raw", root, "100M"], check=True)
        self.process = subprocess.Popen(
            [
                *(
                    "qemu-system-x86_64",
                    "-accel",
                    "tcg,tb-size=32",
                    "-cpu",
                    "max",
                    "-m",
                    "128",
                    "-nodefaults",
                ),
                *("-display", "none", "-chardev", f"socket,id=s,path={self.console},server=on,wait=on"),
                *("-serial", "chardev:s", "-kernel", image.kernel, "-initrd", image.ramdisk),
                *("-append", COMMAND_LINE, "-drive", f"file={root},format=raw,if=virtio"),
                *("-netdev", network, "-device", "virtio-net-pci,netdev=n,romfile="),
            ]
        )
        self.seen = b""
        self.serial = socket.socket(socket.AF_UNIX)
        ends = time.monotonic() + 20
        while self.serial.connect_ex(str(self.console)) and time.monotonic() < ends:
            time.sleep(0.02)
        self.serial.settimeout(real.BOOT_SECONDS)

    def wait_for(self, words):
        while words not in self.seen:
            data = self.serial.recv(65536)
            assert data, f"the guest stopped without saying {words!r}: {self.seen[-1000:]!r}"
            self.seen += data

    def type(self, text):
        self.serial.sendall(text.encode() + b"\n")

    def stop(self):
        self.serial.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture(params=[2, 1], ids=["IMDSv2", "v1"])
def guest(request, tmp_path):
    with given_metadata(request.param) as port:
        started = Guest(tmp_path, port)
        try:
            yield started
        finally:
            started.stop()


def test_the_guest_does_what_the_metadata_says(guest):
    guest.wait_for(b"-----END SSH HOST KEY FINGERPRINTS-----")
    guest.wait_for(b"euca-box demo: ready i-4e9f08a1 local 10.0.0.5 public 203.0.113.9")
    assert guest.seen.count(b"Fingerprint: SHA256:") == 2
    assert b"user data says 42" in guest.seen

    with socket.create_connection(("127.0.0.1", guest.ssh_port), timeout=30) as ssh:
        assert ssh.recv(64).startswith(b"SSH-2.0-dropbear")

    guest.type("cmp /root/.ssh/authorized_keys /home/ec2-user/.ssh/authorized_keys; echo same-$?")
    guest.wait_for(b"same-0")
    guest.type("cat /home/ec2-user/.ssh/authorized_keys; echo name-$(hostname)-end")
    guest.wait_for(b"somebody@example.com")
    guest.wait_for(b"name-ip-10-0-0-5poweroff-end")
    guest.type("echo mib-$(($(df -k / | tail -n 1 | awk '{print $2}') / 1024 > 80))-more")
    guest.wait_for(b"mib-1-more")
    guest.type("grep -c root /var/lib/cloud/user-data; ls -ld /root/.ssh | cut -c 1-10")
    guest.wait_for(b"drwx------")
