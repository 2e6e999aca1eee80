"""UEFI firmware for guests: Debian's package ovmf. Without it guests boot by BIOS only."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("/usr/share/OVMF")
# The code, which all share, and the variables, of which each guest has a copy. The newer pair first.
PAIRS = (("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"), ("OVMF_CODE.fd", "OVMF_VARS.fd"))


@dataclass(frozen=True, slots=True)
class Firmware:
    code: Path
    variables: Path


def find_uefi(folder: Path = FOLDER) -> Firmware | None:
    for code, variables in PAIRS:
        if (folder / code).exists() and (folder / variables).exists():
            return Firmware(folder / code, folder / variables)
    return None
