"""Many processes learn what one learns: DDP, FSDP2, tensor parallel, both together, and from one another's states."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from registry.checkpoint import CHECKPOINT
from registry.errors import Refusal
from registry.store import Home
from registry.trial import Runtime
from tests.trainers.conftest import Toy
from tests.trainers.toy import everything, files_of, ignore, make_mix, talk, train_request
from trainers.parallel import clip, device_of
from trainers.requests import TrainRequest
from trainers.train import LOG, train
from trainers.workshop import Workshop

MODES: dict[str, dict[str, Any]] = {
    "ddp": {"processes": 2, "parallel": "ddp"},
    "ddp-micro": {"processes": 2, "parallel": "ddp", "micro_rows": 1},
    "fsdp": {"processes": 2, "parallel": "fsdp", "recompute": True, "micro_rows": 1},
    "tp": {"processes": 2, "parallel": "tp", "recompute": True},
    "fsdp+tp": {"processes": 4, "parallel": "fsdp+tp", "tensor": 2},
    "fsdp-frozen": {"processes": 2, "parallel": "fsdp"},
    "fsdp-bf16": {"processes": 2, "parallel": "fsdp"},
    "tp-bf16": {"processes": 2, "parallel": "tp"},
}
FROZEN = {"trains": ["adapter", "llm"], "lr": {"adapter": 2e-3, "llm": 2e-3}}
STAGES: dict[str, dict[str, Any]] = {
    "all": everything(2e-3),
    "frozen": FROZEN,
    "bf16": {**everything(2e-3), "precision": "bf16"},
}
KILLED = ("fsdp", "fsdp+tp")
"""Also killed after a state: gone on with by as many processes, and by one."""
DIES = 9


def stage_of(mode: str) -> str:
    return mode.rpartition("-")[2] if mode.rpartition("-")[2] in STAGES else "all"


def llama(folder: Path, base: Path) -> Path:
    """A checkpoint whose decoder is a Llama with fewer key heads than heads, and the toy's tokenizer and pictures."""
    shutil.copytree(base, folder)
    known = LlavaConfig.from_pretrained(base)
    text = LlamaConfig(
        vocab_size=known.text_config.vocab_size,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=0,
    )
    vision = CLIPVisionConfig(**known.vision_config.to_dict())
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=known.image_token_id,
        image_seq_length=known.image_seq_length,
        vision_feature_layer=-1,
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)  # farther from a point where all gradients are small
    model.save_pretrained(folder)
    return folder


@dataclass
class World:
    root: Path
    base: Path
    home: Path
    mix: tuple[str, str]

    def request(self, mode: str, stage: str, home: str, **runtime: Any) -> TrainRequest:
        """A training of its own home: the trial is the same one however it is run."""
        place = self.root / home
        if not place.exists():
            shutil.copytree(self.home, place)
        changes = {**STAGES[stage], "capacity": 48, "rows_per_step": 3, "weight_decay": 0.1, "epochs": 2}
        made = train_request(Home(place), self.base, self.mix, "t", seed=3, **changes)
        return made.model_copy(update={"runtime": Runtime(**{**MODES.get(mode, {}), "log_every": 1, **runtime})})

    @staticmethod
    def home_of(request: TrainRequest) -> Home:
        return Home(Path(request.home))

    def folder(self, request: TrainRequest) -> Path:
        found = self.home_of(request).find("trials", request.settings.digest())
        assert found is not None
        return found


@pytest.fixture(scope="module")
def world(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("parallel")
    home = Home(root / "home")
    # Most rows have no picture, and so have some steps.
    mix = make_mix(home, "world", list(range(8)), [talk(4 * n + 3)[0] for n in range(60)])
    made = World(root, llama(root / "base", toy.base), home.path, mix)
    groups: list[dict[str, Any]] = []
    for size in (2, 4):
        modes = [mode for mode, settings in MODES.items() if settings["processes"] == size]
        asked = [made.request(mode, stage_of(mode), mode) for mode in modes]
        groups.append({"size": size, "requests": asked})
        asked = [made.request(mode, "all", f"{mode} killed", checkpoint_steps=2) for mode in modes if mode in KILLED]
        groups.append({"size": size, "requests": asked, "die_at": DIES})
    groups.append({"size": 2, "requests": [made.request("fsdp", "all", "fsdp killed", checkpoint_steps=2)]})
    said = [group | {"requests": [r.model_dump(mode="json") for r in group["requests"]]} for group in groups]
    (root / "groups.json").write_text(json.dumps(said))
    command = [sys.executable, "-m", "tests.trainers.ranks", str(root / "groups.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-8000:]
    return made


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / LOG).read_text().splitlines()]


def alone(world: World, stage: str) -> Path:
    request = world.request("none", stage, f"alone {stage}")
    return train(Workshop(), request, ignore)[0]


def assert_same_weights(first: Path, second: Path, tolerance: float) -> None:
    one, two = (load_file(folder / CHECKPOINT / "model.safetensors") for folder in (first, second))
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=0, atol=tolerance), (name, (value - two[name]).abs().max())


@pytest.mark.parametrize("mode", MODES)
def test_many_processes_learn_what_one_learns(world: World, mode: str) -> None:
    stage = stage_of(mode)
    one, many = alone(world, stage), world.folder(world.request(mode, stage, mode))
    half = stage == "bf16"
    assert len(losses(one)) == 10
    assert losses(many) == pytest.approx(losses(one), rel=3e-2 if half else 2e-5)
    assert losses(one)[0] != pytest.approx(losses(one)[-1], rel=0.1)
    assert_same_weights(one, many, 2e-2 if half else 2e-4)
    learned = changed(world.base, many)
    assert any("vision_tower" in name for name in learned) == (stage != "frozen")
    assert any("language_model" in name for name in learned)
    assert any("multi_modal_projector" in name for name in learned)


def changed(before: Path, trial: Path) -> set[str]:
    one, two = load_file(before / "model.safetensors"), load_file(trial / CHECKPOINT / "model.safetensors")
    return {name for name in one if not torch.equal(one[name], two[name])}


def test_rows_that_are_shared_out_leave_some_steps_and_some_processes_without_pictures(world: World) -> None:
    """The cases that hang or add up wrongly where they are not seen to: they do come up above."""
    from registry.mix import MixReader
    from trainers.loader import load_corpus

    workshop, request = Workshop(), world.request("none", "all", "looked at")
    tokens = workshop.tokens(workshop.checkpoint(world.base))
    corpus = load_corpus(MixReader(world.home_of(request), request.mix), request.settings.stage, 3, tokens)
    steps = corpus.steps()
    seen = [[any(corpus.images[number] for number in row) for row in rows] for rows in steps]
    assert any(not any(rows) for rows in seen)
    assert any(rows[0] != rows[1] for rows in seen if len(rows) > 1)
    assert any(len(rows) == 1 for rows in seen)


def test_a_killed_group_is_gone_on_with_by_as_many_to_the_same_bytes(world: World) -> None:
    request = world.request("fsdp", "all", "fsdp killed")
    assert files_of(world.folder(request)) == files_of(world.folder(world.request("fsdp", "all", "fsdp")))


def test_one_process_goes_on_from_the_parts_of_four(world: World) -> None:
    request = world.request("none", "all", "fsdp+tp killed")
    events: list[dict[str, Any]] = []
    folder, there = train(Workshop(), request, events.append)
    assert not there
    assert events[0] == {"event": "resumed", "step": DIES - 1}
    one = alone(world, "all")
    assert losses(folder) == pytest.approx(losses(one), rel=2e-5)
    assert_same_weights(one, folder, 2e-4)


def test_clipping_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = (
        [nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(1))] for _ in "ab"
    )
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        one.grad = torch.randn_like(one)
        other.grad = one.grad.clone()
    clip(ours, 0.5)
    nn.utils.clip_grad_norm_(theirs, 0.5)
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"processes": 2}, "say ddp, fsdp, tp"),
        ({"parallel": "ddp"}, "say ddp, fsdp, tp"),
        ({"processes": 3, "parallel": "fsdp+tp", "tensor": 2}, "no multiple of 2"),
        ({"processes": 2, "parallel": "ddp", "tensor": 2}, "is for parallel 'fsdp\\+tp'"),
    ],
)
def test_groups_that_cannot_be_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Runtime(**settings)


def test_a_device_that_is_not_there_is_refused() -> None:
    assert device_of(Runtime()).type == "cpu"
    assert device_of(Runtime(device="auto")).type == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(Refusal, match="sees no GPU"):
            device_of(Runtime(device="cuda"))
