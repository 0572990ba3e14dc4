"""``curator score`` as a process: predictions without a model, and a trial through a trainer process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from registry.benchmark import load_benchmark
from registry.identity import file_digest
from registry.scores import Replying, score_path
from registry.store import Home, Record
from registry.trial import BenchmarkScore
from tests.curator.chat_server import ChatServer, in_turn

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
        ([], 2, "Give one of TRIAL or CHECKPOINT, --predictions"),
        (["t", "--predictions", "replies.jsonl"], 2, "Give one of TRIAL or CHECKPOINT, --predictions"),
        (["--predictions", "replies.jsonl"], 2, "needs one --benchmark NAME"),
        (["t"], 2, "Give --benchmark NAME"),
        (["t", "--benchmark", "mme", "--partial"], 2, "--partial: go with --predictions"),
        (
            ["t", "--benchmark", "mme", "--export", "x.tsv", "--judge", "u"],
            2,
            "--export, --judge: go with --predictions",
        ),
        (["--predictions", "replies.jsonl", "--benchmark", "mme", "--judge", "u"], 2, "--judge URL with --judge-model"),
        (["t", "--benchmark", "mme"], 1, "the table of benchmark 'mme' is not there"),
        (["t", "--benchmark", "mme", "--data", "mme.tsv"], 1, "trials 't'"),
        (["./t", "--benchmark", "mme", "--data", "mme.tsv"], 1, "has no safetensors weights"),
        (["--api", "http://127.0.0.1:1/v1", "--benchmark", "mme"], 2, "--api URL and --model NAME go together"),
        (["t", "--model", "x", "--benchmark", "mme"], 2, "--api URL and --model NAME go together"),
        (["t", "--api", "http://127.0.0.1:1", "--model", "x"], 2, "Give one of"),
        (["--api", "ftp://x", "--model", "x", "--benchmark", "mme", "--data", "mme.tsv"], 1, "is no http address"),
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
    shutil.copyfile(ARTEFACTS / "mme.tsv", tmp_path / "mme.tsv")
    done = curator(tmp_path, *arguments)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


STUB = """
import json, sys
from pathlib import Path
from registry.benchmark import load_benchmark
from registry.identity import file_digest
from registry.scores import Replying, score_path
from registry.trial import BenchmarkScore

for line in sys.stdin:
    asked = json.loads(line)
    table = Path(asked["table"])
    version = load_benchmark(asked["benchmark"]).VERSION
    score = BenchmarkScore(benchmark=asked["benchmark"], version=version, rules=asked["rules"], questions=54,
                           table_digest=file_digest(table), score=61.5, notes=[f"tokens {asked['max_new_tokens']}"])
    trial = Path(asked["home"]) / "trials" / asked["trial"]
    asked_for = Replying(asked["max_new_tokens"])
    path = score_path(trial, score.benchmark, score.version, score.rules, score.table_digest, asked_for)
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
    path = score_path(trial, "mme", version, "2024-05", file_digest(table), Replying())
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


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("ending", [".xlsx", ".tsv", ".jsonl"])
def test_what_is_exported_scores_the_same(tmp_path: Path, ending: str) -> None:
    table = ARTEFACTS / "ai2d_test.tsv"
    asked: list[str | Path] = ["--data", table, "--benchmark", "ai2d_test", "--rules", "2026-06", "--json"]
    export = tmp_path / f"m_AI2D_TEST{ending}"
    first = curator(tmp_path, "--predictions", predictions_of("ai2d_test", tmp_path), *asked, "--export", export)
    assert first.returncode == 0, first.stderr
    again = curator(tmp_path, "--predictions", export, *asked)
    assert again.stdout == first.stdout


def test_a_part_is_the_same_for_prompts_and_score(tmp_path: Path) -> None:
    table = ARTEFACTS / "mme.tsv"
    command = [sys.executable, "-m", "curator", "prompts", "--data", str(table), "--benchmark", "mme", "--limit", "30"]
    prompts = json.loads(
        subprocess.run([*command, "--json"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    )
    golden = json.loads((ARTEFACTS / "mme.json").read_text())["replies"]
    said = tmp_path / "replies.jsonl"
    said.write_text(
        "".join(json.dumps({"index": p["index"], "prediction": golden[str(p["index"])]}) + "\n" for p in prompts)
    )
    done = curator(tmp_path, "--predictions", said, "--data", table, "--benchmark", "mme", "--limit", "30", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["questions"], result["partial"]) == (30, True)
    assert result["notes"][-1] == "partial: 30 of 54 questions are scored"


def test_a_judge_is_asked_at_its_address_and_never_without_need(tmp_path: Path) -> None:
    """As a process, with a real server."""
    replies = predictions_of("ai2d_test", tmp_path)
    with ChatServer(in_turn("A")) as server:
        asked: list[str | Path] = ["--predictions", replies, "--data", ARTEFACTS / "ai2d_test.tsv", "--json"]
        asked += ["--benchmark", "ai2d_test", "--judge", server.url, "--judge-model", "tiny"]
        plan = curator(tmp_path, *asked, "--dry-run")
        assert "would be asked for" in plan.stderr
        assert not server.requests
        first = curator(tmp_path, *asked, "--answers", tmp_path / "answers.jsonl")
        assert first.returncode == 0, first.stderr
        count = len(server.requests)
        again = curator(tmp_path, *asked)
    result = json.loads(first.stdout)
    assert result["judged"] == count > 0
    assert (result["unresolved"], again.stdout) == (0, first.stdout)
    assert len(server.requests) == count
    rows = lines_of(tmp_path / "answers.jsonl")
    assert [row["judge_reply"] for row in rows if row["judged"]] == ["A"] * count


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
    llava, default = (prompts("--json", "--style", style)[0] for style in ("llava", "default"))
    lines = "A. 猫\nB. 狗\nC. 鸟\nD. 鱼\n"
    assert llava == {"index": 0, "prompt": f"图中最大的物体是什么?\n{lines}请直接回答选项字母。"}
    asks = "Please select the correct answer from the options above. \n"
    assert default == {"index": 0, "prompt": f"Question: 图中最大的物体是什么?\nOptions:\n{lines}{asks}"}
