"""Graphs of the console: rates of what was measured, as lines."""

from euca_box.api.console.graphs import HEIGHT, WIDTH, graphs
from euca_box.messages.cc import Sample
from euca_box.model.usage import Counters


def sample(at: float, cpu: float, memory: int = 100, read: int = 0) -> Sample:
    return Sample(at, Counters(cpu, memory, read))


def test_one_measure_is_no_rate() -> None:
    assert graphs([]) == graphs([sample(0, 1)]) == []


def test_rates_are_of_the_time_between_two_measures() -> None:
    cpu, memory, reads, *_ = graphs([sample(0, 0), sample(60, 30, 120, 61440), sample(120, 45, 110, 61440)])
    assert (cpu.name, cpu.last, cpu.most) == ("CPU", 25.0, 50.0)
    assert (memory.last, memory.most) == (110.0, 120.0)
    assert (reads.last, reads.most) == (0.0, 1.0)
    assert cpu.lines == (f"{WIDTH / 2:.1f},2.0 {WIDTH:.1f},{HEIGHT - (HEIGHT - 4) / 2 - 2:.1f}",)


def test_a_guest_that_was_started_again_and_a_gap_break_the_line() -> None:
    samples = [sample(0, 0), sample(60, 30), sample(120, 1), sample(180, 2), sample(1000, 3), sample(1060, 4)]
    [cpu, *_] = graphs(samples)
    assert [len(line.split()) for line in cpu.lines] == [2, 2]


def test_nothing_used_is_a_line_at_the_bottom() -> None:
    [cpu, *_] = graphs([sample(0, 5), sample(60, 5)])
    assert (cpu.most, cpu.lines) == (0.0, (f"{WIDTH:.1f},{HEIGHT - 2:.1f}",))
