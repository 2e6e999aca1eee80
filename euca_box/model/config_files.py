"""Where settings come from, for those who only ask whether there are any."""

import os
from collections.abc import Mapping
from pathlib import Path

SYSTEM_FILE = Path("/etc/euca-box/config.toml")
SYSTEM_FOLDER = Path("/etc/euca-box/conf.d")
PREFIX = "EUCA_BOX__"


def are_there(environment: Mapping[str, str] = os.environ) -> bool:
    """A file, or a variable. Without any, all settings have their defaults."""
    return (
        SYSTEM_FILE.exists()
        or any(SYSTEM_FOLDER.glob("*.toml"))
        or any(name.startswith(PREFIX) for name in environment)
    )
