"""What may be asked of a study beside its candidates, in a real home: rules, replay, held-out scores, edits, plans."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from curator.candidate_edits import expected_samples, parse_edit
from curator.cli import cli
from curator.study import Edit, Run
from curator.study_plan import measured_pace, plan_study
from curator.trials import Trainer, Workers
from registry.errors import Refusal
from registry.recipe import RecipePart
from registry.store import COST, Record, dump_json
from registry.trial import Decision
from tests.curator.study_home import CHILD, World, make_world


@pytest.fixture(scope="module", autouse=True)
def trainer() -> Iterator[None]:
    """Trainers of this module only pretend to train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "COMMAND", (sys.executable, "-c", CHILD))
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A home with the finished study of ``individual``; tests may add to it."""
    made = make_world(tmp_path_factory.mktemp("world"))
    made.study()
    return made


@pytest.fixture
def no_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a trainer now fails."""
    monkeypatch.setattr(Trainer, "COMMAND", ("/no/such/program",))


def verdicts(decision: Decision) -> dict[str, str]:
    return {one.candidate: one.verdict for one in decision.candidates}


# ---- a decision from stored scores ------------------------------------------------------------------------------


def test_another_rule_on_the_same_trials_is_another_decision_and_no_training(world: World, no_trainer: None) -> None:
    ours, ours_at, _ = world.study(replay=True)
    paper, paper_at, _ = world.study(replay=True, rule="paper", seeds=1)
    assert ours_at != paper_at
    assert verdicts(ours) == verdicts(paper)
    assert (ours.rule.comparable_margin, paper.rule.comparable_margin) == (3.0, 1.0)
    assert [one.label for one in paper.candidates if one.candidate == "neutral"] in (["gain"], ["comparable"])
    assert {len(one.seeds) for one in paper.candidates} == {1}


def test_a_replay_that_would_have_to_train_says_what_is_missing(world: World, no_trainer: None) -> None:
    with pytest.raises(Refusal, match=r"replay: (start|pretrain-s2).* is not there yet"):
        world.study(replay=True, seeds=3)


def test_every_strategy_runs_on_real_trials_and_finds_what_was_planted(world: World) -> None:
    for strategy in ("halving", "leave_one_out", "greedy", "regress"):
        decision, _, _ = world.study(strategy=strategy)
        found = verdicts(decision)
        assert decision.strategy == strategy
        assert (found["wins"], found["harms"]) == ("kept", "dropped"), strategy
        assert decision.selected_minus_baseline.mean > 5


def test_a_verdict_is_the_same_when_it_is_replayed(world: World, no_trainer: None) -> None:
    decision, folder, _ = world.study(strategy="halving", replay=True)
    again, same, _ = world.study(strategy="halving", replay=True)
    assert (decision, folder) == (again, same)


# ---- held out ---------------------------------------------------------------------------------------------------


def test_a_held_out_benchmark_is_scored_and_guides_nothing(world: World) -> None:
    before, _, _ = world.study()
    (world.home.path / "benchmarks" / "tabmwp_test.tsv").write_text("index\tquestion\n1\tx\n")
    decision, _, _ = world.study(held_out=("tabmwp_test",))
    assert decision.benchmarks == before.benchmarks
    assert [one.average for one in decision.candidates] == [one.average for one in before.candidates]
    assert decision.held_out == ["tabmwp_test"]
    wins = next(one for one in decision.candidates if one.candidate == "wins")
    assert wins.held_out["tabmwp_test"].mean == pytest.approx(6, abs=1)
    assert decision.selected.held_out["tabmwp_test"] > decision.baseline.held_out["tabmwp_test"]
    assert list(decision.baseline.scores) == ["mme", "scienceqa_test"]


def test_the_training_split_of_a_guide_is_read_from_its_card(world: World, tmp_path: Path) -> None:
    fresh = make_world(tmp_path)
    card = fresh.home.cards / "wins.yaml"
    card.write_text(json.dumps({**json.loads(card.read_text()), "train_split_of": ["scienceqa_test"]}))
    decision, _, _ = fresh.study()
    marked = [one for one in decision.candidates if one.without]
    assert [one.candidate for one in marked] == ["wins"]
    assert marked[0].without is not None
    assert marked[0].without.benchmarks == ["scienceqa_test"]
    assert marked[0].without.verdict == "kept"


# ---- edits ------------------------------------------------------------------------------------------------------


def rows_of(world: World, edit: str, joined: tuple[str, ...]) -> dict[str, int]:
    """Dataset -> rows of the mix in which candidates, ``edit`` among them, join."""
    _, info = world.laboratory(candidates=("wins",), edits=(edit,)).mix_of(Run(joined, 0))
    return info.datasets


def test_a_share_of_a_dataset_joins_as_that_share(world: World) -> None:
    assert rows_of(world, "half=neutral,proportion=0.5", ("half",)) == {"start": 12, "neutral": 3}


def test_a_bound_of_a_filter_decides_which_rows_join(world: World) -> None:
    assert rows_of(world, "all=neutral,text_length.words=0:", ("all",)) == {"start": 12, "neutral": 6}
    assert rows_of(world, "long=neutral,text_length.words=1000:", ("long",)) == {"start": 12}


def test_a_weight_of_a_category_changes_the_baseline(world: World) -> None:
    edit = "less=baseline,captioning.at_most=5"
    assert rows_of(world, edit, ("less",)) == {"start": 5}
    assert rows_of(world, edit, ("less", "wins")) == {"start": 5, "wins": 4}


def test_amounts_of_one_dataset_are_decided_and_the_best_joins(world: World) -> None:
    decision, folder, _ = world.study(candidates=("wins",), edits=("some=wins,choose=2",), strategy="halving")
    assert sorted(verdicts(decision).values()) == ["dropped", "kept"]
    asked = json.loads((folder / "record.json").read_bytes())["settings"]["candidates"]
    assert asked[1] == ["some", "wins", None, "science", {"choose": 2, "dataset": "wins"}]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("half", "is not NAME=DATASET,KEY=VALUE"),
        ("half=wins", "is not NAME=DATASET,KEY=VALUE"),
        ("half=winz,proportion=0.5", "did you mean 'wins'"),
        ("half=wins,proportion=1.5", "proportion is at most 1"),
        ("half=wins,proportion=much", "proportion: Input should be a valid number"),
        ("half=wins,proportin=0.5", "'proportin' is unknown; did you mean 'proportion'"),
        ("half=wins,proportion=0.5,proportion=0.6", "'proportion' is given twice"),
        ("half=wins,proportion=0.5,choose=3", "choose one"),
        ("half=wins,text_length.word=1:", "did you mean 'words'"),
        ("half=wins,text_length.words=a:", "is not FILTER.COLUMN=MIN:MAX"),
        ("../x=wins,proportion=0.5", "not a valid name"),
        ("less=baseline,sciense.at_most=5", "unknown category 'sciense'; did you mean 'science'"),
        ("less=baseline,science.most=5", "Extra inputs are not permitted"),
        ("less=baseline,science.at_most=5,ocr.at_most=5", "changes more than one weight"),
    ],
    ids=str,
)
def test_an_edit_that_makes_no_sense_is_refused(world: World, text: str, what: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_edit(world.home, text)
    assert what in str(caught.value)


def test_an_edit_needs_a_name_of_its_own(world: World) -> None:
    with pytest.raises(Refusal, match="is the name of two candidates"):
        world.laboratory(edits=("wins=neutral,proportion=0.5",))


def test_what_an_edit_adds_is_foretold() -> None:
    parts = [
        RecipePart(dataset="d", proportion=0.25),
        RecipePart(dataset="d", repeat=3),
        RecipePart(dataset="d", choose=7),
        RecipePart(dataset="d", repeat=3, at_most=50),
    ]
    assert [expected_samples(Edit(joins=part), 40) for part in parts] == [10, 120, 7, 50]
    assert (expected_samples(None, 40), expected_samples(Edit(), 40)) == (40, 0)


# ---- what it will take ------------------------------------------------------------------------------------------


def test_a_plan_runs_the_strategy_on_simulated_studies_and_trains_nothing(tmp_path: Path, no_trainer: None) -> None:
    fresh = make_world(tmp_path)
    laboratory = fresh.laboratory()
    plans = {name: plan_study(laboratory, name) for name in ("individual", "halving", "all")}
    assert plans["all"]["trials"] == {"least": 6, "mean": 6.0, "most": 6}  # two mixes and the first stage, twice
    assert plans["all"]["waves"] == 1
    assert plans["all"]["samples"] == 2 * (12 + 31 + 5)
    assert plans["halving"]["trials"]["mean"] < plans["individual"]["trials"]["mean"]
    assert plans["individual"]["trials"]["least"] >= 2 * (4 + 1)
    assert (plans["all"]["first_trials"], plans["all"]["first_trials_finished"]) == (4, 0)
    assert plans["all"]["cpu_hours"] is None
    assert fresh.home.finished("trials") == []


def test_a_plan_knows_the_pace_of_this_home_and_what_is_there(world: World, no_trainer: None) -> None:
    plan = plan_study(world.laboratory(), "all")
    assert plan["first_trials_finished"] == 4
    assert plan["cpu_hours"] == pytest.approx(0.5 * plan["samples"] / 3600)


def test_time_that_passes_is_shared_by_the_workers(world: World, no_trainer: None, tmp_path: Path) -> None:
    fresh = make_world(tmp_path)
    with Workers(1) as workers:
        laboratory = fresh.laboratory(workers)
        folder = laboratory.home.folder("trials", "t", "0" * 64)
        assert measured_pace(laboratory.home) is None
        record = Record(kind="trial", name="t", digest="0" * 64, rows_in=10, rows_out=10)
        with laboratory.home.making(folder, record) as at:
            (at / COST).write_bytes(dump_json({"cpu_seconds": 20.0, "wall_seconds": 30.0}))
        assert measured_pace(laboratory.home) == (2.0, 3.0)
        alone = plan_study(laboratory, "all")
    with Workers(4) as workers:
        shared = plan_study(fresh.laboratory(workers), "all")
    assert alone["hours"] == pytest.approx(3.0 * 2 * (12 + 31) / 3600)
    assert shared["hours"] == pytest.approx(3.0 * 31 / 3600)
    assert alone["trainer_hours"] == shared["trainer_hours"]


def test_the_command_plans_every_strategy_by_its_name(world: World, no_trainer: None) -> None:
    arguments = ["--home", str(world.home.path), "--scale", world.request.scale, "--baseline", "start"]
    arguments += [part for name in world.request.benchmarks for part in ("--benchmark", name)]
    for strategy in ("individual", "regress"):
        found = CliRunner().invoke(
            cli, ["select", *world.request.candidates, *arguments, "--strategy", strategy, "--dry-run", "--json"]
        )
        assert found.exit_code == 0, found.output
        plan = json.loads(found.stdout)
        assert plan["strategy"] == strategy
        assert plan["trials"]["least"] > 4
