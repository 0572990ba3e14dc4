"""A small data home with one of everything, from real samples and a real mix to a trial, a score and a decision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curator.mix import build_mix
from registry.answer_rows import answer_rows
from registry.benchmark import Index, Question, load_benchmark
from registry.recipe import Recipe, RecipePart
from registry.scores import answers_path
from registry.store import Home, Record, dump_json, read_record
from registry.trial import (
    BenchmarkScore,
    CandidateDecision,
    Decision,
    DecisionRule,
    Effect,
    MixOutcome,
    Settings,
    Stage,
)
from tests.curator.data_home import make_captions, make_chats

STAGE = Stage(name="sft", template="chat", trains=["llm"], lr={"llm": 2e-5}, capacity=64, rows_per_step=2)


@dataclass(frozen=True)
class SmallHome:
    """The home and the folder names of what is in it."""

    home: Home
    chats: str
    captions: str
    mix: str
    trial: str
    decision: str


def make_small_home(folder: Path) -> SmallHome:
    """Two datasets of 5 texts and 4 captions, a mix of both, one scored trial on it, one decision."""
    home = Home(folder / "home")
    chats = make_chats(home, folder, "chats", 5, parts=[{"name": "all", "category": "text_only"}])
    captions = make_captions(home, folder, "captions", 4)
    recipe = Recipe(name="both", seed=1, parts=[RecipePart(dataset="chats"), RecipePart(dataset="captions", choose=2)])
    mix, info = build_mix(home, recipe)
    trial = make_trial(home, info.content_digest, "both-s0", seed=0, score=62.5)
    decision = _make_decision(home, trial)
    return SmallHome(home, chats.folder.name, captions.folder.name, mix.name, trial.name, decision.name)


def make_trial(home: Home, mix: str, name: str, seed: int, score: float, init: str | None = None) -> Path:
    """A finished trial without a checkpoint, scored on one benchmark; ``mix`` is a content digest."""
    settings = Settings(stage=STAGE, base="b" * 64, init=init, mix=mix, seed=seed)
    inputs = {"mix": mix, "base": settings.base} | ({"init": init} if init else {})
    record = Record(kind="trial", name=name, digest=settings.digest(), inputs=inputs, rows_in=7, rows_out=7)
    record.settings = settings.model_dump(mode="json")
    folder = home.folder("trials", name, settings.digest())
    with home.making(folder, record) as work:
        (work / "settings.json").write_bytes(dump_json(settings.model_dump(mode="json")))
        (work / "cost.json").write_bytes(dump_json({"cpu_seconds": 12.5}))
    scored = BenchmarkScore(
        benchmark="mme",
        version=1,
        rules="2024-05",
        table_digest="t" * 64,
        score=score,
        metrics={"perception": 1000.0},
        questions=40,
        unresolved=1,
    )
    (folder / "scores").mkdir()
    path = folder / "scores" / "mme-0123456789ab.json"
    answers_path(path).write_bytes(_make_answers())
    path.write_bytes(dump_json(scored.model_dump(mode="json")))
    return folder


def _make_answers() -> bytes:
    """Rows of two questions about one picture, the second answered wrongly."""
    questions = [
        Question(n, "color/1.png", f"Is it {name}? Please answer yes or no.", {}, answer, "color", image_key="1")
        for n, (name, answer) in enumerate((("red", "Yes"), ("blue", "No")), start=1)
    ]
    replies: dict[Index, str] = {1: "Yes.", 2: "Yes, it is"}
    mme = load_benchmark("mme")
    return answer_rows(mme, questions, replies, mme.score(questions, replies, "2024-05"))


def _make_decision(home: Home, trial: Path) -> Path:
    effect = Effect(mean=1.5, low=-0.5, high=3.5, se=1.0)
    outcome = MixOutcome(
        mix="both", samples=7, scores={"mme": 62.5}, average=62.5, by_seed=[62.5], trials=[digest_of(trial)]
    )
    candidate = CandidateDecision(
        candidate="captions",
        category="captioning",
        dataset="captions",
        samples=2,
        verdict="kept",
        label="comparable",
        reason="costs at most 0.5 points",
        average=effect,
        benchmarks={"mme": effect},
        item_bootstrap=effect,
        seeds=[0],
        against="chats",
        trials=[digest_of(trial)],
    )
    decision = Decision(
        name="first",
        strategy="individual",
        strategy_version=1,
        scale="demo",
        rule=DecisionRule(),
        benchmarks=["mme"],
        rules="2024-05",
        categories=["captioning"],
        candidates=[candidate],
        path=[],
        baseline=outcome,
        selected=outcome,
        selected_minus_baseline=effect,
        trials={digest_of(trial): trial.name},
        settings={"tables": {"mme": "t" * 64}},
    )
    digest = "d" * 64
    inputs = {f"trials/{trial.name}": digest_of(trial)}
    record = Record(kind="decision", name="first", digest=digest, inputs=inputs, settings=decision.settings)
    folder = home.folder("decisions", "first", digest)
    with home.making(folder, record) as work:
        (work / "decision.json").write_bytes(dump_json(decision.model_dump(mode="json")))
    return folder


def digest_of(folder: Path) -> str:
    """The full digest of a finished folder."""
    return read_record(folder).digest
