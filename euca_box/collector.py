"""Python's garbage collector, set for a process that holds many records and lives long.

Records are no garbage, and a full collection looks at every one of them: with 100,000 it stops the process
for a tenth of a second.
"""

import gc

# New objects before a collection of the young, and how many of those before the next elder are looked at.
THRESHOLDS = (10_000, 2, 200)


def settle() -> None:
    """Called when all is loaded: what is there now is looked at no more, and all of the rest seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
