"""A disk that boots by UEFI only: GRUB on an EFI system partition, and the demo image's root behind it."""

import shutil
import subprocess
from pathlib import Path

from euca_box.images.demo import COMMAND_LINE, DemoImage

TOOLS = ("grub-mkstandalone", "mformat", "mcopy", "mmd", "sfdisk")
MIB = 1 << 20
ESP_MIB = 40
TABLE = f"label: gpt\nstart=1MiB, size={ESP_MIB}MiB, type=uefi\nstart={ESP_MIB + 1}MiB, type=linux\n"
SCRIPT = f"""\
serial --unit=0 --speed=115200
terminal_output console serial
search --file --set=root /vmlinuz
linux /vmlinuz {COMMAND_LINE.replace("/dev/vda", "/dev/vda2")}
initrd /initrd
boot
"""
MODULES = "part_gpt fat linux serial terminal search search_fs_file normal boot echo"


def missing() -> list[str]:
    have = [tool for tool in TOOLS if shutil.which(tool)]
    wanted = [] if Path("/usr/lib/grub/x86_64-efi").exists() else ["grub-efi-amd64-bin"]
    return [tool for tool in TOOLS if tool not in have] + wanted


def build(folder: Path, demo: DemoImage) -> Path:
    disk, loader, script = folder / "uefi.raw", folder / "BOOTX64.EFI", folder / "grub.cfg"
    script.write_text(SCRIPT)
    modules = [f"--install-modules={MODULES}", f"--modules={MODULES}", "--locales=", "--themes=", "--fonts="]
    config = f"boot/grub/grub.cfg={script}"
    run("grub-mkstandalone", "-O", "x86_64-efi", "-o", str(loader), *modules, config)
    root = demo.root.read_bytes()
    with disk.open("wb") as file:
        file.truncate((ESP_MIB + 2) * MIB + len(root))
        file.seek((ESP_MIB + 1) * MIB)
        file.write(root)
    subprocess.run(["sfdisk", "-q", str(disk)], input=TABLE, text=True, check=True)
    esp = f"{disk}@@1M"
    run("mformat", "-i", esp, "-F", "-T", str(ESP_MIB * MIB // 512), "::")
    run("mmd", "-i", esp, "::EFI", "::EFI/BOOT")
    for source, target in (
        (loader, "EFI/BOOT/BOOTX64.EFI"),
        (demo.kernel, "vmlinuz"),
        (demo.ramdisk, "initrd"),
    ):
        run("mcopy", "-i", esp, str(source), f"::{target}")
    return disk


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
