"""Base checkpoints by name: parts fetched at a commit, joined once, planned without weights, refused as pickles."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest
from transformers import AutoProcessor, LlavaForConditionalGeneration

from curator.assembly import look_at_base, make_base
from curator.trials import Event, Listener, Request
from registry.assembly import Assembly
from registry.checkpoint import CHECKPOINT, base_digest
from registry.errors import Refusal
from registry.store import Home, read_record
from registry.tensors import stored_shapes
from registry.trial import Lora, Stage
from tests.conftest import Curator
from tests.curator.test_model_filters import at
from tests.hub.server import Hub
from tests.trainers.families import clip_folder, qwen_folder
from tests.trainers.toy import make_mix
from trainers.model import load_checkpoint
from trainers.prepare import prepare
from trainers.serve import Server

STAGE = Stage(
    name="sft",
    template="chatml_qwen1.5",
    trains=["adapter", "llm"],
    lr={"adapter": 1e-3, "llm": 1e-3},
    capacity=512,
    rows_per_step=4,
)


class HereWorkers:
    """Trainer processes without the seconds that one takes to begin: the same server, in this process."""

    def __init__(self, count: int, threads: int = 1) -> None:
        assert (count, threads) == (1, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def run(self, jobs: Sequence[Sequence[Request]], listen: Listener) -> list[list[Event]]:
        out = io.StringIO()
        for request in [request for job in jobs for request in job]:
            Server(out).answer(json.dumps(request.body))
        events = [json.loads(line) for line in out.getvalue().splitlines()]
        for event in events:
            if event["event"] == "refused":
                raise Refusal(event["where"], event["what"], event["way_out"])
            if event["event"] == "progress":
                listen(event)
        return [[event for event in events if event["event"] == "done"]]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("parts")
    clip_folder(root / "clip")
    qwen_folder(root / "qwen")
    return root


@pytest.fixture
def home(home_path: Path) -> Home:
    return Home(home_path)


@pytest.fixture
def published(hub: Hub, parts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Assembly:
    """Both parts on the Hub, and this process asking it."""
    at(hub, monkeypatch)
    monkeypatch.setattr("curator.assembly.Workers", HereWorkers)
    monkeypatch.setattr("curator.train.Workers", HereWorkers)
    named = {}
    for part in ("clip", "qwen"):
        repo = f"acme/{part}-{tmp_path.name.replace('_', '-').lower()}"
        files = {path.name: path.read_bytes() for path in (parts / part).iterdir()}
        named[part] = f"{repo}@{hub.seed(repo, {**files, 'modeling.py': b'raise'}, kind='models')}"
    return Assembly(vision=named["clip"], llm=named["qwen"])


def test_parts_are_fetched_at_their_commits_and_joined_once(home: Home, hub: Hub, published: Assembly) -> None:
    before = look_at_base(home, published)
    assert (before.folder, before.digest, before.shapes) == (None, None, {})
    assert before.absent == [published.vision, published.llm]
    assert not home.path.exists(), "looking spends nothing"
    made = make_base(home, published)
    assert made.folder is not None
    assert made.digest == base_digest(made.folder)
    assert set(read_record(made.folder.parent).inputs) == {published.vision, published.llm}
    stamp = made.folder.stat().st_mtime_ns
    with hub.watch() as seen:
        assert make_base(home, published) == look_at_base(home, published) == made
    assert seen == []
    assert made.folder.stat().st_mtime_ns == stamp
    LlavaForConditionalGeneration.from_pretrained(made.folder)
    AutoProcessor.from_pretrained(made.folder)


@pytest.mark.parametrize("lora", [None, Lora(r=4, alpha=8)])
def test_what_is_counted_from_headers_is_what_the_trainer_counts(
    home: Home, parts: Path, published: Assembly, lora: Lora | None
) -> None:
    stage = STAGE.model_copy(update={"lora": lora})
    local = Assembly(vision=str(parts / "clip"), llm=str(parts / "qwen"))
    before = look_at_base(home, local)
    made = make_base(home, local)
    assert made.folder is not None
    _, plan = prepare(load_checkpoint(made.folder), stage, 0)
    for base in (before, made):
        for module, entry in base.plan(stage).items():
            assert (entry["parameters"], entry["learning"]) == (plan[module]["parameters"], plan[module]["learning"])
        assert [entry["rate"] for entry in base.plan(stage).values()] == [None, 1e-3, 1e-3]
    assert before.absent == []


def scale_file(folder: Path, base: Assembly) -> Path:
    stage = json.loads(STAGE.model_dump_json(exclude_none=True))
    path = folder / "mine.yaml"
    path.write_text(json.dumps({"name": "mine", "title": "t", "base": base.model_dump(), "sft": stage}))
    return path


def test_a_trial_from_parts_by_command(home: Home, published: Assembly, tmp_path: Path, curator: Curator) -> None:
    make_mix(home, "toy", list(range(12)))
    scale = scale_file(tmp_path, published)
    refused = curator("train", "no-such-mix", "--scale", str(scale))
    assert "mixes 'no-such-mix'" in refused.stderr
    assert not home.stage("models").exists(), "nothing is fetched for what cannot be trained"
    planned = json.loads(curator("train", "toy", "--scale", str(scale), "--dry-run", "--json").stdout)
    assert planned["to_fetch"] == [published.vision, published.llm]
    assert planned["digest"] == "known once the base is here"
    assert planned["modules"]["vision"] == {"parameters": None, "learning": 0, "rate": None}
    ran = curator("train", "toy", "--scale", str(scale), "--json")
    assert ran.exit_code == 0, ran.output
    trained = json.loads(ran.stdout)
    assert "llm: " in ran.stderr
    again = json.loads(curator("train", "toy", "--scale", str(scale), "--dry-run", "--json").stdout)
    assert again["already_there"]
    assert (again["digest"], again["to_fetch"]) == (trained["digest"], [])
    assert again["modules"]["llm"]["parameters"] > 0
    LlavaForConditionalGeneration.from_pretrained(Path(trained["path"]) / CHECKPOINT)


@pytest.mark.parametrize(
    "scale", ["paper-7b", "paper-13b", "paper-qwen-7b", "paper-yi-34b", "paper-7b-improved", "paper-13b-lora", "small"]
)
@pytest.mark.parametrize("stage", ["pretrain", "sft"])
def test_a_paper_scale_is_planned_without_its_weights(home: Home, curator: Curator, scale: str, stage: str) -> None:
    make_mix(home, "toy", [1, 2])
    shown = curator("train", "toy", "--scale", scale, "--stage", stage, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "parameters not known yet" in shown.stdout
    assert "frozen" in shown.stdout
    assert not home.stage("models").exists()


@pytest.mark.parametrize("part", ["vision", "llm"])
def test_pickles_are_refused_with_the_way_to_convert_them(
    home: Home, hub: Hub, published: Assembly, part: str, tmp_path: Path
) -> None:
    repo = f"acme/pickled-{part}"
    commit = hub.seed(repo, {"config.json": b"{}", "pytorch_model.bin": b"x"}, kind="models")
    base = published.model_copy(update={part: f"{repo}@{commit}"})
    with pytest.raises(Refusal, match="holds only pickled weights, which can run code") as refusal:
        make_base(home, base)
    way = refusal.value.way_out
    assert f"from_pretrained('{repo}', revision='{commit}').save_pretrained('pickled-{part}')" in way
    assert ("AutoTokenizer" in way) == (part == "llm")
    assert way.endswith(f"as its {part}")


@pytest.mark.parametrize("content", [b"", b"\xff" * 8 + b"{}", (9).to_bytes(8, "little") + b"not json!"])
def test_a_header_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(Refusal, match="no whole safetensors file"):
        stored_shapes(tmp_path)


def test_a_study_never_fetches_its_base_by_itself(home: Home, published: Assembly) -> None:
    from curator.laboratory import Laboratory

    laboratory: Any = Laboratory.__new__(Laboratory)
    laboratory.home = home
    laboratory.scale = type("Scale", (), {"base": published, "name": "mine"})
    with pytest.raises(Refusal, match="is not joined yet"):
        _ = laboratory.base
