"""`python -m benchmarks [NAME...]`: run all, or those named; each prints a table."""

import importlib
import sys

NAMES = ("ec2", "startup", "launch", "s3")


def main() -> None:
    asked = sys.argv[1:] or list(NAMES)
    if unknown := [name for name in asked if name not in NAMES]:
        sys.exit(f"unknown: {', '.join(unknown)}. Known: {', '.join(NAMES)}")
    for name in asked:
        print(f"\n== {name}", flush=True)
        sys.argv = [name]
        importlib.import_module(f"benchmarks.{name}").main()


main()
