"""The whole chain as a user walks it: every command as a process, on one data home, with a really trained model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CANDIDATES = ("demo-flags", "demo-format")
QUICK = ("--samples", "512", "--seeds", "2", "--max-seeds", "2")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # trains for real: a busy machine takes its time


def curator(*arguments: str, home: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run one command as a process; its stdout."""
    where = ["--home", str(home)] if home is not None else []
    done = subprocess.run(
        [sys.executable, "-m", "curator", *arguments, *where],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
    return done.stdout


def as_json(*arguments: str, home: Path | None = None) -> Any:
    return json.loads(curator(*arguments, "--json", home=home))


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A small demo, run once: its home and what it printed."""
    home = tmp_path_factory.mktemp("journey") / "home"
    named = [part for name in CANDIDATES for part in ("--candidate", name)]
    return home, as_json("demo", *named, *QUICK, home=home)


def test_the_decision_has_the_promised_shape(journey: tuple[Path, dict[str, Any]]) -> None:
    _, printed = journey
    assert {d["candidate"]: d["truth"] for d in printed["decisions"]} == {"demo-flags": "good", "demo-format": "bad"}
    for decision in printed["decisions"]:
        assert decision["verdict"] in {"kept", "dropped", "undecided"}
        assert decision["low"] <= decision["effect"] <= decision["high"]
    assert {"baseline", "selected", "all"} <= set(printed["comparison"])
    assert all(0 <= printed["comparison"][name] <= 100 for name in ("baseline", "selected", "all"))


def test_a_large_planted_effect_is_seen(journey: tuple[Path, dict[str, Any]]) -> None:
    effects = {decision["candidate"]: decision["effect"] for decision in journey[1]["decisions"]}
    assert effects["demo-flags"] > effects["demo-format"]
    assert effects["demo-format"] < 0


def test_the_report_is_there_and_needs_nothing_from_outside(journey: tuple[Path, dict[str, Any]]) -> None:
    page = (journey[0] / "report.html").read_text(encoding="utf-8")
    assert "demo-flags" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page


def test_running_it_again_trains_nothing_and_says_the_same(journey: tuple[Path, dict[str, Any]]) -> None:
    home, printed = journey
    before = {path: path.stat().st_mtime_ns for path in (home / "trials").glob("*/record.json")}
    named = [part for name in CANDIDATES for part in ("--candidate", name)]
    assert as_json("demo", *named, *QUICK, home=home) == printed
    after = {path: path.stat().st_mtime_ns for path in (home / "trials").glob("*/record.json")}
    assert after == before


def test_every_step_is_a_command_on_the_same_home(journey: tuple[Path, dict[str, Any]]) -> None:
    home, printed = journey
    assert "demo-flags" in curator("list", home=home)
    assert as_json("show", "demo-flags", home=home)["card"]["name"] == "demo-flags"
    counted = as_json("query", "SELECT count(*) AS n FROM trials", home=home)
    assert counted[0]["n"] >= 8
    curator("filter", "demo-captions", "--filter", "blank_image", "--json", home=home)
    curator("reclassify", "demo-allava", "--json", home=home)
    mix = as_json("build-mix", "demo-baseline", home=home)
    assert mix["samples"] == 1536
    assert {"path", "recipe_digest", "content_digest"} <= set(mix)
    trial = as_json("train", "demo-pretrain", "--stage", "pretrain", home=home)
    assert trial["already_there"]
    assert trial["frozen"] == ["vision", "llm"]
    scored = as_json("score", "demo-baseline-s0", "--benchmark", "mme", home=home)
    assert scored["scores"][0]["questions"] == 900
    assert "trials/" in curator("lineage", Path(printed["folder"]).name, home=home)
    curator("check", home=home)


def test_select_finds_the_trials_of_the_demo(journey: tuple[Path, dict[str, Any]]) -> None:
    home, printed = journey
    asked = ["select", *CANDIDATES, "--baseline", "demo-baseline", "--pretrain", "demo-pretrain", "--max-seeds", "2"]
    plan = as_json(*asked, "--dry-run", home=home)
    assert plan["first_trials_finished"] == 4
    decided = as_json(*asked, home=home)
    verdicts = [(d["candidate"], d["verdict"], d["effect"]) for d in decided["decisions"]]
    assert verdicts == [(d["candidate"], d["verdict"], d["effect"]) for d in printed["decisions"]]
