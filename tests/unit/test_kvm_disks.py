"""Disks are made private, never over something, and with every format named."""

import json
import os
import subprocess

import pytest

from euca_box.kvm.disks import Owner, create_formatted, create_overlay, create_raw, virtual_size_bytes
from euca_box.kvm.hypervisor import KvmError

MIB = 1 << 20
OWNER = Owner(os.geteuid())


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "base"
    path.write_bytes(b"\x55" * MIB)
    return path


@pytest.mark.trio
async def test_an_overlay_reads_its_base_and_names_its_format(base, tmp_path):
    disk = tmp_path / "disk"

    await create_overlay(disk, base, "raw", 4 * MIB)

    found = subprocess.run(
        ["qemu-img", "info", "-f", "qcow2", "--output=json", disk], capture_output=True, check=True
    )
    info = json.loads(found.stdout)
    assert (info["virtual-size"], info["backing-filename"], info["backing-filename-format"]) == (
        4 * MIB,
        str(base),
        "raw",
    )
    assert disk.stat().st_mode & 0o777 == 0o600
    assert await virtual_size_bytes(disk, "qcow2") == 4 * MIB


@pytest.mark.trio
async def test_a_base_that_a_guest_filled_with_a_qcow2_header_stays_raw(base, tmp_path):
    with base.open("r+b") as file:
        file.write(b"QFI\xfb\0\0\0\3" + b"\0" * 8 + b"/etc/passwd")

    await create_overlay(tmp_path / "disk", base, "raw", MIB)

    assert await virtual_size_bytes(base, "raw") == MIB
    out = tmp_path / "out"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", tmp_path / "disk", out], check=True)
    assert out.read_bytes() == base.read_bytes()


@pytest.mark.trio
async def test_a_disk_is_never_smaller_than_its_image(base, tmp_path):
    with pytest.raises(KvmError, match="smaller than its image"):
        await create_overlay(tmp_path / "disk", base, "raw", MIB // 2)
    assert not (tmp_path / "disk").exists()


@pytest.mark.trio
async def test_what_exists_is_never_overwritten_even_through_a_link(base, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (base, tmp_path / "link"):
        with pytest.raises(FileExistsError):
            await create_overlay(path, base, "raw", MIB)
        with pytest.raises(FileExistsError):
            await create_raw(path, MIB)
    assert base.read_bytes() == b"\x55" * MIB
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.trio
async def test_a_failing_qemu_img_leaves_no_disk(base, tmp_path):
    with pytest.raises(KvmError, match="qemu-img"):
        await create_overlay(tmp_path / "disk", base, "qcow2", MIB)  # the base is not a qcow2
    assert not (tmp_path / "disk").exists()


@pytest.mark.trio
async def test_a_raw_disk_is_sparse_zeros(tmp_path):
    await create_raw(tmp_path / "disk", 64 * MIB)

    status = (tmp_path / "disk").stat()
    assert (status.st_size, status.st_mode & 0o777) == (64 * MIB, 0o600)
    assert status.st_blocks < 100


@pytest.mark.trio
@pytest.mark.parametrize("size_bytes", [0, -512, 513])
async def test_a_size_that_is_no_number_of_sectors_is_refused(tmp_path, size_bytes):
    with pytest.raises(KvmError, match="sectors"):
        await create_raw(tmp_path / "disk", size_bytes)
    assert not (tmp_path / "disk").exists()


@pytest.mark.trio
@pytest.mark.parametrize(("kind", "magic"), [("ext4", (1080, b"\x53\xef")), ("swap", (4086, b"SWAPSPACE2"))])
async def test_an_empty_disk_is_formatted_with_its_label_and_stays_sparse(tmp_path, kind, magic):
    disk = tmp_path / "disk"

    await create_formatted(disk, 1024 * MIB, kind, "ephemeral0", OWNER)

    with disk.open("rb") as file:
        data = file.read(8 * MIB)
    offset, expected = magic
    assert data[offset : offset + len(expected)] == expected
    assert b"ephemeral0" in data
    assert disk.stat().st_size == 1024 * MIB
    assert disk.stat().st_blocks * 512 < 64 * MIB
    assert disk.stat().st_mode & 0o777 == 0o600


@pytest.mark.trio
async def test_a_disk_that_cannot_be_formatted_is_not_left_behind(tmp_path):
    disk = tmp_path / "disk"

    with pytest.raises(KvmError, match="mkfs"):
        await create_formatted(disk, 1024, "ext4", "ephemeral0", OWNER)

    assert not disk.exists()


@pytest.mark.trio
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
async def test_what_formats_a_disk_has_no_more_rights_than_its_owner(tmp_path):
    disk = tmp_path / "disk"

    with pytest.raises(KvmError, match="denied"):
        await create_formatted(disk, MIB, "ext4", "ephemeral0", Owner(65501, lambda path, uid, gid: None))

    assert not disk.exists()
