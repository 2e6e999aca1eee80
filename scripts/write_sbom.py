"""What is in a package of ours, and checksums of what lies in dist/: dist/euca-box.cdx.json, dist/SHA256SUMS.

    python scripts/write_sbom.py

CycloneDX 1.5: every distribution that euca-box needs, as it is installed here.
"""

import hashlib
import json
import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def main() -> None:
    DIST.mkdir(exist_ok=True)
    document = bill(distribution("euca-box"))
    (DIST / "euca-box.cdx.json").write_text(json.dumps(document, indent=1) + "\n")
    files = sorted(p for p in DIST.iterdir() if p.is_file() and p.name != "SHA256SUMS")
    lines = (f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files)
    (DIST / "SHA256SUMS").write_text("".join(lines))
    print(f"{len(document['components'])} components, {len(files)} files")


def bill(root: Distribution) -> dict[str, Any]:
    found: dict[str, Distribution] = {}
    _collect(root, found)
    found.pop(_normal(root.name), None)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": _component(root) | {"type": "application"}},
        "components": [_component(one) for _, one in sorted(found.items())],
    }


def _collect(one: Distribution, found: dict[str, Distribution]) -> None:
    """Its requirements, and theirs; what only extras need is left out."""
    found[_normal(one.name)] = one
    for text in one.requires or ():
        match = _NAME.match(text)
        if match is None or "extra ==" in text or _normal(match[0]) in found:
            continue
        try:
            _collect(distribution(match[0]), found)
        except PackageNotFoundError:
            continue  # of another platform or Python


def _component(one: Distribution) -> dict[str, Any]:
    name = _normal(one.name)
    licence = one.metadata.get("License-Expression") or one.metadata.get("License") or ""
    component = {
        "type": "library",
        "name": name,
        "version": one.version,
        "purl": f"pkg:pypi/{name}@{one.version}",
    }
    short = licence.strip().partition("\n")[0][:80]
    return component | ({"licenses": [{"license": {"name": short}}]} if short else {})


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
