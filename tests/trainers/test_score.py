"""Scores of trials: by the published rules, made once, whole or not there."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from registry.answer_rows import COLUMNS
from registry.errors import Refusal
from registry.identity import file_digest
from registry.scores import Replying, score_path
from registry.trial import BenchmarkScore
from tests.trainers.conftest import Toy
from tests.trainers.toy import COLOURS, ignore, picture, train_request
from trainers.requests import ScoreRequest
from trainers.score import score_trial
from trainers.train import train
from trainers.workshop import Workshop


def table(path: Path, pictures: int = 12, image: bytes | None = None) -> Path:
    """An MME-like table: two questions a picture, the first always right."""
    rows = ["index\timage\tquestion\tanswer\tcategory\timage_path"]
    names = list(COLOURS)
    for number in range(pictures):
        colour = names[number % len(names)]
        data = base64.b64encode(image or picture(colour, number=number)).decode()
        for turn, asked in enumerate((colour, names[(number + 1) % len(names)])):
            question = f"Is it {asked}? Please answer yes or no."
            answer = "No" if turn else "Yes"
            rows.append(f"{2 * number + turn}\t{data}\t{question}\t{answer}\tcolor\tcolor/{number}.png")
    path.write_text("\n".join(rows) + "\n")
    return path


def request(toy: Toy, trial: Path, path: Path, **changes: Any) -> ScoreRequest:
    settings: dict[str, Any] = {
        "trial": trial.name,
        "benchmark": "mme",
        "table": str(path),
        "rules": "2024-05",
        **changes,
    }
    return ScoreRequest(do="score", home=str(toy.home.path), **settings)


@pytest.fixture
def trial(toy: Toy) -> Path:
    return train(toy.workshop, train_request(toy.home, toy.base, toy.mix, "scored", seed=9), ignore)[0]


def test_a_trial_is_scored_once(toy: Toy, trial: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "mme.tsv")
    events: list[dict[str, object]] = []
    found, there = score_trial(toy.workshop, request(toy, trial, path), events.append)
    assert not there
    assert (found.benchmark, found.questions, found.rules) == ("mme", 24, "2024-05")
    assert 0 <= found.score <= 100
    assert len(found.items) == 12
    assert events[-1]["step"] == events[-1]["steps"] == 24
    stored = score_path(trial, "mme", found.version, "2024-05", file_digest(path), Replying())
    assert BenchmarkScore.model_validate_json(stored.read_bytes()) == found
    assert score_trial(toy.workshop, request(toy, trial, path), ignore) == (found, True)


def test_replies_are_kept_with_what_they_were_taken_for(toy: Toy, trial: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "mme.tsv", pictures=5)
    found, _ = score_trial(toy.workshop, request(toy, trial, path), ignore)
    stored = score_path(trial, "mme", found.version, "2024-05", file_digest(path), Replying())
    rows = pq.read_table(stored.with_suffix(".parquet")).to_pylist()
    assert [row["index"] for row in rows] == [str(number) for number in range(10)]
    assert {row["extracted"] for row in rows} <= {"Yes", "No", "Unknown"}
    assert len({row["prompt_digest"] for row in rows}) == 10
    assert rows[0]["prompt"] == "USER: <image>\nIs it red? Please answer yes or no. ASSISTANT:"
    assert all(row["question"].endswith("? Please answer yes or no.") for row in rows)
    assert [row["answer"] for row in rows] == ["Yes", "No"] * 5
    assert [row["picture"] for row in rows] == [str(number // 2 * 2) for number in range(10)]
    assert list(rows[0]) == list(COLUMNS)
    assert all(row["hit"] == (row["extracted"] == ("No" if n % 2 else "Yes")) for n, row in enumerate(rows))


def test_equal_trials_have_equal_scores_in_any_process(toy: Toy, trial: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "mme.tsv", pictures=7)
    found, _ = score_trial(toy.workshop, request(toy, trial, path), ignore)
    stored = score_path(trial, "mme", found.version, "2024-05", file_digest(path), Replying())
    first = stored.read_bytes(), stored.with_suffix(".parquet").read_bytes()
    stored.unlink()
    score_trial(Workshop(), request(toy, trial, path), ignore)
    assert (stored.read_bytes(), stored.with_suffix(".parquet").read_bytes()) == first


def test_a_score_that_was_cut_off_is_not_there(
    toy: Toy, trial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(tmp_path / "mme.tsv", pictures=3)

    def fail(*_: object) -> None:
        raise OSError("no space")

    with monkeypatch.context() as patched:
        patched.setattr("registry.sheet.dump_json", fail)
        with pytest.raises(OSError, match="no space"):
            score_trial(toy.workshop, request(toy, trial, path), ignore)
    assert score_trial(toy.workshop, request(toy, trial, path), ignore)[1] is False


def test_what_cannot_be_scored_is_refused(toy: Toy, trial: Path, tmp_path: Path) -> None:
    good = table(tmp_path / "mme.tsv", pictures=2)
    broken = table(tmp_path / "broken.tsv", pictures=2, image=b"no picture" * 10)
    plain = train_request(toy.home, toy.base, toy.mix, "plain", template="plain")
    captioner, _ = train(toy.workshop, plain, ignore)
    cases = [
        (request(toy, captioner, good), "no place for a question"),
        (request(toy, trial, tmp_path / "absent.tsv"), "no such benchmark table"),
        (request(toy, Path("no-such"), good), "not there"),
        (request(toy, trial, good).model_copy(update={"trial": "../trials"}), "is not a folder name"),
        (request(toy, trial, good, benchmark="mmee"), "did you mean 'mme'"),
        (request(toy, trial, good, rules="1999-01"), "1999-01"),
        (request(toy, trial, broken), "is not a picture"),
    ]
    for asked, says in cases:
        with pytest.raises(Refusal, match=says):
            score_trial(toy.workshop, asked, ignore)
