"""A small data home with a finished decision, made in a second without training: what a report is written from."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from registry.identity import digest, order_key
from registry.images import ImageRef, ImageStore
from registry.mix import MIX_FILE, MixInfo, PartCount, rows_schema
from registry.sample import arrow_schema, conversation, sample_id
from registry.store import COST, Home, Record, dump_json, read_record, write_aside
from registry.trial import (
    DECISION_FILE,
    CandidateDecision,
    Decision,
    DecisionRule,
    Effect,
    MixOutcome,
    PathPoint,
)

BENCHMARKS = ["mme", "mmbench_dev_en", "scienceqa_test", "seedbench_img"]
START = {"mme": 52.4, "mmbench_dev_en": 31.0, "scienceqa_test": 42.2, "seedbench_img": 51.1}
EVERYTHING = {"mme": 64.0, "mmbench_dev_en": 58.8, "scienceqa_test": 75.1, "seedbench_img": 67.4}
COLOURS = ("red", "blue", "green", "orange", "purple", "teal")
Verdict = Literal["kept", "dropped", "undecided"]
Truth = Literal["good", "neutral", "bad"] | None


@dataclass
class Plan:
    """One candidate: what it is, what its effect is said to be, and how its samples talk."""

    dataset: str
    category: str
    effects: tuple[float, float, float, float]
    verdict: Verdict
    truth: Truth = None
    part: str | None = None
    turns: list[tuple[str, str]] = field(default_factory=list)
    pictures: bool = True
    error: float = 0.7

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.part}" if self.part else self.dataset


def demo_plans() -> list[Plan]:
    """The demo's candidates with effects like those that were measured."""
    choice = "Answer with the option's letter from the given choices directly."
    word = "Answer the question using a single word or phrase."
    yes_no = "Please answer yes or no."
    return [
        Plan("demo-allava", "captioning", (0.4, -0.9, 0.2, -0.6), "kept", "neutral", "cap",
             [("user", "<image>\nDescribe the image."), ("assistant", "one {colour} square")]),
        Plan("demo-mismatched", "captioning", (-1.2, -0.8, -1.1, -7.2), "dropped", "bad", None,
             [("user", "<image>\nDescribe the image."), ("assistant", "two {other} triangles at the top")]),
        Plan("demo-copies", "general_qa", (0.3, -0.2, 0.1, -0.3), "kept", "neutral", None,
             [("user", f"<image>\nWhat colour is the square?\n{word}"), ("assistant", "{colour}")]),
        Plan("demo-wrong", "general_qa", (-2.0, -3.1, -2.3, -6.6), "dropped", "bad", None,
             [("user", f"<image>\nWhat colour is the square?\n{word}"), ("assistant", "{other}")]),
        Plan("demo-yes", "general_qa", (-22.0, 1.4, 0.9, 2.4), "dropped", "bad", None,
             [("user", f"<image>\nIs the square {{other}}?\n{yes_no}"), ("assistant", "{other} yes")]),
        Plan("demo-magnets", "science", (1.2, 2.0, 10.6, 2.4), "kept", "good", None,
             [("user", f"<image>\nWhat will the magnets do?\nA. attract\nB. repel\n{choice}"), ("assistant", "repel")]),
        Plan("demo-polygons", "mathematics", (9.3, 1.4, 2.6, 1.5), "kept", "good", None,
             [("user", f"<image>\nHow many sides has the shape?\n{word}"), ("assistant", "4")]),
        Plan("demo-flags", "knowledge", (12.1, 10.9, 23.8, 10.4), "kept", "good", None,
             [("user", f"<image>\nWhose flag is this?\nA. Italy\nB. Japan\n{choice}"), ("assistant", "Japan B")]),
        Plan("demo-positions", "grounding", (0.1, 0.2, 0.4, 5.2), "undecided", "good", None,
             [("user", f"<image>\nWhere is the {{colour}} square?\n{word}"), ("assistant", "left")], error=2.9),
        Plan("demo-allava", "conversation", (-0.6, -0.2, -0.4, -0.8), "kept", "neutral", "conv",
             [("user", f"<image>\nHow many shapes are there?\n{word}"), ("assistant", "1"),
              ("user", "And which colour has it?"), ("assistant", "{colour}")]),
        Plan("demo-format", "conversation", (-11.4, -0.8, 0.2, 0.3), "dropped", "bad", None,
             [("user", f"<image>\nIs the square {{colour}}?\n{yes_no}"), ("assistant", "true")]),
        Plan("demo-sums", "text_only", (-0.3, -0.4, -0.8, -2.2), "kept", "neutral", None,
             [("user", f"What is 3 plus 4?\n{word}"), ("assistant", "7")], pictures=False),
        Plan("demo-screens", "screen", (3.1, 7.3, 4.4, 3.6), "kept", "good", None,
             [("user", f"<image>\nIs the box checked?\n{yes_no}"), ("assistant", "checked yes")]),
    ]  # fmt: skip


@dataclass
class Made:
    """The home, its decision, and where that lies."""

    home: Home
    decision: Decision
    folder: Path


def make_home(path: Path, plans: list[Plan] | None = None, per_dataset: int = 6, with_all: bool = True) -> Made:
    """Write samples, mixes, trials and one decision below ``path``."""
    plans = demo_plans() if plans is None else plans
    home = Home(path)
    sources = _write_samples(home, plans, per_dataset)
    trials: dict[str, str] = {}
    digests = {}
    for place, plan in enumerate(plans):
        mix = _write_mix(home, plan, sources[plan.dataset])
        digests[plan.name] = [_write_trial(home, plan.name, mix, seed, trials, 9.5 + place) for seed in range(2)]
    decision = make_decision(plans, digests, trials, with_all)
    return Made(home, decision, save_decision(home, decision))


def save_decision(home: Home, decision: Decision) -> Path:
    """Write a decision as the study does."""
    identity = digest({"settings": decision.settings, "trials": decision.trials})
    folder = home.folder("decisions", decision.name, identity)
    inputs = {f"trials/{name}": key for key, name in decision.trials.items()}
    record = Record(kind="decision", name=decision.name, digest=identity, inputs=inputs, command="curator select")
    record.settings = decision.settings
    with home.making(folder, record) as aside:
        write_aside(aside / DECISION_FILE, dump_json(decision.model_dump(mode="json")))
    return folder


def make_decision(
    plans: list[Plan], digests: dict[str, list[str]], trials: dict[str, str], with_all: bool = True
) -> Decision:
    """A decision whose path adds up the effects of what was kept."""
    categories = list(dict.fromkeys(plan.category for plan in plans))
    scores, samples, joined = dict(START), 2048, list[str]()
    path = [_point(None, scores, samples, joined)]
    for category in categories:
        kept = [plan for plan in plans if plan.category == category and plan.verdict == "kept"]
        for plan in kept:
            scores = {n: min(98.0, scores[n] + e) for n, e in zip(BENCHMARKS, plan.effects, strict=True)}
            samples, joined = samples + 1024, [*joined, plan.name]
        if kept:
            path.append(_point(category, scores, samples, joined))
    baseline, selected = _outcome("demo-baseline", START, 2048), _outcome("demo-selected", scores, samples)
    whole = _outcome("demo-all", EVERYTHING, 2048 + 1024 * len(plans)) if with_all else None
    return Decision(
        name="demo",
        strategy="individual",
        strategy_version=1,
        scale="demo",
        rule=DecisionRule(),
        benchmarks=BENCHMARKS,
        rules="2024-05",
        categories=categories,
        candidates=[_candidate(plan, digests.get(plan.name, [])) for plan in plans],
        path=path,
        baseline=baseline,
        selected=selected,
        all=whole,
        selected_minus_all=_effect(selected.average - whole.average, 1.1) if whole else None,
        selected_minus_baseline=_effect(selected.average - baseline.average, 1.1),
        trials=trials,
        settings={
            "baseline": {"name": "demo-baseline", "parts": []},
            "pretrain": {"name": "demo-pretrain"},
            "tables": {"mme": "c" * 64},
            "base": "b" * 64,
        },
    )


def _effect(mean: float, error: float) -> Effect:
    return Effect(mean=mean, low=mean - 2 * error, high=mean + 2 * error, se=error)


def _candidate(plan: Plan, trials: list[str]) -> CandidateDecision:
    mean = fmean(plan.effects)
    labels: dict[str, Any] = {"dropped": "harm", "undecided": "unclear"}
    reasons = {
        "kept": f"raises the average by {mean:.1f} points, beyond chance"
        if mean > 1.5
        else f"costs at most {2 * plan.error - mean:.1f} points (margin 3)",
        "dropped": f"lowers the average by {-mean:.1f} points, beyond chance",
        "undecided": f"a loss of up to {2 * plan.error - mean:.1f} points is not excluded",
    }
    return CandidateDecision(
        candidate=plan.name,
        category=plan.category,
        dataset=plan.dataset,
        part=plan.part,
        samples=1024,
        verdict=plan.verdict,
        label=labels.get(plan.verdict, "gain" if mean > 1.5 else "comparable"),
        reason=reasons[plan.verdict],
        average=_effect(mean, plan.error),
        benchmarks={name: _effect(e, 2 * plan.error) for name, e in zip(BENCHMARKS, plan.effects, strict=True)},
        item_bootstrap=_effect(mean, 1.0),
        seeds=[0, 1] if plan.verdict != "undecided" else [0, 1, 2, 3],
        against="demo-baseline",
        trials=trials,
        truth=plan.truth,
    )


def _outcome(mix: str, scores: dict[str, float], samples: int) -> MixOutcome:
    average = fmean(scores.values())
    seeds = [average - 0.6, average + 0.6]
    return MixOutcome(mix=mix, samples=samples, scores=dict(scores), average=average, by_seed=seeds, trials=["a", "b"])


def _point(category: str | None, scores: dict[str, float], samples: int, joined: list[str]) -> PathPoint:
    average = fmean(scores.values())
    return PathPoint(
        category=category, mix="m", joined=joined, samples=samples, scores=dict(scores), average=average, trials=[]
    )


def _write_samples(
    home: Home, plans: list[Plan], per_dataset: int
) -> dict[str, tuple[Path, str, list[dict[str, Any]]]]:
    """Dataset -> samples folder, digest, rows."""
    written = {}
    with ImageStore(home).writer() as writer:
        pictures = [writer.add(picture(COLOURS[n % 6], n)) for n in range(per_dataset)]
    for dataset in dict.fromkeys(plan.dataset for plan in plans):
        rows = [_sample(plan, n, pictures[n]) for plan in plans if plan.dataset == dataset for n in range(per_dataset)]
        identity = digest({"samples": [row["id"] for row in rows]})
        folder = home.folder("samples", f"{dataset}@main", identity)
        rejected = {"image cannot be decoded": 3, "empty answer": 1}
        record = Record(kind="samples", name=dataset, digest=identity, rows_in=len(rows) + 4, rows_out=len(rows))
        record.rejected = rejected
        record.inputs = {f"raw/{dataset}@main": identity}
        record.command = f"curator pull {dataset}"
        with home.making(folder, record) as aside:
            _write_parquet(aside / "part-00000.parquet", rows, arrow_schema())
        written[dataset] = (folder, identity, rows)
    return written


def _sample(plan: Plan, number: int, image: ImageRef) -> dict[str, Any]:
    words = {"colour": COLOURS[number % 6], "other": COLOURS[(number + 2) % 6]}
    turns = [
        (role, text.replace("{colour}", words["colour"]).replace("{other}", words["other"]))
        for role, text in plan.turns
    ]
    messages = conversation(turns)
    images = [{"sha256": image.sha256, "width": image.width, "height": image.height}] if plan.pictures else []
    return {
        "id": sample_id(messages, [image.sha256] if plan.pictures else [plan.dataset, str(number)]),
        "dataset": plan.dataset,
        "part": plan.part or "all",
        "source_id": str(number),
        "category": plan.category,
        "images": images,
        "messages": messages,
    }


def _write_mix(home: Home, plan: Plan, source: tuple[Path, str, list[dict[str, Any]]]) -> Path:
    folder, samples_digest, rows = source
    own = [(n, row) for n, row in enumerate(rows) if plan.part in (None, row["part"])]
    names = ("id", "dataset", "part", "category", "images")
    placed = [
        {**{k: row[k] for k in names}, "copy": 0, "folder": folder.name, "file": "part-00000.parquet", "row": n}
        for n, row in own
    ]
    identity = digest({"mix": [row["id"] for row in placed], "part": plan.part})
    part = PartCount(
        dataset=plan.dataset, part=plan.part, samples_folder=folder.name, seed=0, available=len(own) + 2,
        dropped={"caption-length.words": 2}, chosen=len(own),
    )  # fmt: skip
    info = MixInfo(
        name=f"demo-baseline+{plan.dataset}", recipe={}, recipe_digest=identity, content_digest=identity,
        samples=len(own), images=len(own), datasets={plan.dataset: len(own)}, categories={plan.category: len(own)},
        parts=[part],
    )  # fmt: skip
    target = home.folder("mixes", info.name, identity)
    record = Record(kind="mix", name=info.name, digest=identity, rows_in=len(own), rows_out=len(own))
    record.inputs = {f"samples/{folder.name}": samples_digest}
    with home.making(target, record) as aside:
        write_aside(aside / MIX_FILE, dump_json(info.model_dump(mode="json")))
        _write_parquet(aside / "rows-00000.parquet", placed, rows_schema())
    return target


def _write_trial(home: Home, name: str, mix: Path, seed: int, trials: dict[str, str], seconds: float) -> str:
    identity = digest({"mix": mix.name, "seed": seed})
    folder = home.folder("trials", f"{name.replace('/', '.')}-s{seed}", identity)
    inputs = {"mix": MixInfo.model_validate_json((mix / MIX_FILE).read_bytes()).content_digest, "base": "b" * 64}
    with home.making(folder, Record(kind="trial", name=name, digest=identity, inputs=inputs)) as aside:
        write_aside(
            aside / COST,
            dump_json({"cpu_seconds": seconds, "wall_seconds": 2 * seconds, "samples": 1024, "machine": "x"}),
        )
    trials[identity] = folder.name
    return identity


def relabel(home: Home, dataset: str, categories: list[str]) -> None:
    """Give the samples of a dataset new labels, as after a change of its card, and make its mix depend on them."""
    import pyarrow as pa

    samples = next(folder for folder in home.finished("samples") if folder.name.startswith(f"{dataset}@"))
    identity = digest({"labels": categories})
    folder = home.stage("measures") / samples.name / f"labels-{identity[:12]}"
    rows = [{"id": str(n), "part": slug, "category": slug} for n, slug in enumerate(categories)]
    schema = pa.schema([(name, pa.string()) for name in ("id", "part", "category")])
    with home.making(folder, Record(kind="measures", name=folder.name, digest=identity)) as aside:
        _write_parquet(aside / "part-00000.parquet", rows, schema)
    mix = next(folder for folder in home.finished("mixes") if folder.name.startswith(f"demo-baseline+{dataset}-"))
    record = read_record(mix)
    record.inputs[f"measures/{samples.name}/{folder.name}"] = identity
    (mix / "record.json").write_bytes(dump_json(record.model_dump(mode="json")))


def picture(colour: str, seed: int) -> bytes:
    """A 48 x 48 px PNG: one square and a little noise of its own."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (48, 48), "#f4f0e6")
    draw = ImageDraw.Draw(image)
    left, top = order_key(seed, "x") % 22, order_key(seed, "y") % 22
    draw.rectangle((left + 2, top + 2, left + 20, top + 20), fill=colour, outline="black")
    draw.ellipse((36 - left // 2, 34 - top // 3, 44 - left // 2, 42 - top // 3), fill="#444")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _write_parquet(path: Path, rows: list[dict[str, Any]], schema: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
