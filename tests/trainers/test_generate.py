"""Replies do not depend on company, equal transformers' own greedy ones, and end where they must."""

from __future__ import annotations

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
from trainers.generate import Prompt, replies
from trainers.model import Checkpoint
from trainers.picture import square


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


def test_replies_are_those_of_transformers(toy: Toy) -> None:
    checkpoint = toy.checkpoint(())
    prompts = prompts_of(toy, checkpoint)
    rows = toy.network(checkpoint, "rows of transformers")
    assert replies(toy.network(checkpoint), prompts, 1, 8) == replies(rows, prompts, 1, 8)
    store = toy.workshop.store(toy.home)
    for prompt in [prompt for prompt in prompts if prompt.images][:6]:
        squares = [square(store.read(image), checkpoint.pictures, image) for image in prompt.images]
        pixels = normalised(torch.from_numpy(np.stack(squares)), checkpoint.pictures)
        ids = torch.from_numpy(prompt.tokens.ids).long()[None]
        out = checkpoint.model.generate(
            input_ids=ids, pixel_values=pixels, max_new_tokens=8, do_sample=False, eos_token_id=1, pad_token_id=0
        )[0, ids.shape[1] :].tolist()
        expected = out[: out.index(1)] if 1 in out else out
        assert replies(toy.network(checkpoint), [prompt], 1, 8) == [expected]


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
