"""Rates are those of the last steps, and the time left follows from them."""

from __future__ import annotations

from trainers.meter import RECENT, Meter, memory, peak_of_devices


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rates_of_an_even_run() -> None:
    clock = Clock()
    meter = Meter(10, peak_flops=1000.0, clock=clock)
    for _ in range(4):
        clock.now += 2.0
        meter.add(samples=6, tokens=100, flops=900.0)
    figures = meter.figures()
    assert figures.pop("memory_bytes") > 1e7
    assert figures == {"samples_per_second": 3.0, "tokens_per_second": 50.0, "seconds_left": 12.0, "mfu": 0.45}


def test_slow_first_steps_are_forgotten_and_a_run_gone_on_with_counts_what_is_left() -> None:
    clock = Clock()
    meter = Meter(200, start=100, clock=clock)
    clock.now += 1000
    meter.add(1, 1)
    for _ in range(RECENT):
        clock.now += 1
        meter.add(2, 10)
    figures = meter.figures()
    assert figures["samples_per_second"] == 2.0
    assert figures["seconds_left"] == 200 - 100 - 1 - RECENT
    assert "mfu" not in figures


def test_before_the_first_step_there_is_nothing_to_divide_by() -> None:
    assert Meter(5, clock=Clock()).figures()["samples_per_second"] == 0.0


def test_a_cpu_has_no_peak() -> None:
    assert peak_of_devices("cpu", 2) is None
    assert memory() > 1e7
