"""Makes file systems and a bootable disk out of a folder, without loop devices: mke2fs -d and grub-mkimage.

The disk has an MBR, GRUB's core in the gap behind it, and one ext4 partition at 1 MiB.
"""

import struct
from pathlib import Path

from euca_box.images.demo_packages import run_tool

SECTOR = 512
MIB = 1 << 20
PARTITION_START_BYTES = MIB
# Debian 12's GRUB and kernel know neither of these two features of e2fsprogs 1.47.
EXT4_FEATURES = "^orphan_file,^metadata_csum_seed"
GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "serial", "terminal", "linux", "boot", "echo")
GRUB_SCRIPT = """\
serial --unit=0 --speed=115200
terminal_output console serial
set root=(hd0,msdos1)
linux /boot/vmlinuz root=/dev/vda1 console=ttyS0 no_timer_check quiet
initrd /boot/initrd
boot
"""


def make_filesystem(tree: Path, target: Path, size_bytes: int, offset_bytes: int = 0) -> None:
    """ext4 with the tree's content, at the offset of the target file. Raises DemoError."""
    with target.open("ab") as file:
        file.truncate(offset_bytes + size_bytes)
    # Blocks of 4 KiB and the reserved table, so that the file system can grow a thousandfold while mounted.
    shape = ["-t", "ext4", "-b", "4096", "-N", "2048", "-m", "0", "-J", "size=4", "-O", EXT4_FEATURES]
    extra = f"offset={offset_bytes},root_owner=0:0,lazy_itable_init=1"
    blocks = str(size_bytes // 4096)
    run_tool(["mke2fs", "-q", "-F", *shape, "-E", extra, "-L", "euca-box", "-d", tree, target, blocks])


def make_disk(tree: Path, target: Path, size_bytes: int, loader: bytes) -> None:
    """A whole disk that boots the tree by BIOS; loader is what boot_loader() returned. Raises DemoError."""
    make_filesystem(tree, target, size_bytes - PARTITION_START_BYTES, PARTITION_START_BYTES)
    sectors = (size_bytes - PARTITION_START_BYTES) // SECTOR
    with target.open("r+b") as file:
        file.write(with_partition(loader, PARTITION_START_BYTES // SECTOR, sectors))


def with_partition(loader: bytes, first_sector: int, sectors: int) -> bytes:
    """The loader with one active Linux partition in the table of its first sector."""
    # Status, CHS (unused: FE FF FF), type 0x83, CHS, first sector, number of sectors; UEFI 2.10, 5.2.1.
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", first_sector, sectors)
    table = entry + bytes(48) + b"\x55\xaa"
    return loader[:440] + b"euca" + bytes(2) + table + loader[SECTOR:]


def boot_loader(grub_common: Path, grub_pc: Path, libraries: list[Path], workspace: Path) -> bytes:
    """GRUB's boot sector followed by its core, for the first bytes of a disk. Raises DemoError."""
    modules = grub_pc / "usr/lib/grub/i386-pc"
    script = workspace / "grub.cfg"
    script.write_text(GRUB_SCRIPT)
    core = workspace / "core.img"
    path = ":".join(str(folder) for folder in libraries)
    build: list[str | Path] = [
        "--directory",
        modules,
        "--config",
        script,
        "--prefix",
        "(hd0,msdos1)/boot/grub",
        "--output",
        core,
    ]
    tool = grub_common / "usr/bin/grub-mkimage"
    run_tool(
        ["env", f"LD_LIBRARY_PATH={path}", tool, "--format", "i386-pc", *build, *GRUB_MODULES],
    )
    # boot.img loads the sector at 0x5c, which is 1 unless told; the core knows its own length (GRUB, boot.S).
    loader = (modules / "boot.img").read_bytes() + core.read_bytes()
    if len(loader) > PARTITION_START_BYTES:
        raise ValueError(f"GRUB's core of {len(loader)} bytes does not fit before the partition")
    return loader
