"""One file that is the whole program, for hosts without Python: dist/euca-box.

    python scripts/make_binary.py

Needs PyInstaller (the extra `package`). Beside it come its SHA-256 and a bill of materials.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
# Of tests and builds; some of them other packages import if they are there.
LEFT_OUT = (
    "pkg_resources",
    "setuptools",
    "pytest",
    "hypothesis",
    "boto3",
    "botocore",
    "mypy",
    "PIL.ImageTk",
    "tkinter",
)


def main() -> None:
    DIST.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        entry = Path(work) / "entry.py"
        entry.write_text("from euca_box.cli import main\n\nmain()\n")
        command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN", "--onefile"]
        command += ["--name", "euca-box", "--paths", str(ROOT), "--distpath", str(DIST)]
        command += ["--workpath", f"{work}/build", "--specpath", work]
        command += ["--collect-submodules", "euca_box", "--collect-data", "euca_box"]
        command += [word for name in LEFT_OUT for word in ("--exclude-module", name)]
        subprocess.run([*command, str(entry)], check=True)
    done = subprocess.run([DIST / "euca-box", "--version"], check=True, capture_output=True, text=True)
    print(done.stdout.strip(), f"{(DIST / 'euca-box').stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
