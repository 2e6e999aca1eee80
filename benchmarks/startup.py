"""How long `euca-box run --roles all` takes until /readyz is good, and how much memory it then has.

Already initialised; the first start is shown beside it. Median of the later ones.
"""

import statistics
import time
from pathlib import Path

from benchmarks.real_cloud import data_folder, enter_own_network, real_cloud

STARTS = 3
AIM_SECONDS = 3.0
AIM_RSS_MIB = 150
IDLE_SECONDS = 10.0


def start(data_dir: Path) -> tuple[float, float]:
    """Seconds to /readyz, and to a node that is UP (the command that waits for it counts, too)."""
    with real_cloud(data_dir) as cloud:
        begin = time.perf_counter()
        cloud.wait_for_node()
        return cloud.ready_seconds, cloud.ready_seconds + time.perf_counter() - begin


def main() -> None:
    if not enter_own_network("benchmarks.startup"):
        return
    with data_folder() as data_dir:
        first, first_node = start(data_dir)
        later, nodes = [], []
        for _ in range(STARTS):
            ready, node = start(data_dir)
            later.append(ready)
            nodes.append(node)
        with real_cloud(data_dir) as cloud:
            cloud.wait_for_node()
            before = cloud.cpu_seconds()
            time.sleep(IDLE_SECONDS)
            rss, cpu = cloud.rss_mib(), cloud.cpu_seconds() - before
    print(f"{'first start (makes CA, database)':40}{first:8.2f} s")
    print(f"{'first start to a node that is UP':40}{first_node:8.2f} s")
    print(f"{'start to /readyz, median of 3':40}{statistics.median(later):8.2f} s    (aim: {AIM_SECONDS:g})")
    print(f"{'start to a node that is UP, median of 3':40}{statistics.median(nodes):8.2f} s")
    print(f"{'memory (RSS) after 10 s idle':40}{rss:8.0f} MiB  (aim: {AIM_RSS_MIB})")
    print(f"{'CPU while idle':40}{100 * cpu / IDLE_SECONDS:8.1f} %")


if __name__ == "__main__":
    main()
