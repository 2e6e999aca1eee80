"""qcow2 becomes raw in a jail that a broken qemu-img could not use for anything."""

import os
import struct
import subprocess

import pytest
import trio

from euca_box.images.convert import ConvertError, convert_to_raw, flatten, jail
from euca_box.images.inspect import ImageRefused
from tests.unit.test_images_inspect import VECTORS

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
JAILED = 65502
MIB = 1 << 20


@pytest.fixture
def image(tmp_path):
    raw = tmp_path / "original"
    raw.write_bytes(os.urandom(MIB) + bytes(3 * MIB))
    made = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, made], check=True)
    os.chown(made, JAILED, JAILED)
    made.chmod(0o400)
    return made


async def _convert(source, target, **changes):
    options = {"limit_bytes": 4 * MIB, "uid": JAILED, "gid": JAILED, **changes}
    await convert_to_raw(source, "qcow2", target, **options)


@pytest.mark.trio
async def test_the_raw_disk_holds_what_the_image_held_and_belongs_to_us(image, tmp_path):
    target = tmp_path / "disk"

    await _convert(image, target)

    assert target.read_bytes() == (tmp_path / "original").read_bytes()
    status = target.stat()
    assert (status.st_uid, status.st_mode & 0o777) == (os.geteuid(), 0o600)
    assert status.st_blocks * 512 < 2 * MIB  # zeros stay holes


@pytest.mark.trio
async def test_a_disk_above_the_limit_is_not_even_begun(image, tmp_path):
    with pytest.raises(ConvertError, match="are allowed"):
        await _convert(image, tmp_path / "disk", limit_bytes=4 * MIB - 1)
    assert not (tmp_path / "disk").exists()


@pytest.mark.trio
@pytest.mark.parametrize("name", ["qcow2-backing-etc-passwd.qcow2", "qcow2-datafile.qcow2"])
async def test_an_image_that_was_exchanged_after_inspection_is_refused_again(tmp_path, name):
    with pytest.raises(ImageRefused):
        await _convert(VECTORS / name, tmp_path / "disk")
    assert not (tmp_path / "disk").exists()


@pytest.mark.trio
async def test_a_damaged_image_leaves_nothing_behind(image, tmp_path):
    with image.open("r+b") as file:
        [l1_offset] = struct.unpack(">Q", file.read(48)[40:])
        file.seek(l1_offset)
        file.write(struct.pack(">Q", 1 << 63 | 0x200))  # a table that does not begin at a cluster

    with pytest.raises(ConvertError, match="qemu-img failed"):
        await _convert(image, tmp_path / "disk")
    assert not (tmp_path / "disk").exists()


@pytest.mark.trio
async def test_qemu_img_is_ended_at_the_deadline(image, tmp_path):
    with pytest.raises(ConvertError, match="did not end"):
        await _convert(image, tmp_path / "disk", deadline_seconds=0.001)
    assert not (tmp_path / "disk").exists()


@pytest.mark.trio
async def test_a_target_that_exists_is_never_written_to(image, tmp_path):
    target = tmp_path / "disk"
    target.write_text("precious")

    with pytest.raises(FileExistsError):
        await _convert(image, target)
    assert target.read_text() == "precious"


def _in_jail(*argv, file_bytes=1000):
    command = [*jail(JAILED, JAILED, file_bytes), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, extra_groups=[0, 4])


def test_the_jail_has_no_rights_and_no_network(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("key")
    secret.chmod(0o600)

    status = dict(line.split(":", 1) for line in _in_jail("cat", "/proc/self/status").stdout.splitlines())
    assert status["Uid"].split() == status["Gid"].split() == [str(JAILED)] * 4
    assert status["Groups"].split() == []
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    devices = _in_jail("cat", "/proc/net/dev").stdout.splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    assert _in_jail("cat", secret).returncode != 0


def test_the_jail_writes_no_more_than_it_may(tmp_path):
    tmp_path.chmod(0o777)
    target = tmp_path / "big"
    done = _in_jail("dd", "if=/dev/zero", f"of={target}", "bs=500", "count=10")

    assert done.returncode != 0
    assert not target.exists() or target.stat().st_size <= 1000


@pytest.mark.trio
async def test_a_cancelled_conversion_leaves_nothing_behind(image, tmp_path):
    with trio.move_on_after(0.001) as scope:
        await _convert(image, tmp_path / "disk")

    assert scope.cancelled_caught
    assert not (tmp_path / "disk").exists()


@pytest.fixture
def overlay(tmp_path):
    """On a base that everybody may read, with some bytes of its own; and an empty target of its size."""
    tmp_path.chmod(0o711)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o711)
    base, made, target = tmp_path / "base", tmp_path / "overlay", tmp_path / "target"
    base.write_bytes(b"base" * (MIB // 4))
    base.chmod(0o444)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", made, "2M"], check=True
    )
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 0x41 65536 65536", made], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", target, "2M"], check=True)
    for path in (made, target):
        os.chown(path, JAILED, JAILED)
        path.chmod(0o600)
    return made


@pytest.mark.trio
async def test_a_flattened_disk_holds_what_the_guest_saw_and_stands_for_itself(overlay, tmp_path):
    await flatten(overlay, tmp_path / "target", 2 * MIB, uid=JAILED, gid=JAILED)

    (tmp_path / "base").unlink()
    await _convert(tmp_path / "target", tmp_path / "raw")
    raw = (tmp_path / "raw").read_bytes()
    assert raw[:65536] == b"base" * 16384
    assert raw[65536:131072] == b"A" * 65536
    assert raw[131072:MIB] == b"base" * ((MIB - 131072) // 4)
    assert raw[MIB:] == bytes(MIB)


@pytest.mark.trio
async def test_a_disk_whose_base_the_jail_may_not_read_is_not_flattened(overlay, tmp_path):
    (tmp_path / "base").chmod(0o400)
    with pytest.raises(ConvertError):
        await flatten(overlay, tmp_path / "target", 2 * MIB, uid=JAILED, gid=JAILED)
