"""The loss plot: equal logs give equal bytes, long ones stay small, and damage is said in words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from curator.loss_plot import LOG, MOST_POINTS, PLOT, loss_plot, smoothed, thinned
from registry.errors import Refusal


def trial(folder: Path, losses: Iterable[float]) -> Path:
    folder.mkdir()
    lines = [json.dumps({"step": number, "loss": loss}) for number, loss in enumerate(losses, start=1)]
    (folder / LOG).write_text("\n".join(lines) + "\n")
    return folder


def test_equal_logs_give_equal_bytes_and_the_last_loss_is_written_on_it(tmp_path: Path) -> None:
    losses = [3.0 / step for step in range(1, 60)]
    first, second = (loss_plot(trial(tmp_path / name, losses)) for name in "ab")
    assert first == tmp_path / "a" / PLOT
    assert first.read_bytes() == second.read_bytes()
    text = "".join(ET.fromstring(first.read_text()).itertext())  # noqa: S314 - what we have just written
    assert f"{smoothed(np.array(losses))[-1]:.3f}" in text
    assert "loss" in text
    assert loss_plot(trial(tmp_path / "c", losses[::-1])).read_bytes() != first.read_bytes()


def test_what_is_there_is_not_drawn_again(tmp_path: Path) -> None:
    folder = trial(tmp_path / "a", [1.0])
    (folder / PLOT).write_text("there")
    assert loss_plot(folder).read_text() == "there"


def test_a_hundred_thousand_steps_make_a_small_file(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    path = loss_plot(trial(tmp_path / "long", (2 + draw.normal(0, 0.2, 100_000)).tolist()))
    assert path.stat().st_size < 150_000


def test_smooth_and_thin() -> None:
    values = np.arange(40.0)
    assert smoothed(values).tolist() == [0, *(values[1:] - 0.5).tolist()]
    assert len(thinned(np.ones(5 * MOST_POINTS + 3))) == MOST_POINTS
    assert thinned(values) is values


@pytest.mark.parametrize("text", ["{", '{"step": 1}\n', "[1]\n"])
def test_a_damaged_log_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / LOG).write_text(text)
    with pytest.raises(Refusal, match="damaged"):
        loss_plot(tmp_path)
    with pytest.raises(Refusal, match="FileNotFoundError"):
        loss_plot(tmp_path / "absent")
