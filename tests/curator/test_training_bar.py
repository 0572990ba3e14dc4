"""What the terminal says while a model is trained."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from curator.training_bar import described, time_left, training_bar

EVENT: dict[str, Any] = {
    "event": "progress",
    "step": 120,
    "steps": 400,
    "loss": 1.23456,
    "tokens_per_second": 10432.7,
    "samples_per_second": 12.5,
    "mfu": 0.463,
    "memory_bytes": 71.5 * (1 << 30),
    "seconds_left": 3723.4,
}


def test_an_event_in_words() -> None:
    expected = "loss 1.235 · 10,433 tokens/s · 12.5 samples/s · 46.3% MFU · 71.5 GiB"
    assert described(EVENT) == expected
    assert time_left(EVENT) == "1:02:03 left"
    on_cpu = {name: value for name, value in EVENT.items() if name != "mfu"}
    assert described(on_cpu) == expected.replace(" · 46.3% MFU", "")
    assert described({"event": "resumed"}) == time_left({}) == ""


def test_the_bar_shows_steps_speed_and_time_left() -> None:
    screen = io.StringIO()
    with training_bar("training [mix]", Console(file=screen, force_terminal=True, width=160)) as listen:
        listen({"event": "resumed", "step": 3})
        listen(EVENT)
    shown = screen.getvalue()
    for told in ("training [mix]", "120/400", "10,433 tokens/s", "46.3% MFU", "1:02:03 left"):
        assert told in shown


def test_without_a_terminal_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with training_bar("x") as listen:
        listen(EVENT)
    assert capsys.readouterr() == ("", "")
