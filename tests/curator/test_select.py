"""A whole study without a model: real samples, mixes and records, and a small process in the place of the trainer."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curator.laboratory import mix_name
from curator.select import candidate_from, category_order
from curator.study import Candidate, Run, Wave
from curator.study_request import GUIDE_BENCHMARKS, find_table
from curator.train import TrainPlan, plan_training, train
from curator.trials import Trainer, Workers
from registry.errors import Refusal
from registry.scale import load_scale
from registry.store import read_record
from registry.trial import DECISION_FILE, Decision
from tests.curator.data_home import file_bytes
from tests.curator.study_home import CHILD, World, make_world


@pytest.fixture(scope="module", autouse=True)
def trainer() -> Iterator[None]:
    """Trainers of this module only pretend to train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "COMMAND", (sys.executable, "-c", CHILD))
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world that tests may look at and add to, but whose finished study stays."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def finished(world: World) -> tuple[Decision, Path, list[Wave]]:
    return world.study()


@pytest.fixture
def no_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a trainer now fails."""
    monkeypatch.setattr(Trainer, "COMMAND", ("/no/such/program",))


# ---- a study from its request to its decision ------------------------------------------------------------------


def test_the_study_finds_what_was_planted(finished: tuple[Decision, Path, list[Wave]]) -> None:
    decision, _, _ = finished
    assert [(one.candidate, one.category, one.verdict, one.label) for one in decision.candidates] == [
        ("wins", "science", "kept", "gain"),
        ("harms", "science", "dropped", "harm"),
        ("split/long", "conversation", "kept", "comparable"),
        ("neutral", "text_only", "kept", "comparable"),
    ]
    assert decision.categories == ["science", "conversation", "text_only"]
    assert [one.samples for one in decision.candidates] == [4, 5, 4, 6]


def test_the_comparison_is_of_the_mixes_that_were_trained(finished: tuple[Decision, Path, list[Wave]]) -> None:
    decision, _, _ = finished
    assert decision.all is not None
    assert decision.selected_minus_all is not None
    samples = [outcome.samples for outcome in (decision.baseline, decision.selected, decision.all)]
    assert samples == [12, 12 + 4 + 4 + 6, 12 + 4 + 5 + 6 + 4]
    assert decision.selected_minus_baseline.mean == pytest.approx(decision.selected.average - decision.baseline.average)
    assert decision.selected_minus_baseline.mean == pytest.approx(7, abs=0.6)
    assert decision.selected_minus_all.mean == pytest.approx(6, abs=0.6)
    assert decision.baseline.average == pytest.approx(sum(decision.baseline.by_seed) / 2)
    assert decision.baseline.by_seed[1] - decision.baseline.by_seed[0] == pytest.approx(1, abs=0.6)
    assert list(decision.baseline.scores) == decision.benchmarks == ["mme", "scienceqa_test"]


def test_the_path_shows_how_the_baseline_grew(finished: tuple[Decision, Path, list[Wave]]) -> None:
    decision, _, _ = finished
    assert [(point.category, point.joined, point.samples) for point in decision.path] == [
        (None, [], 12),
        ("science", ["wins"], 16),
        ("conversation", ["wins", "split/long"], 20),
        ("text_only", ["wins", "split/long", "neutral"], 26),
    ]
    assert decision.path[-1].average == pytest.approx(decision.selected.average)


def test_every_trial_of_the_decision_lies_in_the_home(
    world: World, finished: tuple[Decision, Path, list[Wave]]
) -> None:
    decision, _, waves = finished
    assert set(decision.trials.values()) == {folder.name for folder in world.home.finished("trials")}
    for digest, name in decision.trials.items():
        assert read_record(world.home.stage("trials") / name).digest == digest
    used = {trial for one in decision.candidates for trial in one.trials} | set(decision.baseline.trials)
    assert used <= set(decision.trials)
    assert len(decision.trials) == 2 + len({run for wave in waves for run in wave})  # 2: the first stage of each seed


def test_the_first_stage_is_trained_once_a_seed_and_before_the_second(
    world: World, finished: tuple[Decision, Path, list[Wave]]
) -> None:
    trained = world.asked("train")
    stages = [request["settings"]["stage"]["name"] for request in trained]
    assert stages[:2] == ["pretrain", "pretrain"]
    assert set(stages[2:]) == {"sft"}
    decision, _, _ = finished
    for request in trained:
        settings = request["settings"]
        upstream = decision.trials.get(settings["init"]) if settings["init"] else None
        assert (upstream or "").startswith(f"pretrain-s{settings['seed']}-") == (settings["stage"]["name"] == "sft")


def test_no_trial_is_trained_and_no_table_scored_twice(
    world: World, finished: tuple[Decision, Path, list[Wave]]
) -> None:
    trained = Counter(json.dumps(request["settings"]) for request in world.asked("train"))
    scored = Counter((request["trial"], request["benchmark"]) for request in world.asked("score"))
    assert set(trained.values()) == set(scored.values()) == {1}


def test_the_decision_is_written_with_all_it_rests_on(
    world: World, finished: tuple[Decision, Path, list[Wave]]
) -> None:
    decision, folder, _ = finished
    assert Decision.model_validate_json((folder / DECISION_FILE).read_bytes()) == decision
    record = read_record(folder)
    assert record.kind == "decision"
    assert record.inputs == {f"trials/{name}": digest for digest, name in decision.trials.items()}
    assert record.settings["tables"].keys() == {"mme", "scienceqa_test"}
    assert record.settings["rule"] == decision.rule.model_dump(mode="json")
    assert sorted(path.name for path in folder.iterdir()) == [DECISION_FILE, "record.json"]


def test_asked_again_it_is_the_same_decision_without_any_training(
    world: World, finished: tuple[Decision, Path, list[Wave]], no_trainer: None
) -> None:
    before = file_bytes(world.home.stage("decisions"))
    decision, folder, _ = world.study(name="another-name")
    assert folder == finished[1]
    assert decision.candidates == finished[0].candidates
    assert file_bytes(world.home.stage("decisions")) == before


def test_killed_in_the_middle_it_goes_on_and_decides_the_same(
    tmp_path: Path, finished: tuple[Decision, Path, list[Wave]]
) -> None:
    world = make_world(tmp_path)
    for crash in (5, 23):
        (world.home.path / "crash-after").write_text(str(crash))
        with pytest.raises(Refusal, match="ended with status 1: out of memory"):
            world.study()
        assert len(world.asked("train") + world.asked("score")) == crash
        assert world.home.finished("decisions") == []
    (world.home.path / "crash-after").unlink()
    _, folder, _ = world.study()
    assert max(Counter(json.dumps(request["settings"]) for request in world.asked("train")).values()) == 1
    assert folder.name == finished[1].name  # though home and base checkpoint lie elsewhere
    assert file_bytes(folder) == file_bytes(finished[1])


def test_another_benchmark_scores_what_is_trained_and_trains_nothing(
    world: World, finished: tuple[Decision, Path, list[Wave]]
) -> None:
    (world.home.path / "benchmarks" / "seedbench_img.tsv").write_text("index\tquestion\n1\tx\n")
    before = len(world.asked("train"))
    decision, folder, _ = world.study(benchmarks=("mme", "seedbench_img"))
    assert len(world.asked("train")) == before
    assert folder != finished[1]
    assert decision.benchmarks == ["mme", "seedbench_img"]
    new = [request for request in world.asked("score") if request["benchmark"] == "seedbench_img"]
    assert len(new) == len(decision.trials) - 2


def test_two_runs_of_the_same_data_are_one_trial(world: World, finished: tuple[Decision, Path, list[Wave]]) -> None:
    """Both orders of joining give the same rows in the same order: nothing is trained for the second."""
    with Workers(1) as workers:
        laboratory = world.laboratory(workers)
        runs = [Run(("wins", "neutral"), 0), Run(("neutral", "wins"), 0)]
        before = len(world.asked("train"))
        outcomes = laboratory.measure(runs)
    assert outcomes[runs[0]].trial == outcomes[runs[1]].trial
    assert len(world.asked("train")) == before + 1


# ---- what is refused before anything is spent -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"candidates": ("winz",)}, "did you mean 'wins'"),
        ({"candidates": ("split",)}, "has parts of several categories"),
        ({"candidates": ("split/lonk",)}, "has no such part; did you mean 'long'"),
        ({"candidates": ("not-pulled",)}, "has no samples here"),
        ({"baseline": "strat"}, "did you mean 'start'"),
        ({"pretrain": "frist"}, "did you mean 'first'"),
        ({"strategy": "individul"}, "did you mean 'individual'"),
        ({"scale": "demoo"}, "did you mean 'demo'"),
        ({"benchmarks": ("mmee",)}, "did you mean 'mme'"),
        ({"benchmarks": ("mme", "mmbench_dev_en")}, "the table of benchmark 'mmbench_dev_en' is not there"),
        ({"categories": ("sciense",)}, "is none of the 12; did you mean 'science'"),
        ({"margin": -1.0}, "greater than or equal to 0"),
        ({"margin": 0.0}, "no measurement excludes every loss"),
        ({"held_out": ("mme",)}, "guides this study and so is not held out"),
        ({"candidates": ()}, "has no candidate"),
        ({"margin": float("nan")}, "finite number"),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_met_is_refused(
    world: World, no_trainer: None, changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(Refusal) as caught:
        world.laboratory(**changes)
    assert what in str(caught.value)


def test_a_request_named_twice_counts_once(world: World) -> None:
    laboratory = world.laboratory(
        candidates=("wins", "neutral", "wins"), benchmarks=("mme", "mme"), categories=("text_only", "text_only")
    )
    assert [one.name for one in laboratory.study.candidates] == ["wins", "neutral"]
    assert laboratory.study.benchmarks == ("mme",)
    assert laboratory.study.categories == ("text_only", "science")
    assert [bench.name for bench in laboratory.benches] == ["mme"]


def test_without_a_choice_the_guide_is_the_papers(world: World) -> None:
    assert GUIDE_BENCHMARKS == ("mme", "mmbench_dev_en", "scienceqa_test", "seedbench_img")
    with pytest.raises(Refusal, match="mmbench_dev_en"):
        world.laboratory(benchmarks=())


def test_truth_and_base_of_a_request_reach_the_study(world: World, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    laboratory = world.laboratory(truth=(("wins", "good"),), base=str(tmp_path), pretrain=None)
    assert [one.truth for one in laboratory.study.candidates] == ["good", None, None, None]
    assert laboratory.base == tmp_path
    assert laboratory.base_digest != world.laboratory().base_digest
    assert laboratory.scale.pretrain is None
    assert laboratory.pretrain_mix is None


def test_a_table_may_be_named_or_found(world: World, tmp_path: Path) -> None:
    own = tmp_path / "my.tsv"
    own.write_text("index\n")
    assert find_table(world.home, "mme").table == (world.home.path / "benchmarks" / "mme.tsv").resolve()
    assert find_table(world.home, "mme", own).table == own.resolve()
    assert find_table(world.home, "mme", own).table_digest != find_table(world.home, "mme").table_digest
    with pytest.raises(Refusal, match="is not there"):
        find_table(world.home, "mme", tmp_path / "absent.tsv")


# ---- names ------------------------------------------------------------------------------------------------------


def test_a_candidate_is_a_dataset_or_a_part_of_one(world: World) -> None:
    assert candidate_from(world.home, "wins", 4) == Candidate("wins", "wins", "science", None, 4)
    assert candidate_from(world.home, "split/short") == Candidate("split/short", "split", "general_qa", "short")


def test_categories_come_in_the_papers_order_after_those_asked_for() -> None:
    candidates = [Candidate(str(n), "d", slug) for n, slug in enumerate(["screen", "chart", "captioning", "chart"])]
    assert category_order(candidates) == ("captioning", "chart", "screen")
    assert category_order(candidates, ["screen", "ocr"]) == ("screen", "captioning", "chart")


def test_a_mix_is_called_by_the_last_that_joined() -> None:
    assert mix_name("start", ()) == "start"
    assert mix_name("start", ("wins",)) == "start+wins"
    assert mix_name("start", ("wins", "split/long")) == "start+1+split.long"


# ---- one trial by hand ------------------------------------------------------------------------------------------


def plan_for(world: World, mix: str, stage: str = "sft", init: str | None = None, seed: int = 0) -> TrainPlan:
    return plan_training(world.home, mix, load_scale(world.request.scale), stage, init, seed)


def test_a_trial_by_hand_is_the_trial_of_the_study(
    world: World, finished: tuple[Decision, Path, list[Wave]], no_trainer: None
) -> None:
    first = plan_for(world, "first", "pretrain", seed=1)
    assert first.name == "pretrain-first-s1"
    assert first.finished is not None
    plan = plan_for(world, "start", init=first.finished.name, seed=1)
    assert (plan.name, plan.samples) == ("start-s1", 12)
    assert plan.settings.digest() == finished[0].baseline.trials[1]
    assert train(world.home, plan, print) == plan.finished


def test_a_trial_that_is_not_there_is_trained(world: World, finished: tuple[Decision, Path, list[Wave]]) -> None:
    plan = plan_for(world, "start", seed=7)
    assert plan.finished is None
    heard: list[str] = []
    folder = train(world.home, plan, lambda event: heard.append(event["event"]))
    assert folder == world.home.find("trials", plan.settings.digest())
    assert heard == ["started", "done"]
    assert plan_for(world, "start", seed=7).finished == folder


def test_a_stage_that_the_scale_does_not_have_is_refused(world: World) -> None:
    scale = load_scale(world.request.scale).model_copy(update={"pretrain": None})
    with pytest.raises(Refusal, match="has no stage 'pretrain'"):
        plan_training(world.home, "start", scale, "pretrain", None, 0)
