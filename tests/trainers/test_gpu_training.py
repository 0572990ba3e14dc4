"""The script that measures training on a GPU runs whole on a CPU, at toy size, and judges what it finds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("accelerate")  # transformers' Trainer, which is measured beside ours, needs it

from tests.speed import gpu_training
from tests.speed.gpu_bench import Speed
from tests.speed.gpu_peers import best_fit


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_it_measures_every_method_at_toy_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = tmp_path / "found.json"
    assert gpu_training.main(["--size", "toy", "--seconds", "0.2", "--workers", "0", "--json", str(shown)]) == 0
    found = json.loads(shown.read_text())
    names = ["ours", "Trainer, 8 padded, recomputed", "Trainer, 4 padded", "packed peer"]
    assert list(found["methods"]) == names
    for name, speed in found["methods"].items():
        assert speed["tokens_per_second"] > 0
        assert (speed["filled"] < 0.9) == name.startswith("Trainer")
    assert found["notes"]["step, seconds"].keys() == {"loader", "vision", "decoder forward", "backward", "optimiser"}
    assert all(seconds > 0 for seconds in found["notes"]["step, seconds"].values())
    assert found["notes"]["fill of our rows"] >= found["notes"]["fill of the peer's rows"] > 0.7
    assert set(found["aims"]) == {"over padded", "over packed", "loader"}
    assert all(name in capsys.readouterr().out for name in ["over padded"])


def test_aims_are_judged_against_the_best_of_each_kind() -> None:
    found = {
        "ours": Speed(2100.0, 46.0, 1.0, 0.99),
        "Trainer, 16 padded": Speed(900.0, 1.0, 1.0, 0.6),
        "Trainer, 4 padded": Speed(1000.0, 1.0, 1.0, 0.7),
        "packed peer": Speed(2000.0, 1.0, 1.0, 0.95),
    }
    judged = gpu_training.verdicts(found, 1.01, 100.0)
    assert judged == {
        "over padded": (2.1, True),
        "over packed": (1.05, False),
        "mfu": (0.46, True),
        "loader": (1.01, True),
    }
    assert "mfu" not in gpu_training.verdicts(found, 1.01, None)
    assert not gpu_training.verdicts(found, 1.2, None)["loader"][1]


def test_the_peer_packs_every_sample_and_fills_as_best_fit_does() -> None:
    lengths = np.random.default_rng(0).integers(10, 90, 2500).tolist()
    rows = best_fit(lengths, 100)
    assert sorted(number for row in rows for number in row) == list(range(2500))
    assert all(sum(lengths[number] for number in row) <= 100 for row in rows)
    assert best_fit([60, 50, 40, 50], 100) == [[0, 2], [1, 3]]
