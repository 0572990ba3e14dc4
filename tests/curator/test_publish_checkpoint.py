"""A trial's checkpoint on a Hub: the plain files of transformers, a card with the digest of its mix, all guards."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from huggingface_hub import ModelCard

from curator.cli import cli
from curator.destination import Destination
from curator.lineage import Lineage
from curator.mix import build_mix
from curator.publication import Published, meant, publish
from curator.publish_checkpoint import CheckpointWish, plan_checkpoint
from registry.checkpoint import DEMO_FOLDER
from registry.errors import Refusal
from registry.recipe import Recipe, RecipePart
from registry.store import read_record
from registry.trial import BenchmarkScore
from tests.hub.faults import Fault
from tests.hub.server import WRITE_TOKEN, Hub
from tests.small_home import SmallHome, make_small_home, make_trial

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHome:
    """A home whose trial has a real checkpoint, in two files of weights."""
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    small = make_small_home(tmp_path)
    folder = trial(small) / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["LlavaForConditionalGeneration"]}')
    for number in (1, 2):
        (folder / f"model-{number}.safetensors").write_bytes(bytes([number]) * 100_000)
    return small


def trial(small: SmallHome) -> Path:
    return small.home.path / "trials" / small.trial


def put(hub: Hub, small: SmallHome, repo: str, **asked: Any) -> Published:
    to = Destination(repo, hub.url, attempts=3, first_wait_s=0.01, repo_type="model")
    return publish(small.home, plan_checkpoint(small.home, trial(small), CheckpointWish(repo, **asked), to), to)


def test_the_checkpoint_as_it_is_in_a_private_repository(hub: Hub, small: SmallHome) -> None:
    with hub.watch() as seen:
        done = put(hub, small, "acme/model")
    assert (done.url, done.private, done.rows) == (f"{hub.url}/acme/model", True, 7)
    assert hub.storage.repo("models", "acme/model").settings["private"]
    for path in (trial(small) / "checkpoint").iterdir():
        assert hub.read("acme/model", path.name, kind="models") == path.read_bytes()
    order = [one.path.split("/")[-2] for one in seen if "/commit/" in one.path or "/large/" in one.path]
    assert order == ["large", "large", "commit"]
    assert not (hub.storage.root / "datasets" / "acme" / "model").exists()
    with hub.watch() as seen:
        assert not put(hub, small, "acme/model").uploaded
    assert [one for one in seen if one.method == "PUT" or "/commit/" in one.path] == []


def test_the_card(hub: Hub, small: SmallHome) -> None:
    put(hub, small, "acme/card", tag="v1")
    mix = json.loads((small.home.path / "mixes" / small.mix / "mix.json").read_bytes())
    card = ModelCard(hub.read("acme/card", "README.md", kind="models").decode())
    facts = card.data.to_dict()
    assert (facts["library_name"], facts["pipeline_tag"]) == ("transformers", "image-text-to-text")
    assert f"mix:{mix['content_digest']}" in facts["tags"]
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_value) == ("mme", 62.5)
    for said in (mix["content_digest"], mix["recipe_digest"], "| learning rate | llm 2e-05 |", "| mme | 62.5 |",
                 "Decision `first`", 'revision="v1"', "| chats | - | not established | no pictures |"):  # fmt: skip
        assert said in card.text, said
    told = json.loads(hub.read("acme/card", "settings.json", kind="models"))
    assert told["mix"] == mix["content_digest"]
    assert json.loads(hub.read("acme/card", "scores.json", kind="models"))[0]["score"] == 62.5


def test_new_scores_are_a_new_version_and_send_no_weights(hub: Hub, small: SmallHome) -> None:
    put(hub, small, "acme/rescored")
    path = trial(small) / "scores" / "mme-0123456789ab.json"
    scored = BenchmarkScore.model_validate_json(path.read_bytes())
    path.write_text(scored.model_copy(update={"score": 70.0}).model_dump_json())
    with pytest.raises(Refusal, match="choose another with --tag"):
        put(hub, small, "acme/rescored")
    with hub.watch() as seen:
        assert put(hub, small, "acme/rescored", tag="rescored").uploaded
    assert not [one for one in seen if one.method == "PUT"]
    assert "| mme | 70.0 |" in hub.read("acme/rescored", "README.md", kind="models").decode()


FAULTS = {
    "429 on an upload": Fault("PUT *", status=429, retry_after=0),
    "upload cut in the middle": Fault("PUT *", "drop", skip=1, after_bytes=10_000),
    "reply of the commit lost": Fault("POST */commit/main", "lost"),
    "504 on the tag": Fault("POST */tag/*", status=504),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_passes_is_got_over(hub: Hub, small: SmallHome, name: str) -> None:
    repo = f"acme/model-{name.replace(' ', '-')}"
    with hub.fault(replace(FAULTS[name])) as fault:
        done = put(hub, small, repo)
    assert fault.hits >= 1
    history = list(hub.storage.repo("models", repo).history("main"))
    assert (len(history), history[0].id) == (2, done.commit)


def test_lineage_knows_the_repository(hub: Hub, small: SmallHome) -> None:
    done = put(hub, small, "acme/traced")
    steps = Lineage(small.home, done.record).steps
    assert {f"trials/{small.trial}", f"mixes/{small.mix}", f"samples/{small.chats}"} <= steps.keys()


def test_refusals(hub: Hub, small: SmallHome) -> None:
    with pytest.raises(Refusal, match="no licence is established for captions"):
        put(hub, small, "acme/open-model", public=True)
    shutil.rmtree(small.home.path / "mixes")
    with pytest.raises(Refusal, match="of its training is not in this data home"):
        put(hub, small, "acme/open-model", public=True)
    assert "is not in this data home" in put(hub, small, "acme/no-mix").warnings[0]
    (trial(small) / "checkpoint" / "extra.bin").write_bytes(b"x")
    with pytest.raises(Refusal, match=r"extra\.bin is pickled"):
        put(hub, small, "acme/pickled")
    shutil.rmtree(trial(small) / "checkpoint")
    with pytest.raises(Refusal, match="no checkpoint with safetensors weights"):
        put(hub, small, "acme/none")
    assert not (hub.storage.root / "models" / "acme" / "open-model").exists()


def test_the_terms_are_those_of_all_stages(hub: Hub, small: SmallHome) -> None:
    _, info = build_mix(small.home, Recipe(name="captions", parts=[RecipePart(dataset="captions")]))
    _, its = build_mix(small.home, Recipe(name="chats", parts=[RecipePart(dataset="chats")]))
    before = make_trial(small.home, info.content_digest, "first", seed=0, score=1.0)
    later = make_trial(small.home, its.content_digest, "later", seed=0, score=2.0, init=read_record(before).digest)
    shutil.copytree(trial(small) / "checkpoint", later / "checkpoint")
    to = Destination("acme/stages", hub.url, repo_type="model")
    publish(small.home, plan_checkpoint(small.home, later, CheckpointWish("acme/stages"), to), to)
    page = hub.read("acme/stages", "README.md", kind="models").decode()
    assert "| captions | - | not established | not established |" in page
    assert "| chats | - | not established | no pictures |" in page
    shutil.rmtree(before)
    plan = plan_checkpoint(small.home, later, CheckpointWish("acme/stages", tag="v2"), to)
    assert "of its training is not in this data home" in plan.warnings[-1]


def test_which_of_both_is_meant(small: SmallHome) -> None:
    assert meant(small.home, "both", checkpoint=False)[0] == "mixes"
    assert meant(small.home, "both-s0", checkpoint=False) == ("trials", trial(small))
    assert meant(small.home, small.trial, checkpoint=True) == ("trials", trial(small))
    with pytest.raises(Refusal, match="trials 'both'"):
        meant(small.home, "both", checkpoint=True)
    with pytest.raises(Refusal, match="mixes 'neither'"):
        meant(small.home, "neither", checkpoint=False)


def test_the_command(hub: Hub, small: SmallHome) -> None:
    arguments = ["both-s0", "acme/by-command", "--endpoint", hub.url, "--home", str(small.home.path), "--json"]
    planned = CliRunner().invoke(cli, ["publish", *arguments, "--dry-run"])
    assert planned.exit_code == 0, planned.output
    told = json.loads(planned.stdout)
    assert (told["form"], told["private"], told["files"], told["scores"]) == ("checkpoint", True, 3, {"mme": 62.5})
    assert CliRunner().invoke(cli, ["publish", *arguments, "--recipe-only"]).exit_code == 2
    done = CliRunner().invoke(cli, ["publish", *arguments, "--checkpoint"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["url"] == f"{hub.url}/acme/by-command"


@pytest.mark.skipif(not any(DEMO_FOLDER.glob("*.safetensors")), reason="the demo's base is not built here")
def test_transformers_loads_what_is_published(hub: Hub, small: SmallHome, tmp_path: Path) -> None:
    """The real base checkpoint, read back by the class that the card names."""
    from huggingface_hub import snapshot_download
    from transformers import LlavaForConditionalGeneration

    folder = trial(small) / "checkpoint"
    shutil.rmtree(folder)
    shutil.copytree(DEMO_FOLDER, folder)
    done = put(hub, small, "acme/loads", tag="v1")
    got = snapshot_download(
        "acme/loads", revision="v1", endpoint=hub.url, token=WRITE_TOKEN, local_dir=tmp_path / "got"
    )
    model = LlavaForConditionalGeneration.from_pretrained(got)
    assert sum(weight.numel() for weight in model.parameters()) > 100_000
    assert done.files > 5
