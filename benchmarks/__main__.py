"""`python -m benchmarks [NAME...] [OPTION...]`: run all, or those named; each prints a table."""

import importlib
import sys

NAMES = (
    "ec2",
    "startup",
    "launch",
    "s3",
    "images",
    "soap",
    "bus",
    "volumes",
    "console",
    "network",
    "zone",
    "operate",
)


def main() -> None:
    first = next((n for n, word in enumerate(sys.argv) if word.startswith("-")), len(sys.argv))
    options = sys.argv[first:]
    asked = sys.argv[1:first] or list(NAMES)
    if unknown := [name for name in asked if name not in NAMES]:
        sys.exit(f"unknown: {', '.join(unknown)}. Known: {', '.join(NAMES)}")
    for name in asked:
        print(f"\n== {name}", flush=True)
        sys.argv = [name, *options]
        importlib.import_module(f"benchmarks.{name}").main()


main()
