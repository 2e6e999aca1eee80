"""What an instance used, drawn on the server: lines in SVG, with the numbers in words beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from euca_box.messages.cc import Sample
from euca_box.model.usage import Counters

WIDTH, HEIGHT = 600, 120
LONGEST_GAP = 3  # in measures: then the line breaks


@dataclass(frozen=True)
class Graph:
    """`lines` are points of SVG polylines; `last` and `most` in `unit`."""

    name: str
    unit: str
    lines: tuple[str, ...]
    last: float
    most: float


@dataclass(frozen=True)
class Rate:
    """Of the time between two samples."""

    at: float
    seconds: float
    before: Counters
    after: Counters

    def grown(self, value: Callable[[Counters], float]) -> float:
        return (value(self.after) - value(self.before)) / self.seconds


_GRAPHS: tuple[tuple[str, str, Callable[[Rate], float]], ...] = (
    ("CPU", "%", lambda r: 100 * r.grown(lambda c: c.cpu_seconds)),
    ("Memory", "MiB", lambda r: float(r.after.memory_mib)),
    ("Disk reads", "KiB/s", lambda r: r.grown(lambda c: c.disk_read_bytes) / 1024),
    ("Disk writes", "KiB/s", lambda r: r.grown(lambda c: c.disk_written_bytes) / 1024),
    ("Network in", "KiB/s", lambda r: r.grown(lambda c: c.net_in_bytes) / 1024),
    ("Network out", "KiB/s", lambda r: r.grown(lambda c: c.net_out_bytes) / 1024),
)


def graphs(samples: Sequence[Sample]) -> list[Graph]:
    """Nothing before there are two samples. Where the guest was started again its counters begin anew."""
    rates = [
        Rate(b.at, b.at - a.at, a.counters, b.counters)
        for a, b in pairwise(samples)
        if b.at > a.at and a.counters.cpu_seconds <= b.counters.cpu_seconds
    ]
    if not rates:
        return []
    return [_graph(name, unit, rates, value) for name, unit, value in _GRAPHS]


def _graph(name: str, unit: str, rates: list[Rate], value: Callable[[Rate], float]) -> Graph:
    values = [max(0.0, value(rate)) for rate in rates]
    most, first = max(values), rates[0].at - rates[0].seconds
    span = max(rates[-1].at - first, 1.0)
    lines: list[list[str]] = [[]]
    for before, rate, number in zip([None, *rates], rates, values, strict=False):
        if before is not None and rate.at - before.at > LONGEST_GAP * before.seconds:
            lines.append([])
        x = WIDTH * (rate.at - first) / span
        y = HEIGHT - (HEIGHT - 4) * (number / most if most else 0.0) - 2
        lines[-1].append(f"{x:.1f},{y:.1f}")
    return Graph(name, unit, tuple(" ".join(line) for line in lines), values[-1], most)
