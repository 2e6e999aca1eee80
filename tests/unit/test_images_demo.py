"""The parts of the demo image that need no guest: archive, partition table, stamp, package names."""

import json
import os
import shutil
import struct
import subprocess
import sys

import pytest

from euca_box.images import cpio, demo
from euca_box.images.demo_disk import with_partition
from euca_box.images.demo_packages import DemoError, kernel_package, run_tool
from euca_box.images.demo_tree import GUEST
from euca_box.images.inspect import open_image


def test_the_archive_has_the_layout_that_linux_reads(tmp_path):
    entries = [
        cpio.directory("etc"),
        cpio.file("etc/greeting", b"hello", 0o600),
        cpio.character_device("console", 5, 1),
    ]

    data = cpio.newc(entries)

    assert len(data) % 4 == 0
    assert data.count(cpio.MAGIC) == 4
    fields = [int(data[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
    assert fields[1] == 0o40755
    assert data.endswith(b"TRAILER!!!\0\0\0\0")
    (tmp_path / "archive").write_bytes(data)
    assert open_image(tmp_path / "archive").content == "ramdisk"


@pytest.mark.skipif(not shutil.which("busybox") or os.geteuid() != 0, reason="needs busybox and root")
def test_another_program_unpacks_the_archive(tmp_path):
    data = cpio.newc([cpio.directory("a"), cpio.file("a/b", b"content", 0o640)])
    subprocess.run(["busybox", "cpio", "-i", "-m"], input=data, cwd=tmp_path, check=True, capture_output=True)

    assert (tmp_path / "a" / "b").read_bytes() == b"content"
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o640


def test_the_partition_is_active_and_the_loader_stays_whole():
    loader = bytes(range(256)) * 8

    sector = with_partition(loader, 2048, 1000)

    assert (sector[:440], sector[512:]) == (loader[:440], loader[512:])
    assert struct.unpack("<B3xB3xII", sector[446:462]) == (0x80, 0x83, 2048, 1000)
    assert sector[510:512] == b"\x55\xaa"


def test_the_kernel_behind_the_meta_package_is_found():
    text = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n  Suggests: x\n"
    assert kernel_package(text) == "linux-image-6.1.0-56-cloud-amd64"
    with pytest.raises(DemoError, match="sources"):
        kernel_package("linux-image-cloud-amd64\n")


def test_a_tool_that_fails_or_is_missing_is_named():
    with pytest.raises(DemoError, match="no-such-tool is not installed"):
        run_tool(["no-such-tool"])
    with pytest.raises(DemoError, match="disk on fire"):
        run_tool([sys.executable, "-c", "import sys; sys.exit('disk on fire')"])
    with pytest.raises(DemoError, match="did not end"):
        run_tool(["sleep", "60"], seconds=0.1)


@pytest.fixture
def built(tmp_path):
    """What a finished build leaves, without building."""
    names = ("vmlinuz", "initrd", "root.ext4", "disk.raw")
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    stamp = {"inputs": demo._inputs(), "packages": [], "sizes": dict.fromkeys(names, 1)}
    (tmp_path / demo.STAMP).write_text(json.dumps(stamp))
    return tmp_path


@pytest.fixture
def no_packages(monkeypatch):
    def refuse(*_):
        raise DemoError("apt was asked")

    monkeypatch.setattr("euca_box.images.demo_packages.fetch_packages", refuse)


@pytest.mark.usefixtures("no_packages")
def test_what_is_built_is_not_built_again(built):
    said = []

    image = demo.build_demo(built, said.append)

    assert said == ["the demo image is there already"]
    assert image.disk == built / "disk.raw"


@pytest.mark.usefixtures("no_packages")
@pytest.mark.parametrize("damage", ["missing", "cut", "old", "stamp"])
def test_a_half_or_old_image_is_built_again_and_a_failure_leaves_no_litter(built, damage):
    if damage == "missing":
        (built / "disk.raw").unlink()
    elif damage == "cut":
        (built / "initrd").write_bytes(b"")
    elif damage == "old":
        stamp = json.loads((built / demo.STAMP).read_text())
        (built / demo.STAMP).write_text(json.dumps({**stamp, "inputs": "older"}))
    else:
        (built / demo.STAMP).write_text("[1")

    with pytest.raises(DemoError, match="apt was asked"):
        demo.build_demo(built, lambda line: None)

    assert not list(built.glob(".building-*"))


@pytest.mark.parametrize(
    "script",
    sorted(p for p in GUEST.rglob("*") if p.is_file() and p.read_bytes().startswith(b"#!")),
    ids=lambda p: p.name,
)
def test_every_script_of_the_guest_is_one_that_sh_understands(script):
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
