"""A key is written into a file system that is not mounted: one line more, in order, nothing outside of it."""

import os
import subprocess

import pytest

from euca_box.images.inject import InjectError, inject_key

pytestmark = pytest.mark.trio
UID = 65501 if os.geteuid() == 0 else os.geteuid()
KEY = "ssh-ed25519 AAAAC3Nz alice"


@pytest.fixture
def given_image(tmp_path):
    # Above it a folder that the jail's user may pass through.
    os.chmod(tmp_path, 0o711)
    for parent in tmp_path.parents[:2]:
        os.chmod(parent, 0o711)

    def make(kind="ext4"):
        tree = tmp_path / "tree"
        (tree / "root").mkdir(parents=True)
        image = tmp_path / "image"
        image.write_bytes(bytes(16 << 20))
        subprocess.run([f"mkfs.{kind}", "-q", "-d", tree, image], check=True)
        os.chown(image, UID, UID)
        image.chmod(0o600)
        return image

    return make


def shown(image, command) -> str:
    return subprocess.run(
        ["debugfs", "-R", command, image], capture_output=True, text=True, check=True
    ).stdout


def is_in_order(image) -> bool:
    return subprocess.run(["e2fsck", "-fn", image], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
async def test_the_key_is_root_s_and_the_file_system_is_in_order(given_image, kind):
    image = given_image(kind)

    await inject_key(image, KEY, UID)

    assert shown(image, "cat /root/.ssh/authorized_keys") == KEY + "\n"
    for path, mode in (("/root/.ssh", "0700"), ("/root/.ssh/authorized_keys", "0600")):
        stat = " ".join(shown(image, f"stat {path}").split())
        assert f"Mode: {mode}" in stat
        assert "User: 0 Group: 0" in stat
    assert is_in_order(image)


async def test_the_keys_that_were_there_stay(given_image):
    image = given_image()
    await inject_key(image, "ssh-rsa first", UID)

    await inject_key(image, KEY, UID)

    assert shown(image, "cat /root/.ssh/authorized_keys") == f"ssh-rsa first\n{KEY}\n"
    assert is_in_order(image)


@pytest.mark.parametrize("content", [bytes(1 << 20), os.urandom(1 << 20)], ids=["zeros", "noise"])
async def test_what_is_no_file_system_is_refused_and_not_changed(tmp_path, content):
    os.chmod(tmp_path, 0o711)
    image = tmp_path / "image"
    image.write_bytes(content)
    os.chown(image, UID, UID)

    with pytest.raises(InjectError, match="no ext file system"):
        await inject_key(image, KEY, UID)

    assert image.read_bytes() == content


async def test_a_link_in_the_file_system_leads_nowhere_on_the_host(given_image, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o666)
    image = given_image()
    commands = f"cd /root\nsymlink .ssh {tmp_path}\n"
    subprocess.run(
        ["debugfs", "-w", "-f", "-", image], input=commands, text=True, capture_output=True, check=True
    )

    with pytest.raises(InjectError):
        await inject_key(image, KEY, UID)

    assert victim.read_text() == "precious"
    assert not (tmp_path / "authorized_keys").exists()
