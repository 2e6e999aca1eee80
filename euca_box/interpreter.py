"""Python itself, set for a process that holds many records, lives long and commits in threads.

Records are no garbage, and a full collection looks at every one of them: with 100,000 it stops the process
for a tenth of a second. And a thread that comes back from the disk waits until the loop's lets it go on: by
default up to 5 ms, after each statement.
"""

import gc
import sys

# New objects before a collection of the young, and how many of those before the next elder are looked at.
THRESHOLDS = (10_000, 2, 200)
SWITCH_SECONDS = 0.0002


def settle() -> None:
    """Called when all is loaded: what is there now is looked at no more, and all of the rest seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)
