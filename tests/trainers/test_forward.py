"""Packed equals unpacked, ours equals transformers': losses, logits and gradients, and nobody looks at a neighbour."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaModel

from registry.trial import Runtime
from tests.trainers.conftest import Toy
from tests.trainers.toy import stage
from trainers import lean
from trainers.forward import Network, Way
from trainers.loader import Corpus, Step, make_step
from trainers.model import Checkpoint, freeze, load_checkpoint
from trainers.parallel import ALONE, spread
from trainers.train import way_of

TOLERANCE = 1e-5
EVERYTHING = ("vision", "adapter", "llm")


def gradients(checkpoint: Checkpoint) -> dict[str, Tensor]:
    named = checkpoint.model.named_parameters()
    found = {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}
    checkpoint.model.zero_grad(set_to_none=True)
    return found


def loss_and_gradients(network: Network, steps: list[Step]) -> tuple[float, dict[str, Tensor]]:
    """Mean loss over the learned tokens of all steps together, and its gradients."""
    total = sum(step.learned for step in steps)
    losses = [network.loss(step) * (step.learned / total) for step in steps]
    torch.autograd.backward(torch.stack(losses).sum())
    return sum(float(loss.detach()) for loss in losses), gradients(network.checkpoint)


def one_by_one(corpus: Corpus, numbers: list[int]) -> list[Step]:
    return [corpus.batch([np.array([number])]) for number in numbers]


def assert_close(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.allclose(value, second[name], atol=TOLERANCE, rtol=1e-4), name


@pytest.mark.parametrize("trains", [("adapter", "llm"), EVERYTHING, ("adapter",), ("llm",)])
@pytest.mark.parametrize("kind", ["lean", "rows"])
def test_packed_equals_unpacked(toy: Toy, trains: tuple[str, ...], kind: str) -> None:
    checkpoint = toy.checkpoint(trains)
    corpus = toy.corpus(checkpoint)
    rows = corpus.steps()[0]
    packed = toy.network(checkpoint, "fp32" if kind == "lean" else "rows of transformers")
    single = toy.network(checkpoint, "rows of transformers")
    assert packed.lean == (kind == "lean")
    loss, found = loss_and_gradients(packed, [corpus.batch(rows, by_length=packed.lean)])
    expected_loss, expected = loss_and_gradients(single, one_by_one(corpus, np.concatenate(rows).tolist()))
    assert loss == pytest.approx(expected_loss, abs=TOLERANCE)
    assert_close(found, expected)
    assert found.keys() == {name for name, p in checkpoint.model.named_parameters() if p.requires_grad} & found.keys()


@pytest.mark.parametrize("precision", ["fp32", "rows of transformers"])
def test_the_losses_of_samples_are_those_of_each_alone(toy: Toy, precision: str) -> None:
    checkpoint = toy.checkpoint()
    network, corpus = toy.network(checkpoint, precision), toy.corpus(checkpoint)
    numbers = np.argsort([len(sample) for sample in corpus.samples[:40]], kind="stable")
    step = corpus.batch([np.array([number]) for number in numbers])
    with torch.no_grad():
        alone = [float(network.loss(one)) for one in one_by_one(corpus, numbers.tolist())]
        assert network.sample_losses(step).tolist() == pytest.approx(alone, abs=TOLERANCE)


def test_our_logits_are_those_of_the_whole_transformers_model(toy: Toy) -> None:
    checkpoint = toy.checkpoint()
    network, corpus = toy.network(checkpoint), toy.corpus(checkpoint)
    step = corpus.batch(corpus.steps()[0], by_length=True)
    with torch.no_grad():
        ours = torch.split(network.logits(step, torch.arange(len(step.ids))), step.lengths.tolist())
        ids = torch.split(torch.from_numpy(step.ids), step.lengths.tolist())
        images = iter(step.images)
        for own, sample in zip(ours, ids, strict=True):
            pictures = [next(images) for _ in range(int((sample == 2).sum()) // 4)]
            pixels = _pixels(toy, checkpoint, pictures) if pictures else None
            theirs = checkpoint.model(input_ids=sample[None], pixel_values=pixels).logits[0]
            assert torch.allclose(own, theirs, atol=TOLERANCE)


def _pixels(toy: Toy, checkpoint: Checkpoint, images: list[str]) -> Tensor:
    from trainers.features import normalised
    from trainers.picture import square

    store = toy.workshop.store(toy.home)
    squares = [square(store.read(image), checkpoint.pictures, image) for image in images]
    return normalised(torch.from_numpy(np.stack(squares)), checkpoint.pictures)


@pytest.mark.parametrize("kind", ["lean", "rows"])
def test_no_sample_sees_another(toy: Toy, kind: str) -> None:
    checkpoint = toy.checkpoint()
    corpus = toy.corpus(checkpoint)
    network = toy.network(checkpoint, "fp32" if kind == "lean" else "rows of transformers")
    step = corpus.batch(corpus.steps()[0], by_length=network.lean)
    first, everyone = int(step.lengths[0]), torch.arange(len(step.ids))
    changed = step.ids.copy()
    changed[first : first + 3] = 7  # within the second sample
    with torch.no_grad():
        before = network.logits(step, everyone)
        after = network.logits(replace(step, ids=changed), everyone)
    second = first + int(step.lengths[1])
    assert torch.equal(before[:first], after[:first])
    assert not torch.equal(before[first:second], after[first:second])
    assert torch.equal(before[second:], after[second:])


def test_only_asked_for_logits_are_computed_and_they_are_the_same(toy: Toy) -> None:
    checkpoint = toy.checkpoint()
    network, corpus = toy.network(checkpoint), toy.corpus(checkpoint)
    step = corpus.batch(corpus.steps()[0], by_length=True)
    wanted = torch.tensor([3, 17, 40])
    with torch.no_grad():
        some = network.logits(step, wanted)
        assert some.shape[0] == 3
        assert torch.allclose(some, network.logits(step, torch.arange(len(step.ids)))[wanted], atol=TOLERANCE)


def test_one_picture_named_twice_is_computed_once_and_learned_from_twice(toy: Toy) -> None:
    checkpoint = toy.checkpoint(EVERYTHING)
    corpus = toy.corpus(checkpoint)
    number = next(n for n, images in enumerate(corpus.images) if images)
    network = toy.network(checkpoint)
    loss, found = loss_and_gradients(network, [corpus.batch([np.array([number, number])], by_length=True)])
    again, expected = loss_and_gradients(network, one_by_one(corpus, [number]))
    assert loss == pytest.approx(again, abs=TOLERANCE)
    assert_close(found, expected)


def test_a_text_without_pictures_leaves_tower_and_adapter_alone(toy: Toy) -> None:
    checkpoint = toy.checkpoint(EVERYTHING)
    corpus = toy.corpus(checkpoint)
    number = next(n for n, images in enumerate(corpus.images) if not images)
    _, found = loss_and_gradients(toy.network(checkpoint), one_by_one(corpus, [number]))
    assert not [name for name in found if "vision" in name or "projector" in name]


def test_a_frozen_towers_output_is_kept_for_the_next_trial(toy: Toy) -> None:
    first = toy.network(toy.checkpoint())
    corpus = toy.corpus(first.checkpoint)
    first.loss(corpus.batch(corpus.steps()[0], by_length=True))
    known = dict(toy.workshop.pictures.outputs)
    second = toy.network(toy.checkpoint())
    second.loss(corpus.batch(corpus.steps()[0], by_length=True))
    assert {key: id(value) for key, value in toy.workshop.pictures.outputs.items()} == {
        key: id(value) for key, value in known.items()
    }


def test_lean_layers_know_llama_without_biases() -> None:
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        num_key_value_heads=3,
    )
    assert lean.supports(config)
    torch.manual_seed(0)
    model = LlamaModel(config)
    lengths = [4, 4, 9]
    x = torch.randn(sum(lengths), 24)
    with torch.no_grad():
        ours = lean.decode(model, lean.Geometry.of(model), x, torch.tensor(lengths), torch.arange(len(x)))
        theirs = [
            model(inputs_embeds=part[None], use_cache=False).last_hidden_state[0] for part in torch.split(x, lengths)
        ]
    assert torch.allclose(ours, torch.cat(theirs), atol=TOLERANCE)


@pytest.mark.parametrize(
    "change",
    [
        {"num_key_value_heads": 1},
        {"hidden_act": "gelu"},
        {"attention_bias": True},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
    ],
)
def test_what_the_lean_layers_do_not_compute_goes_through_transformers(change: dict[str, object]) -> None:
    settings = {"hidden_size": 24, "num_attention_heads": 3, "num_key_value_heads": 3, "intermediate_size": 40}
    assert lean.supports(LlamaConfig(**settings))
    assert not lean.supports(LlamaConfig(**{**settings, **change}))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # the compiler looks
def test_recomputed_and_compiled_layers_give_the_same(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled by a backend that traces as the real one does, and generates no code: that takes a minute."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    found = []
    for runtime in (Runtime(recompute=True), Runtime(recompute=True, compile=True)):
        checkpoint = load_checkpoint(toy.base)
        freeze(checkpoint, ["vision", "adapter", "llm"])
        corpus = toy.corpus(checkpoint)
        network = Network(checkpoint, toy.network(checkpoint).features, way_of(runtime, corpus.stage, ALONE))
        objective = spread(network, runtime, ALONE)
        step = corpus.batch(corpus.steps()[0])
        torch.autograd.backward(objective(step, step.learned, False))
        found.append(gradients(checkpoint))
    plain = toy.network(toy.checkpoint(EVERYTHING), "rows of transformers")
    _, expected = loss_and_gradients(plain, [step])
    assert_close(found[0], expected)
    assert_close(found[1], expected)


def test_rows_filled_up_to_one_shape_give_the_same_loss(toy: Toy) -> None:
    checkpoint = toy.checkpoint(EVERYTHING)
    corpus = toy.corpus(checkpoint)
    step = corpus.batch(corpus.steps()[0])
    found = []
    for capacity in (0, corpus.stage.capacity):
        network = Network(checkpoint, toy.network(checkpoint).features, Way(whole=False, capacity=capacity))
        found.append(loss_and_gradients(network, [step]))
    assert found[0][0] == pytest.approx(found[1][0], abs=TOLERANCE)
    assert_close(found[1][1], found[0][1])


def test_a_step_of_one_sample_needs_no_mask(toy: Toy) -> None:
    checkpoint = toy.checkpoint()
    corpus = toy.corpus(checkpoint, stage(rows_per_step=1))
    rows = toy.network(checkpoint, "rows of transformers")
    step = make_step(corpus.samples[:1], corpus.images[:1], [1])
    with torch.no_grad():
        assert float(rows.loss(step)) == pytest.approx(float(toy.network(checkpoint).loss(step)), abs=TOLERANCE)
