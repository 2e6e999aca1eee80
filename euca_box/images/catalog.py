"""The catalogue: images that can be made here by a recipe, or fetched by URL and checksum. TOML.

[debian-12]
recipe = "debian"              # demo or debian
description = "..."

[alpine]
url = "https://example.com/alpine.qcow2.xz"
sha256 = "..."                 # of the file as it comes
kernel = "https://..."         # for a bare file system; ramdisk likewise
kernel_sha256 = "..."
"""

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

BUILT_IN = Path(__file__).parent / "catalog.toml"
SITE = "catalog.toml"  # in the data directory
RECIPES = ("demo", "debian")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,63}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class CatalogError(Exception):
    """The file cannot be used; the text says where and why."""


@dataclass(frozen=True)
class Entry:
    """One image: of a recipe, or of a URL."""

    name: str
    description: str = ""
    recipe: str = ""
    suite: str = ""
    size_mib: int = 0
    url: str = ""
    sha256: str = ""
    kernel: str = ""
    kernel_sha256: str = ""
    ramdisk: str = ""
    ramdisk_sha256: str = ""

    @property
    def how(self) -> str:
        return f"recipe {self.recipe}" if self.recipe else self.url


def read_catalog(folder: Path) -> dict[str, Entry]:
    """What is built in, and the site's own. Raises CatalogError."""
    found = _read(BUILT_IN)
    site = folder / SITE
    return found | _read(site) if site.exists() else found


def _read(path: Path) -> dict[str, Entry]:
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(f"{path}: {error}") from None
    return {name: _entry(path, name, table) for name, table in tables.items()}


def _entry(path: Path, name: str, table: Any) -> Entry:
    where = f"{path}: [{name}]"
    if not isinstance(table, dict) or not _NAME.fullmatch(name):
        raise CatalogError(f"{where} is no table of an image")
    known = {f.name: int if f.type in (int, "int") else str for f in fields(Entry) if f.name != "name"}
    for key, value in table.items():
        if key not in known:
            raise CatalogError(f"{where} {key} is unknown; known here: {', '.join(known)}")
        if type(value) is not known[key]:
            raise CatalogError(f"{where} {key} must be {'a number' if known[key] is int else 'a text'}")
    entry = Entry(name, **table)
    if (entry.recipe in RECIPES) == bool(entry.url) or (entry.recipe and entry.recipe not in RECIPES):
        raise CatalogError(f"{where} must have either a url, or a recipe: {' or '.join(RECIPES)}")
    for url, sha256 in (
        (entry.url, "sha256"),
        (entry.kernel, "kernel_sha256"),
        (entry.ramdisk, "ramdisk_sha256"),
    ):
        if url and not _SHA256.fullmatch(getattr(entry, sha256)):
            raise CatalogError(f"{where} {sha256} must be the SHA-256 of {url}, 64 hex digits")
    return entry
