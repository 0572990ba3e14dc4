"""The commands pull, filter, reclassify and build-mix as processes: what they print, write and refuse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from curator.cli import cli
from curator.measure import measure
from curator.samples import find_samples
from registry.store import Home
from tests.curator.data_home import captions, chats, file_bytes, write_card, write_json, write_parquet
from tests.hub.server import Hub

ROOT = Path(__file__).parents[2]


def prepare(folder: Path) -> Home:
    """A home with the cards of two small datasets and a recipe of both; nothing is pulled."""
    home = Home(folder / "home")
    write_card(home, "pics", format="caption_pairs", source={"hub_repo": "acme/pics"})
    write_card(home, "chats", format="llava_chat", parts=[{"name": "all", "category": "text_only"}])
    write_parquet(folder / "pics" / "train.parquet", captions(30))
    write_json(folder / "chats" / "train.json", chats(40))
    recipe = {
        "name": "both",
        "seed": 1,
        "parts": [{"dataset": "pics"}, {"dataset": "chats", "choose": 10}],
        "filters": {"text_length": {"chars": {"min": 5}}},
    }
    write_json(folder / "both.yaml", recipe)
    return home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return prepare(tmp_path)


@pytest.fixture(scope="module")
def pulled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pulled")
    prepare(folder)
    pull_both(folder)
    return folder


@pytest.fixture
def filled(pulled_once: Path, tmp_path: Path) -> Home:
    """A home of the test's own in which both datasets are pulled."""
    shutil.copytree(pulled_once, tmp_path, dirs_exist_ok=True)
    return Home(tmp_path / "home")


def curator(
    folder: Path, *arguments: str | Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder`` on the home there."""
    return subprocess.run(
        [sys.executable, "-m", "curator", *map(str, arguments)],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CURATOR_HOME": str(folder / "home"),
            "OMP_NUM_THREADS": "1",
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def answer(folder: Path, *arguments: str | Path, environment: dict[str, str] | None = None) -> Any:
    """What a command prints as JSON; it must succeed and say nothing else on stdout."""
    done = curator(folder, *arguments, "--json", environment=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def refused(folder: Path, *arguments: str | Path) -> str:
    """What a command says when it refuses (run in this process): on stderr, exit 1, with a way out."""
    done = CliRunner().invoke(cli, [*map(str, arguments), "--home", str(folder / "home")])
    assert (done.exit_code, done.stdout) == (1, "")
    assert isinstance(done.exception, SystemExit)
    assert "way out:" in done.stderr
    return done.stderr


def pull_both(folder: Path) -> None:
    for name in ("pics", "chats"):
        assert answer(folder, "pull", name, "--from", folder / name)["rejected"] == {}


def test_from_files_to_a_mix_and_the_same_again(filled: Home, tmp_path: Path) -> None:
    mix = answer(tmp_path, "build-mix", "both.yaml")
    assert (mix["samples"], mix["datasets"]) == (40, {"chats": 10, "pics": 30})
    assert len(mix["recipe_digest"]) == len(mix["content_digest"]) == 64
    assert Path(mix["path"]).parent == filled.stage("mixes")
    before = file_bytes(filled.path)
    pull_both(tmp_path)
    assert answer(tmp_path, "build-mix", "both.yaml") == mix
    assert file_bytes(filled.path) == before


def test_text_goes_to_stdout_and_notes_to_stderr(home: Home, tmp_path: Path) -> None:
    first = curator(tmp_path, "pull", "pics", "--from", tmp_path / "pics")
    assert first.returncode == 0
    assert "rows_out  30" in first.stdout
    again = curator(tmp_path, "pull", "pics", "--from", tmp_path / "pics")
    assert "nothing to do" in again.stderr
    assert again.stdout == first.stdout


def test_a_dry_run_of_pull_writes_nothing(home: Home, tmp_path: Path) -> None:
    before = file_bytes(home.path)
    offer = answer(tmp_path, "pull", "pics", "--from", tmp_path / "pics", "--dry-run")
    assert (offer["files"], offer["left_out"]) == (1, 0)
    assert file_bytes(home.path) == before


def test_dry_runs_on_what_is_pulled_write_nothing(filled: Home, tmp_path: Path) -> None:
    before = file_bytes(filled.path)
    assert {row["samples"] for row in answer(tmp_path, "filter", "pics", "--dry-run")} == {30}
    planned = answer(tmp_path, "build-mix", "both.yaml", "--dry-run")
    assert [row["measure"] for row in planned["to_measure"]] == ["text_length", "text_length"]
    assert answer(tmp_path, "reclassify", "chats", "--dry-run", "--audit", tmp_path / "a.html")["moved"] == 0
    assert not (tmp_path / "a.html").exists()
    assert file_bytes(filled.path) == before


def test_a_dry_run_counts_what_the_build_then_makes(filled: Home, tmp_path: Path) -> None:
    for name in ("pics", "chats"):
        measure(filled, find_samples(filled, name), "text_length")
    planned = answer(tmp_path, "build-mix", "both.yaml", "--dry-run")
    assert not filled.stage("mixes").exists()
    assert answer(tmp_path, "build-mix", "both.yaml") == planned


def test_filter_measures_and_shows_what_bounds_would_drop(filled: Home, tmp_path: Path) -> None:
    rows = answer(tmp_path, "filter", "pics", "--bound", "image_size.short_side_px=13:", "--filter", "text_length")
    by_column = {row["column"]: row for row in rows}
    assert by_column["short_side_px"]["dropped"] == 30
    assert by_column["turns"]["max"] == 1
    listed = answer(tmp_path, "filter", "--list")
    assert ("image_size", "aspect") in {(row["filter"], row["column"]) for row in listed}
    table = curator(tmp_path, "filter", "chats", "--filter", "text_length")
    assert table.stdout.splitlines()[0].split()[:2] == ["filter", "column"]
    assert "40 samples" in table.stderr


def test_a_dry_run_of_filter_shows_what_would_go_and_writes_nothing(filled: Home, tmp_path: Path) -> None:
    page, arguments = tmp_path / "p.html", ("filter", "chats", "--bound", "text_length.chars=27:")
    untouched = file_bytes(filled.path)
    planned = answer(tmp_path, "filter", "chats", "--filter", "text_length", "--dry-run")
    assert [(row["filter"], row["samples"]) for row in planned] == [("text_length", 40)]
    unmeasured = answer(tmp_path, *arguments, "--dry-run")
    assert file_bytes(filled.path) == untouched
    assert answer(tmp_path, *arguments) == unmeasured
    shown = answer(tmp_path, *arguments, "--sample-html", page)
    assert "text_length.chars at least 27" in page.read_text(encoding="utf-8")
    page.unlink()
    before = file_bytes(filled.path)
    assert answer(tmp_path, *arguments, "--dry-run", "--sample-html", page) == shown
    (bounded,) = [row for row in shown if "examples" in row]
    gone = [example for example in bounded["examples"] if example["fate"] == "dropped"]
    assert (bounded["column"], bounded["dropped"]) == ("chars", 9)
    assert {example["value"] for example in gone} == {26}
    told = curator(tmp_path, *arguments, "--dry-run").stdout
    assert "text_length.chars at least 27: 9 of 40 samples would go" in told
    assert gone[0]["request"] in told
    assert file_bytes(filled.path) == before
    assert not page.exists()


def test_ratings_come_with_a_pull_and_are_bounded_by_a_recipe(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    write_card(home, "rated", format="cauldron")
    rows: list[dict[str, Any]] = [
        {"images": [], "texts": [{"user": f"What is {number}?", "assistant": "a number"}], "relevance_min": rating}
        for number, rating in enumerate([5, 4, 1, None, 2, float("nan")])
    ]
    write_json(tmp_path / "rated" / "rows.json", [*rows, {**rows[0], "relevance_min": "five"}])
    account = answer(tmp_path, "pull", "rated", "--from", tmp_path / "rated", "--policy", "any")
    assert account["rejected"] == {"rating is not a number": 1}
    measured = answer(tmp_path, "filter", "rated", "--bound", "ratings.relevance=2:")
    (row,) = [row for row in measured if row["column"] == "relevance"]
    assert (row["measured"], row["min"], row["max"], row["dropped"]) == (4, 1, 5, 1)
    assert [e["request"] for e in row["examples"] if e["fate"] == "dropped"] == ["What is 2?"]
    recipe = {"name": "good", "parts": [{"dataset": "rated"}], "filters": {"ratings": {"relevance": {"min": 2}}}}
    write_json(tmp_path / "good.yaml", recipe)
    assert answer(tmp_path, "build-mix", "good.yaml")["samples"] == 5


def test_an_answer_is_shown_however_long_its_request_is(home: Home, tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "why " * 100}, {"from": "gpt", "value": "for no reason"}]
    write_json(tmp_path / "long" / "rows.json", [{"id": "1", "conversations": turns}])
    answer(tmp_path, "pull", "chats", "--from", tmp_path / "long")
    told = curator(tmp_path, "filter", "chats", "--bound", "text_length.words=500:", "--dry-run").stdout
    assert "why why why" in told
    assert "… / for no reason" in told


@pytest.mark.parametrize(
    ("bound", "told"),
    [
        ("text_length.chars=9:3", "min 9 is more than max 3: nothing would stay"),
        ("text_length.chars=nan:", "finite number"),
        ("text_length.chars=lowest:2", "less than or equal to 1"),
        ("text_length.chars=:", "give min, max, equals, lowest or highest"),
        ("text_length.chars=many", "is a number, and never 'many'"),
        ("text_length.char=3:", "did you mean 'chars'"),
        ("text_lenght.chars=3:", "did you mean 'text_length'"),
        ("text_length=3:", "it measures: chars, words"),
        ("language.language=3:", "bound it with 'equals' alone"),
    ],
)
def test_a_bound_that_cannot_be_meant_is_refused(filled: Home, tmp_path: Path, bound: str, told: str) -> None:
    assert told in refused(tmp_path, "filter", "chats", "--bound", bound)


def test_bounds_that_cannot_be_meant_are_refused_in_recipes_too(filled: Home, tmp_path: Path) -> None:
    twice = refused(tmp_path, "filter", "chats", "--bound", "text_length.chars=3:", "--bound", "text_length.chars=:9")
    assert "text_length.chars is bounded twice" in twice
    recipe = {"name": "w", "parts": [{"dataset": "chats"}], "filters": {"text_length": {"chars": {"min": 9, "max": 3}}}}
    write_json(tmp_path / "w.yaml", recipe)
    assert "min 9 is more than max 3" in refused(tmp_path, "build-mix", tmp_path / "w.yaml")


def test_reclassify_shows_moves_and_writes_a_page(filled: Home, tmp_path: Path) -> None:
    parts = [
        {"name": "odd", "category": "science", "rule": {"request": "[13579] and"}},
        {"name": "all", "category": "text_only"},
    ]
    write_card(filled, "chats", format="llava_chat", parts=parts)
    shown = answer(tmp_path, "reclassify", "chats", "--audit", tmp_path / "moves.html")
    assert (shown["moved"], shown["categories"]) == (20, {"science": 20, "text_only": 20})
    assert Path(shown["labels"]).is_dir()
    assert "odd (science)" in (tmp_path / "moves.html").read_text()
    assert "all/text_only  odd/science" in curator(tmp_path, "reclassify", "chats").stdout
    assert answer(tmp_path, "build-mix", "both.yaml")["categories"].keys() == {"captioning", "science", "text_only"}


def test_reclassify_without_rules_of_a_card(filled: Home, tmp_path: Path) -> None:
    arguments, page = ("reclassify", "chats", "--by", "general", "--learn-from", "pics"), tmp_path / "moves.html"
    planned = answer(tmp_path, *arguments, "--dry-run", "--audit", page)
    assert [(row["dataset"], row["to make"], row["samples"]) for row in planned] == [
        ("pics", "profile", 30),
        ("chats", "general", 40),
    ]
    assert not filled.stage("measures").exists()
    shown = answer(tmp_path, *arguments, "--audit", page)
    assert (shown["samples"], shown["moved"], shown["categories"]) == (40, 0, {"text_only": 40})
    assert "learned from pics" in page.read_text(encoding="utf-8")
    page.unlink()
    before = file_bytes(filled.path)
    assert answer(tmp_path, *arguments, "--dry-run", "--audit", page) == {**shown, "audit": None}
    told = curator(tmp_path, *arguments[:4], "--confidence", "0.8")
    assert "the card says so too" in told.stdout
    assert "labels: {by: general, confidence: 0.8, learned_from: [pics]}" in told.stderr
    assert file_bytes(filled.path) == before, "another threshold measures nothing again"
    assert not page.exists()
    write_json(tmp_path / "general.yaml", {"name": "g", "parts": [{"dataset": "chats"}], **shown["recipe"]})
    assert answer(tmp_path, "build-mix", "general.yaml", "--dry-run")["categories"] == {"text_only": 40}
    assert "no card of that name" in refused(tmp_path, *arguments, "--learn-from", "absent")
    wrong = CliRunner().invoke(cli, ["reclassify", "chats", "--confidence", "0.5", "--home", str(filled.path)])
    assert (wrong.exit_code, "go with --by general" in wrong.stderr) == (2, True)


def test_pull_from_a_hub_compatible_server(hub: Hub, home: Home, tmp_path: Path) -> None:
    commit = hub.seed("acme/pics", {"train.parquet": (tmp_path / "pics" / "train.parquet").read_bytes()})
    environment = hub.environment(tmp_path / "cache")
    made = answer(tmp_path, "pull", "pics", environment=environment)
    assert made["rows_out"] == 30
    assert f"pics@{commit[:12]}" in made["samples"]
    told = curator(tmp_path, "pull", "pics", "--dry-run", environment=environment)
    assert commit in told.stdout


def test_what_is_wrong_is_refused_in_words(home: Home, tmp_path: Path) -> None:
    assert "did you mean 'pics'" in refused(tmp_path, "pull", "pic")
    assert "is no folder, file or http address" in refused(tmp_path, "pull", "pics", "--from", tmp_path / "absent")
    assert "has no --revision" in refused(tmp_path, "pull", "pics", "--from", tmp_path, "--revision", "main")
    assert "is for one dataset" in refused(tmp_path, "pull", "pics", "chats", "--from", tmp_path)
    assert "pass --from" in refused(tmp_path, "pull", "chats")
    assert "run 'curator pull pics'" in refused(tmp_path, "build-mix", tmp_path / "both.yaml")
    assert "run 'curator pull pics'" in refused(tmp_path, "filter", "pics")
    assert "there is none of that name" in refused(tmp_path, "build-mix", "absent-recipe")
    write_json(tmp_path / "wrong.yaml", {"name": "w", "parts": [{"dataset": "pics", "chose": 3}]})
    assert "did you mean 'choose'" in refused(tmp_path, "build-mix", tmp_path / "wrong.yaml")
    write_json(tmp_path / "bad" / "rows.json", [{"id": 1, "conversations": []}] * 4)
    told = refused(tmp_path, "pull", "chats", "--from", tmp_path / "bad")
    assert "Traceback" not in curator(tmp_path, "pull", "chats", "--from", tmp_path / "bad").stderr
    assert "4 of 4 rows cannot be used: no conversations (4)" in told
    assert "--policy any" in told
    done = curator(tmp_path, "pull", "chats", "--from", tmp_path / "bad", "--policy", "any")
    assert done.returncode == 0
    assert "no conversations     4" in done.stdout


def test_control_codes_of_foreign_text_are_shown_not_sent(home: Home, tmp_path: Path) -> None:
    write_json(tmp_path / "bad" / "rows.json", [{"id": "\x1b]0;title\x07", "conversations": []}])
    assert "\x1b" not in refused(tmp_path, "pull", "chats", "--from", tmp_path / "bad")


@pytest.mark.parametrize("command", ["pull", "filter", "reclassify", "build-mix"])
def test_help_has_an_example_and_loads_nothing_heavy(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "curator", command, "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Examples:" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    heavy = {"torch", "polars", "duckdb", "pyarrow", "datasets", "numpy", "pydantic", "PIL", "rich", "huggingface_hub"}
    assert not imported & heavy


@pytest.mark.parametrize(
    "arguments", [["pull"], ["filter"], ["build-mix"], ["pull", "a", "--limit", "0"], ["filter", "--bogus"]]
)
def test_wrong_usage_is_exit_2(arguments: list[str], tmp_path: Path) -> None:
    assert curator(tmp_path, *arguments).returncode == 2
