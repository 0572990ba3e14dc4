"""A small study in a real data home, with a process in the place of the trainer that only pretends to train."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curator.laboratory import Laboratory
from curator.select import run_study, save_decision
from curator.study import Wave
from curator.study_request import StudyRequest, open_laboratory
from curator.trials import Workers
from registry.store import Home
from registry.trial import Decision
from tests.curator.data_home import make_chats, write_card

CHILD = r"""
import json, pathlib, sys
from registry.benchmark import load_benchmark
from registry.identity import order_key
from registry.mix import MixReader
from registry.identity import file_digest
from registry.scores import Replying, score_path
from registry.store import COST, Home, Record, dump_json, write_aside
from registry.trial import BenchmarkScore, Settings

EFFECTS = {"wins": 6.0, "harms": -6.0, "neutral": 0.0, "split": 1.0}

def train(home, request):
    settings = Settings.model_validate(request["settings"])
    if settings.init is not None:
        assert home.find("trials", settings.init), "the first stage is not there"
    mix = MixReader(home, request["mix"])
    assert mix.info.content_digest == settings.mix
    folder = home.folder("trials", request["name"], settings.digest())
    record = Record(kind="trial", name=folder.name, digest=settings.digest(), rows_in=len(mix), rows_out=len(mix))
    with home.making(folder, record) as aside:
        facts = {"settings": settings.model_dump(mode="json"), "datasets": mix.info.datasets}
        write_aside(aside / "settings.json", dump_json(facts))
        write_aside(aside / COST, dump_json({"cpu_seconds": 0.5 * len(mix)}))
    return {"folder": folder.name, "cached": False}

def score(home, request):
    trial = home.stage("trials") / request["trial"]
    facts = json.loads((trial / "settings.json").read_bytes())
    seed = facts["settings"]["seed"]
    value = 50.0 + sum(effect for name, effect in EFFECTS.items() if name in facts["datasets"]) + seed
    value += order_key(request["trial"][:-13], request["benchmark"]) % 1000 / 2000
    table = file_digest(pathlib.Path(request["table"]))
    version = load_benchmark(request["benchmark"]).VERSION
    found = BenchmarkScore(benchmark=request["benchmark"], version=version, rules=request["rules"], table_digest=table,
                           score=value, items={"one": value / 100}, questions=1)
    asked = (request["benchmark"], version, request["rules"], table, Replying(request["max_new_tokens"]))
    path = score_path(trial, *asked)
    write_aside(path, dump_json(found.model_dump(mode="json")))
    return {"folder": request["trial"], "score": value, "cached": False}

for line in sys.stdin:
    request = json.loads(line)
    home = Home(pathlib.Path(request["home"]))
    log = home.path / "requests.jsonl"
    done = len(log.read_text().splitlines()) if log.exists() else 0
    limit = home.path / "crash-after"
    if limit.exists() and done >= int(limit.read_text()):
        sys.exit("out of memory")
    answer = {"train": train, "score": score}[request["do"]](home, request)
    with log.open("a") as file:
        file.write(json.dumps(request) + "\n")
    print(json.dumps({"id": request["id"], "event": "done", **answer}), flush=True)
"""

SCALE = """\
name: tiny
title: for the tests
base: %s
pretrain:
  {name: pretrain, template: plain, trains: [adapter], lr: {adapter: 1e-3}, capacity: 64, rows_per_step: 2}
sft:
  {name: sft, template: plain, trains: [llm], lr: {llm: 2e-5}, capacity: 64, rows_per_step: 2}
noise: {degrees_of_freedom: 1000, average: 1.0}
"""
TWO_PARTS = [
    {"name": "short", "category": "general_qa", "rule": {"source_id": "row-[0-9]$"}},
    {"name": "long", "category": "conversation"},
]


@dataclass
class World:
    """A data home with four pulled candidates, and what a study of it asks for."""

    home: Home
    request: StudyRequest

    def laboratory(self, workers: Workers | None = None, **changes: Any) -> Laboratory:
        return open_laboratory(self.home, replace(self.request, **changes), workers or Workers(1))

    def study(self, **changes: Any) -> tuple[Decision, Path, list[Wave]]:
        """Run the whole study; the decision, its folder, and the waves."""
        waves: list[Wave] = []
        with Workers(1) as workers:
            laboratory = self.laboratory(workers, **changes)
            strategy = replace(self.request, **changes).strategy
            decision = run_study(laboratory, strategy, waves.append)
        return decision, save_decision(self.home, decision), waves

    def asked(self, do: str) -> list[dict[str, Any]]:
        """What the trainer was asked, and did."""
        log = self.home.path / "requests.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return [request for request in map(json.loads, lines) if request["do"] == do]


def make_world(root: Path) -> World:
    home = Home(root / "home")
    source = root / "published"
    make_chats(home, source, "start", 12)
    make_chats(home, source, "first", 5, 300)
    for place, (name, category) in enumerate([("wins", "science"), ("harms", "science"), ("neutral", "text_only")]):
        parts = [{"name": "all", "category": category}]
        make_chats(home, source, name, 4 + place, 100 * (place + 1), parts=parts)
    make_chats(home, source, "split", 14, 0, parts=TWO_PARTS)
    write_card(home, "not-pulled", format="llava_chat")
    recipes = home.path / "recipes"
    recipes.mkdir()
    for name in ("start", "first"):
        (recipes / f"{name}.yaml").write_text(f"name: {name}\nparts: [{{dataset: {name}}}]\n")
    tables = home.path / "benchmarks"
    tables.mkdir()
    for name in ("mme", "scienceqa_test"):
        (tables / f"{name}.tsv").write_text(f"index\tquestion\n1\t{name}\n")
    base = root / "base"
    base.mkdir()
    (base / "model.safetensors").write_bytes(b"weights")
    (root / "tiny.yaml").write_text(SCALE % base)
    request = StudyRequest(
        candidates=("wins", "harms", "neutral", "split/long"),
        baseline="start",
        pretrain="first",
        scale=str(root / "tiny.yaml"),
        benchmarks=("mme", "scienceqa_test"),
        name="made-up",
    )
    return World(home, request)
