"""``curator dedup`` and what ``build-mix`` says of duplicates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from registry.store import Home
from tests.conftest import Curator
from tests.curator.data_home import write_json
from tests.curator.duplicate_home import chat, make_pictures, make_texts, pictured
from tests.ray_cluster import Cluster

ROOT = Path(__file__).parents[2]
WORDS = " ".join(f"word{i}" for i in range(40))


@pytest.fixture
def home(home_path: Path, tmp_path: Path) -> Home:
    """Six texts of which two are copies and one is nearly one; another dataset with one of them; pictures."""
    opened = Home(home_path)
    rows = ["What is it?", "what is it", WORDS, WORDS + " more", WORDS.upper(), "<b>Something</b> of its own"]
    make_texts(opened, tmp_path, "mine", [chat(i, text) for i, text in enumerate(rows)])
    make_texts(opened, tmp_path, "test", [chat(9, "What is it?")])
    partly = " ".join([*WORDS.split()[:25], *(f"other{i}" for i in range(15))])
    scenes = [pictured(0, WORDS, 1), pictured(1, partly, 1, quality=60), pictured(2, "another", 2)]
    make_pictures(opened, tmp_path, "pics", scenes)
    return opened


def found(curator: Curator, *arguments: str) -> Any:
    result = curator("dedup", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_duplicates_are_counted_by_way_and_dataset(home: Home, curator: Curator) -> None:
    told = found(curator, "mine")
    assert told["ways"] == [
        {"same by": "exact-text+image", "clusters": 1, "samples": 2, "would go": 1},
        {"same by": "near-text+near-image", "clusters": 1, "samples": 3, "would go": 2},
    ]
    assert told["datasets"] == [{"dataset": "mine", "samples": 6, "in clusters": 5, "would go": 3, "left": 3}]
    example = told["examples"][0]
    assert (example["way"], example["size"]) == ("exact-text+image", 2)
    assert {one["source_id"] for one in example["samples"]} == {"row-0", "row-1"}
    assert {one["fate"] for one in example["samples"]} == {"stays", "goes"}
    assert example["samples"][0]["turns"][1] == ["assistant", "So it is."]


def test_the_dataset_that_is_named_first_is_preferred(home: Home, curator: Curator) -> None:
    gone = {row["dataset"]: row["would go"] for row in found(curator, "test", "mine")["datasets"]}
    assert gone == {"test": 0, "mine": 4}
    gone = {row["dataset"]: row["would go"] for row in found(curator, "mine", "test")["datasets"]}
    assert gone == {"mine": 3, "test": 1}


def test_what_is_in_a_dataset_to_compare_against_goes(home: Home, curator: Curator) -> None:
    told = found(curator, "mine", "--against", "test")
    assert told["datasets"] == [{"dataset": "mine", "samples": 6, "in clusters": 5, "would go": 4, "left": 2}]
    fates = [[one["fate"] for one in example["samples"]] for example in told["examples"]]
    assert ["against", "goes", "goes"] in fates


def test_pictures_are_compared_as_asked(home: Home, curator: Curator) -> None:
    def gone(*options: str) -> int:
        return int(found(curator, "pics", *options)["datasets"][0]["would go"])

    assert gone("--by", "image") == 0
    assert gone("--by", "near-image") == 1
    assert gone() == 0, "their texts differ"
    assert gone("--threshold", "0.05") == 1


def test_a_dry_run_writes_nothing_and_says_what_would_be_made(home: Home, curator: Curator) -> None:
    before = sorted(home.path.rglob("*"))
    result = curator("dedup", "mine", "test", "--dry-run")
    assert sorted(home.path.rglob("*")) == before
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()[2:]] == [
        ["mine", "shingles", "6"],
        ["mine", "pictures", "6"],
        ["mine", "looks", "6"],
        ["test", "shingles", "1"],
        ["test", "pictures", "1"],
        ["test", "looks", "1"],
        ["mine", "+", "test", "duplicates", "7"],
    ]
    curator("dedup", "mine", "test")
    rows = json.loads(curator("dedup", "mine", "test", "--dry-run", "--json").stdout)
    assert [row["samples"] for row in rows] == [0] * 7


def test_the_tables_and_examples_are_printed(home: Home, curator: Curator) -> None:
    result = curator("dedup", "mine")
    assert "exact-text+image, 2 samples:" in result.stdout
    assert "3 samples would go" in result.stderr
    assert "what is it / So it is." in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["mine", "--by", "near-txt"], 1, "'near-txt' is none of identical-text"),
        (["mine", "--by", "image+near-image"], 1, "nor one of text and one of image"),
        (["mine", "--against", "mine"], 1, "dataset 'mine': is compared against itself"),
        (["nobody"], 1, "nobody"),
        (["mine", "--threshold", "0"], 2, "0"),
        (["mine", "--distance", "13"], 2, "13"),
        ([], 2, "NAME"),
    ],
)
def test_what_makes_no_sense_is_refused(
    home: Home, curator: Curator, arguments: list[str], status: int, complaint: str
) -> None:
    result = curator("dedup", *arguments)
    assert result.exit_code == status
    assert complaint in result.stderr
    assert "Traceback" not in result.output


def test_the_page_shows_clusters_with_their_pictures(home: Home, curator: Curator, tmp_path: Path) -> None:
    page = tmp_path / "same.html"
    curator("dedup", "pics", "mine", "--by", "near-image", "--by", "near-text", "--sample-html", str(page))
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/") == 2
    assert text.index("stays</span> · pics") < text.index("would go</span> · pics")
    assert "http" not in text.replace("http-equiv", ""), "it needs nothing from elsewhere"
    assert "<b>Something" not in text
    curator("dedup", "test", "--sample-html", str(page))
    assert "No sample is the same as another one." in page.read_text(encoding="utf-8")


def test_foreign_text_is_escaped_on_the_page(home: Home, curator: Curator, tmp_path: Path) -> None:
    make_texts(home, tmp_path, "hostile", [chat(i, "<script>alert(1)</script>") for i in range(2)])
    curator("dedup", "hostile", "--sample-html", str(tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert text.count("&lt;script&gt;") == 2


def test_build_mix_says_what_it_drops(home: Home, curator: Curator, tmp_path: Path) -> None:
    wanted = {"name": "mixed", "parts": [{"dataset": "mine"}, {"dataset": "test"}], "dedup": {"by": ["near-text"]}}
    path = str(write_json(tmp_path / "mixed.yaml", wanted))
    to_do = json.loads(curator("build-mix", path, "--dry-run", "--json").stdout)["to_measure"]
    assert to_do == [{"dataset": "mine + test", "measure": "duplicates", "samples": 7}]
    assert not home.stage("mixes").exists()
    built = json.loads(curator("build-mix", path, "--json").stdout)
    assert [part["dropped"] for part in built["parts"]] == [
        {"dedup.exact-text": 2, "dedup.near-text": 1},
        {"dedup.exact-text": 1},
    ]
    again = json.loads(curator("build-mix", path, "--dry-run", "--json").stdout)
    assert again["parts"] == built["parts"]


def test_two_workers_as_a_process(home: Home, curator: Curator, tmp_path: Path) -> None:
    """Spawned processes make fingerprints of several datasets; the result is that of one process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CURATOR_HOME": str(home.path)}
    command = [sys.executable, "-m", "curator", "dedup", "mine", "test", "--workers", "2", "--json"]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(child.stdout) == found(curator, "mine", "test")


@pytest.mark.xdist_group("ray")
def test_places_leave_no_trace_in_the_bytes(
    tmp_path: Path, ray_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts and pictures in several files, through the command: one worker, two, and a Ray of two nodes."""
    monkeypatch.setattr("curator.normalise.ROWS_PER_GROUP", 4)
    monkeypatch.setattr("curator.normalise.ROWS_PER_FILE", 8)
    written = []
    for number, on in enumerate(
        (["--workers", "1"], ["--workers", "2"], ["--on", "ray", "--address", ray_cluster.address])
    ):
        home = Home(tmp_path / f"home-{number}")
        rows = [WORDS, WORDS + " more", *(f"{text} {i % 7}" for i, text in enumerate([WORDS[:90]] * 20))]
        make_texts(home, tmp_path, "mine", [chat(i, text) for i, text in enumerate(rows)], files=2)
        make_pictures(home, tmp_path, "pics", [pictured(i, f"scene {i % 5}", i % 3, 90 - 10 * i) for i in range(6)])
        by = [option for way in ("identical-text", "near-text+near-image", "near-image") for option in ("--by", way)]
        command = [sys.executable, "-m", "curator", "dedup", "mine", "pics", *by, "--json", "--home", str(home.path)]
        done = subprocess.run([*command, *on], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert {row["dataset"]: row["would go"] > 0 for row in told["datasets"]} == {"mine": True, "pics": True}
        files = {path.relative_to(home.path): path for path in sorted(home.stage("measures").rglob("part-*.parquet"))}
        written.append(({name: path.read_bytes() for name, path in files.items()}, told["ways"], told["datasets"]))
    assert written[0] == written[1] == written[2]
    assert len(written[0][0]) > 10
