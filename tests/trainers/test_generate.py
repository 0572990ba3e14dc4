"""Replies do not depend on company, equal transformers' own greedy ones, and end where they must."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from registry.mix import MixReader
from registry.sample import make_message
from tests.trainers.conftest import Toy
from tests.trainers.toy import talk
from trainers import generate
from trainers.chat import template
from trainers.features import normalised
from trainers.forward import Network
from trainers.generate import replies
from trainers.model import Checkpoint
from trainers.picture import square
from trainers.reading import Reader
from trainers.sharing import Prompt


def prompts_of(toy: Toy, checkpoint: Checkpoint) -> list[Prompt]:
    """First turns of toy samples, of different lengths, with and without pictures."""
    corpus = toy.corpus(checkpoint)
    form = template("demo")
    images = [found[0] for found in corpus.images if found]
    asked = [form.prompt([talk(number)[0][0]]) for number in range(24)]
    asked += [form.prompt([make_message("user", "Is it red? " * (number % 5 + 1), 2)]) for number in range(10)]
    encoded = checkpoint.tokens.encode_prompts(asked, checkpoint.image_tokens)
    return [Prompt(tokens, tuple(images[n : n + tokens.pictures])) for n, tokens in enumerate(encoded)]


def test_a_reply_is_the_same_alone_and_in_company(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = toy.checkpoint(())
    network, prompts = toy.network(checkpoint), prompts_of(toy, checkpoint)
    together = replies(network, prompts, 1, 8)
    alone = [replies(network, [prompt], 1, 8)[0] for prompt in prompts]
    monkeypatch.setattr(generate, "BATCH", 5)
    fives = replies(network, prompts, 1, 8)
    monkeypatch.setattr(generate, "BATCH_TOKENS", 60)
    assert together == alone == fives == replies(network, prompts, 1, 8)
    assert len({tuple(reply) for reply in together}) > 3
    assert len({len(reply) for reply in together}) > 1


def test_replies_are_those_of_transformers(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = toy.checkpoint(())
    prompts = prompts_of(toy, checkpoint)
    alone = replies(toy.network(checkpoint), prompts, 1, 8)
    with monkeypatch.context() as patched:
        patched.setattr(generate, "reads", lambda _: False)
        assert replies(toy.network(checkpoint), prompts, 1, 8) == alone
    for prompt in [prompt for prompt in prompts if prompt.images][:6]:
        assert replies(toy.network(checkpoint), [prompt], 1, 8) == [of_transformers(toy, checkpoint, prompt, 8)]


OPTIONS = ("red", "green", "blue", "yellow")


def circular(toy: Toy, checkpoint: Checkpoint, pictures: int = 6, choose: bool = False) -> list[Prompt]:
    """Two questions a picture, each in four rotations of its options; first all first ones, as published tables do."""
    images = [found[0] for found in toy.corpus(checkpoint).images if found]
    texts, shown = [], []
    for turn in range(4):
        for number in range(2 * pictures):
            options = [f"{letter}. {OPTIONS[(turn + n) % 4]}" for n, letter in enumerate("ABCD")]
            asked = f"What color is {'it' if number % 2 else 'the square'}?"
            closed = "Answer with the option's letter from the given choices directly."
            texts.append(template("demo").prompt([make_message("user", "\n".join([asked, *options, closed]), 1)]))
            shown.append((images[number // 2],))
    encoded = checkpoint.tokens.encode_prompts(texts, checkpoint.image_tokens)
    letters = tuple(checkpoint.tokens.single(f" {letter}") for letter in "ABCD") if choose else ()
    return [Prompt(tokens, found, letters) for tokens, found in zip(encoded, shown, strict=True)]


def of_transformers(toy: Toy, checkpoint: Checkpoint, prompt: Prompt, most: int = 6) -> list[int]:
    """Transformers' own greedy reply to one prompt."""
    store = toy.workshop.store(toy.home)
    squares = [square(store.read(image), checkpoint.pictures, image) for image in prompt.images]
    out: list[int] = checkpoint.model.generate(
        input_ids=torch.from_numpy(prompt.tokens.ids).long()[None],
        pixel_values=normalised(torch.from_numpy(np.stack(squares)), checkpoint.pictures),
        max_new_tokens=most,
        do_sample=False,
        eos_token_id=1,
        pad_token_id=0,
    )[0, len(prompt.tokens) :].tolist()
    return out[: out.index(1)] if 1 in out else out


def test_what_is_read_once_for_a_picture_changes_no_reply(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = toy.checkpoint(())
    network, prompts = toy.network(checkpoint), circular(toy, checkpoint)
    read = count_tokens(monkeypatch)
    together = replies(network, prompts, 1, 6)
    assert sum(read) < 0.6 * sum(len(prompt.tokens) for prompt in prompts)
    assert together == [of_transformers(toy, checkpoint, prompt) for prompt in prompts]
    assert len({tuple(reply) for reply in together}) > 2
    shuffled = sorted(range(len(prompts)), key=lambda number: (number * 29) % 48)
    for size in (1, 7, 48):
        parts = [shuffled[start : start + size] for start in range(0, 48, size)]
        found = {n: reply for part in parts for n, reply in zip(part, asked(network, prompts, part), strict=True)}
        assert [found[number] for number in range(48)] == together


def asked(network: Network, prompts: list[Prompt], part: list[int]) -> list[list[int]]:
    return replies(network, [prompts[number] for number in part], 1, 6)


def count_tokens(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each reading of stems and leaves takes from now on."""
    read: list[int] = []
    for name in ("read_stems", "read_leaves"):
        inner = getattr(Reader, name)

        def counting(self: Reader, x: torch.Tensor, *rest: object, inner: Any = inner) -> object:
            read.append(len(x))
            return inner(self, x, *rest)

        monkeypatch.setattr(Reader, name, counting)
    return read


@pytest.mark.parametrize("noise", [0.0, 3e-7])
def test_ties_and_near_ties_are_decided_as_transformers_does_alone(toy: Toy, noise: float) -> None:
    """Every word of the answers has a twin; which one is said hangs on the last bits of a sum."""
    checkpoint = toy.checkpoint(())
    with torch.no_grad():
        head = checkpoint.model.lm_head.weight
        vocabulary, half = len(head), len(head) // 2
        head[half : 2 * half] = head[:half]
        head[half : 2 * half] += noise * torch.randn(half, head.shape[1], generator=torch.Generator().manual_seed(1))
    prompts = circular(toy, checkpoint, pictures=3)
    expected = [of_transformers(toy, checkpoint, prompt, 3) for prompt in prompts]
    network = toy.network(checkpoint)
    assert replies(network, prompts, 1, 3) == expected
    assert [replies(network, [prompt], 1, 3)[0] for prompt in prompts] == expected
    assert replies(network, prompts[::-1], 1, 3) == expected[::-1]
    said = {token for reply in expected for token in reply}
    assert max(said) < vocabulary
    if noise:
        assert any(token >= half for token in said), "the noise never decided"


def test_the_likeliest_letter_is_chosen(toy: Toy) -> None:
    checkpoint = toy.checkpoint(())
    network, prompts = toy.network(checkpoint), circular(toy, checkpoint, choose=True)
    found = replies(network, prompts, 1, 6)
    letters = prompts[0].choices
    for prompt, reply in list(zip(prompts, found, strict=True))[::5]:
        squares = [square(toy.workshop.store(toy.home).read(prompt.images[0]), checkpoint.pictures, "")]
        ids = torch.from_numpy(prompt.tokens.ids).long()[None]
        with torch.no_grad():
            pixels = normalised(torch.from_numpy(np.stack(squares)), checkpoint.pictures)
            logits = checkpoint.model(input_ids=ids, pixel_values=pixels).logits[0, -1]
        assert reply == [max(letters, key=lambda letter: float(logits[letter]))]
    assert len({tuple(reply) for reply in found}) > 1
    assert found == [replies(network, [prompt], 1, 6)[0] for prompt in prompts]


def test_replies_end_at_the_stop_token_or_the_limit(toy: Toy) -> None:
    checkpoint = toy.checkpoint(())
    network, prompts = toy.network(checkpoint), prompts_of(toy, checkpoint)
    free = replies(network, prompts, -1, 6)
    assert {len(reply) for reply in free} == {6}
    assert replies(network, prompts, -1, 2) == [reply[:2] for reply in free]
    for ended, whole in zip(replies(network, prompts, 1, 6), free, strict=True):
        assert ended == (whole[: whole.index(1)] if 1 in whole else whole)
    assert replies(network, [], 1, 6) == []


def test_a_trained_model_answers_what_it_was_taught(toy: Toy) -> None:
    checkpoint = toy.checkpoint(())
    corpus = toy.corpus(checkpoint)
    picture_of = {name: images for (name, _), images in zip(corpus.order, corpus.images, strict=True)}
    asked = template("demo").prompt([make_message("user", "What color is the square?", 1)])
    (tokens,) = checkpoint.tokens.encode_prompts([asked], checkpoint.image_tokens)
    rows = MixReader(toy.home, toy.mix[0]).rows().column("id").to_pylist()
    numbers = range(0, 240, 4)
    prompts = [Prompt(tokens, picture_of[rows[number]]) for number in numbers]
    said = [checkpoint.tokens.decode(reply).strip() for reply in replies(toy.network(checkpoint), prompts, 1, 4)]
    right = sum(answer == talk(number)[1] for answer, number in zip(said, numbers, strict=True))
    assert right > 40  # of 60; 15 by chance
