"""``curator score`` as a process: predictions without a model, and a trial through a trainer process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry.benchmark import load_benchmark
from registry.identity import file_digest
from registry.scores import score_path
from registry.store import Home, Record
from registry.trial import BenchmarkScore

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "tests" / "registry" / "benchmarks"
PICTURE = "iVBORw0KGgo" * 7


def curator(folder: Path, *arguments: str | Path, imports: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the command in ``folder``; with ``imports`` standard error lists every module that was imported."""
    flags = ["-X", "importtime"] if imports else []
    return subprocess.run(
        [sys.executable, *flags, "-m", "curator", "score", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CURATOR_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )


def predictions_of(name: str, folder: Path) -> Path:
    """The artefact's replies as a predictions file."""
    replies = json.loads((ARTEFACTS / f"{name}.json").read_text())["replies"]
    path = folder / "replies.jsonl"
    path.write_text("".join(json.dumps({"index": i, "prediction": r}) + "\n" for i, r in replies.items()))
    return path


@pytest.mark.parametrize("rules", ["2024-05", "2026-06"])
def test_predictions_are_scored_without_a_model(tmp_path: Path, rules: str) -> None:
    name = "mmbench_dev_en"
    given: list[str | Path] = ["--predictions", predictions_of(name, tmp_path), "--data", ARTEFACTS / f"{name}.tsv"]
    done = curator(tmp_path, *given, "--benchmark", name, "--rules", rules, "--json", imports=True)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = json.loads((ARTEFACTS / f"{name}.json").read_text())["expected"][rules]
    result = json.loads(done.stdout)
    assert result["primary"] == {"name": "overall", "value": pytest.approx(expected["score"])}
    assert (result["rules"], result["unresolved"]) == (rules, expected["unresolved"])
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "curator.score" in imported
    heavy = {"torch", "transformers", "pandas", "polars", "duckdb", "pyarrow", "datasets", "trainers"}
    assert not imported & heavy


def test_the_text_form_has_the_figures_and_notes_go_to_stderr(tmp_path: Path) -> None:
    given: list[str | Path] = ["--predictions", predictions_of("mme", tmp_path), "--data", ARTEFACTS / "mme.tsv"]
    done = curator(tmp_path, *given, "--benchmark", "mme", "--answers", tmp_path / "answers.jsonl")
    assert done.returncode == 0, done.stderr
    assert "perception" in done.stdout
    assert "code_reasoning" in done.stdout
    assert done.stderr.startswith("note: ")
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 54


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "Give either a TRIAL or --predictions"),
        (["t", "--predictions", "replies.jsonl"], 2, "Give either a TRIAL or --predictions"),
        (["--predictions", "replies.jsonl"], 2, "needs one --benchmark NAME"),
        (["t"], 2, "Give --benchmark NAME"),
        (["t", "--benchmark", "mme", "--partial"], 2, "go with --predictions"),
        (["t", "--benchmark", "mme"], 1, "trials 't'"),
        (["--predictions", "absent.jsonl", "--benchmark", "mme", "--data", "mme.tsv"], 1, "absent.jsonl"),
        (["--predictions", "replies.jsonl", "--benchmark", "mme", "--data", "absent.tsv"], 1, "absent.tsv"),
        (["--predictions", "replies.jsonl", "--benchmark", "mne", "--data", "x"], 1, "did you mean 'mme'?"),
        (["--predictions", "replies.jsonl", "--benchmark", "mme", "--data", "x", "--rules", "2024"], 1, "rules '2024'"),
    ],
)
def test_what_is_asked_wrongly_is_refused_without_a_traceback(
    tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    predictions_of("mme", tmp_path)
    done = curator(tmp_path, *arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


STUB = """
import json, sys
from pathlib import Path
from registry.identity import file_digest
from registry.scores import score_path
from registry.trial import BenchmarkScore

for line in sys.stdin:
    asked = json.loads(line)
    table = Path(asked["table"])
    score = BenchmarkScore(benchmark=asked["benchmark"], version=1, rules=asked["rules"], questions=54,
                           table_digest=file_digest(table), score=61.5, notes=[f"tokens {asked['max_new_tokens']}"])
    trial = Path(asked["home"]) / "trials" / asked["trial"]
    path = score_path(trial, score.benchmark, score.version, score.rules, score.table_digest, asked['max_new_tokens'])
    path.parent.mkdir()
    path.write_text(score.model_dump_json())
    print(json.dumps({"id": asked["id"], "event": "done", "folder": trial.name, "score": score.score}), flush=True)
"""
"""A trainer process that gives every trial the same score."""


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    """A finished trial in a home that has the MME table; the folder also holds a stand-in trainer package."""
    home = Home(tmp_path / "home")
    folder = home.folder("trials", "demo-baseline-s0", "0123456789abcdef")
    with home.making(folder, Record(kind="trial", name="demo-baseline-s0", digest="0123456789abcdef")):
        pass
    (home.path / "benchmarks").mkdir()
    (home.path / "benchmarks" / "mme.tsv").write_bytes((ARTEFACTS / "mme.tsv").read_bytes())
    (tmp_path / "trainers").mkdir()
    (tmp_path / "trainers" / "__init__.py").touch()
    (tmp_path / "trainers" / "__main__.py").write_text(STUB)
    return folder


def test_a_trial_is_scored_once_by_a_trainer_process(tmp_path: Path, trial: Path) -> None:
    plan = curator(tmp_path, "demo-baseline-s0", "--benchmark", "mme", "--dry-run", "--json")
    assert json.loads(plan.stdout) == {"trial": trial.name, "to_score": ["mme"], "questions": {"mme": 54}}
    first = curator(tmp_path, "demo-baseline-s0", "--benchmark", "mme", "--max-new-tokens", "5", "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["scores"][0]["score"] == 61.5
    assert f"scoring {trial.name} · mme" in first.stderr
    assert "note: mme: tokens 5" in first.stderr
    again = curator(tmp_path, trial.name, "--benchmark", "mme", "--max-new-tokens", "5")
    assert "scoring" not in again.stderr
    assert "61.5" in again.stdout
    plan = curator(tmp_path, "0123456789ab", "--benchmark", "mme", "--max-new-tokens", "5", "--dry-run")
    assert "nothing" in plan.stdout


def test_a_finished_score_needs_no_trainer(tmp_path: Path, trial: Path) -> None:
    table = tmp_path / "home" / "benchmarks" / "mme.tsv"
    version = load_benchmark("mme").VERSION
    path = score_path(trial, "mme", version, "2024-05", file_digest(table), 16)
    path.parent.mkdir()
    score = BenchmarkScore(
        benchmark="mme", version=version, rules="2024-05", table_digest=file_digest(table), score=12.5, items={"a": 1}
    )
    path.write_text(score.model_dump_json())
    (tmp_path / "trainers" / "__main__.py").write_text("raise SystemExit('not needed')")
    done = curator(tmp_path, "demo-baseline-s0", "--benchmark", "mme", "--json")
    assert json.loads(done.stdout)["scores"][0]["score"] == 12.5
    assert "items" not in done.stdout


def test_the_table_of_the_home_is_the_default(tmp_path: Path, trial: Path) -> None:
    replies = predictions_of("mme", tmp_path)
    assert trial.is_dir()
    asked: list[str | Path] = ["--predictions", replies, "--benchmark", "mme", "--json"]
    results = [curator(tmp_path, *asked), curator(tmp_path, *asked, "--data", ARTEFACTS / "mme.tsv")]
    assert results[0].stdout == results[1].stdout
    assert json.loads(results[0].stdout)["benchmark"] == "mme"


def test_a_file_that_is_no_table_is_refused_before_anything_is_planned(tmp_path: Path, trial: Path) -> None:
    head = (ARTEFACTS / "mme.tsv").read_text().splitlines()[0]
    cases = {
        "passwd": ("root:x:0:0:root:/root:/bin/bash\n", "no column"),
        "empty.tsv": (f"{head}\n", "has no question"),
    }
    for name, (text, says) in cases.items():
        (tmp_path / name).write_text(text)
        done = curator(tmp_path, trial.name, "--benchmark", "mme", "--data", name, "--dry-run")
        assert (done.returncode, done.stdout) == (1, "")
        assert says in done.stderr


def test_a_table_that_is_not_there_is_refused(tmp_path: Path, trial: Path) -> None:
    done = curator(tmp_path, trial.name, "--benchmark", "seedbench_img")
    assert done.returncode == 1
    assert "the table of benchmark 'seedbench_img' is not there" in done.stderr


HEADLINES = {"mme": "total", "hallusionbench": "mean", "llavabench": "relative", "mathvista_mini": "overall"}


@pytest.mark.parametrize("name", HEADLINES)
def test_the_published_figure_is_printed(tmp_path: Path, name: str) -> None:
    golden = json.loads((ARTEFACTS / f"{name}.json").read_text())
    given: list[str | Path] = ["--predictions", predictions_of(name, tmp_path), "--data", ARTEFACTS / f"{name}.tsv"]
    if "judged" in golden:
        said = tmp_path / "said.jsonl"
        said.write_text("".join(json.dumps({"index": i, "reply": r}) + "\n" for i, r in golden["judged"].items()))
        given += ["--judge-replies", said]
    done = curator(tmp_path, *given, "--benchmark", name, "--rules", "2024-05", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    expected = golden["expected"]["2024-05"]["metrics"]
    assert result["primary"] == {"name": HEADLINES[name], "value": pytest.approx(expected[HEADLINES[name]])}
    assert result["scores"] == pytest.approx(expected)
    assert (result["benchmark"], result["rules"]) == (name, "2024-05")


def test_prompts_are_printed_as_they_are_asked(tmp_path: Path) -> None:
    def prompts(*options: str) -> list[dict[str, object]]:
        table = str(ARTEFACTS / "mmbench_dev_cn.tsv")
        command = [
            sys.executable,
            "-m",
            "curator",
            "prompts",
            "--data",
            table,
            "--benchmark",
            "mmbench_dev_cn",
            *options,
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        found: list[dict[str, object]] = json.loads(done.stdout)
        return found

    assert len(prompts("--json")) == 10
    llava, default = (prompts("--json", "--limit", "1", "--style", style)[0] for style in ("llava", "default"))
    lines = "A. 猫\nB. 狗\nC. 鸟\nD. 鱼\n"
    assert llava == {"index": 0, "prompt": f"图中最大的物体是什么?\n{lines}请直接回答选项字母。"}
    asks = "Please select the correct answer from the options above. \n"
    assert default == {"index": 0, "prompt": f"Question: 图中最大的物体是什么?\nOptions:\n{lines}{asks}"}
