"""A Debian package of the binary in dist/: dist/euca-box_VERSION_ARCH.deb.

    python scripts/make_deb.py        # after make_binary.py and write_man_page.py

It has the program, its unit (not started), manual page, completions and the example of the configuration; it
needs the packages that scripts/bootstrap names.
"""

import gzip
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from euca_box import __version__
from euca_box.cli.service import unit_text
from euca_box.example import example

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
DEPENDS = (
    "qemu-system-x86, qemu-utils, libvirt-daemon-driver-qemu, libnftables1, nftables, dnsmasq-base, "
    "iproute2, e2fsprogs, adduser, kmod, openssh-client"
)
CONTROL = """\
Package: euca-box
Version: {version}
Architecture: {architecture}
Maintainer: The euca-box developers <euca-box@localhost>
Installed-Size: {kib}
Depends: {depends}
Recommends: busybox-static, cpio, xz-utils, zstd
Section: admin
Priority: optional
Description: EC2 and S3 compatible cloud with real virtual machines, in one program
 Cloud controller, object store, cluster, storage and node controller in one
 process, for a laptop, a demonstration or a rack: euca-box up.
"""
POSTINST = """\
#!/bin/sh
set -e
# libvirt looks this user up, and QEMU runs as it.
if ! getent passwd libvirt-qemu >/dev/null; then
    getent group kvm >/dev/null || addgroup --system --quiet kvm
    getent passwd 64055 >/dev/null && uid= || uid="--uid 64055"
    adduser --system --quiet --group $uid --no-create-home --home /nonexistent libvirt-qemu
    adduser --quiet libvirt-qemu kvm
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # A cloud that runs goes on with the new version; guests run on meanwhile.
    systemctl try-restart euca-box.service || true
fi
"""
PRERM = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now euca-box.service || true
fi
"""
SHELLS = {
    "bash": "usr/share/bash-completion/completions/euca-box",
    "zsh": "usr/share/zsh/vendor-completions/_euca-box",
    "fish": "usr/share/fish/vendor_completions.d/euca-box.fish",
}


def main() -> None:
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        fill(root)
        kib = sum(p.stat().st_size for p in root.rglob("*") if p.is_file()) // 1024
        control = CONTROL.format(version=__version__, architecture=architecture, kib=kib, depends=DEPENDS)
        put(root / "DEBIAN" / "control", control)
        put(root / "DEBIAN" / "postinst", POSTINST, 0o755)
        put(root / "DEBIAN" / "prerm", PRERM, 0o755)
        put(root / "DEBIAN" / "conffiles", "/etc/euca-box/config.toml\n")
        target = DIST / f"euca-box_{__version__}_{architecture}.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", root, target], check=True
        )


def fill(root: Path) -> None:
    program = root / "usr/bin/euca-box"
    program.parent.mkdir(parents=True)
    shutil.copyfile(DIST / "euca-box", program)
    program.chmod(0o755)
    put(root / "usr/lib/systemd/system/euca-box.service", unit_text("/usr/bin/euca-box"))
    put(root / "etc/euca-box/config.toml", "# Settings of euca-box: euca-box config example\n")
    put(root / "usr/share/doc/euca-box/config.toml.example", example())
    put(root / "usr/share/doc/euca-box/copyright", (ROOT / "LICENSE").read_text())
    manual = root / "usr/share/man/man1/euca-box.1.gz"
    manual.parent.mkdir(parents=True)
    manual.write_bytes(gzip.compress((DIST / "euca-box.1").read_bytes(), mtime=0))
    for shell, path in SHELLS.items():
        environment = os.environ | {"_EUCA_BOX_COMPLETE": f"{shell}_source"}
        done = subprocess.run([program], env=environment, capture_output=True, text=True, check=True)
        put(root / path, done.stdout)


def put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


if __name__ == "__main__":
    main()
