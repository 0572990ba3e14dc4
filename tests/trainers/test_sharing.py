"""Bundles: every prompt in one, with a beginning that all of it have, cut where the least is read."""

from __future__ import annotations

import random

import numpy as np

from trainers.sharing import LEAVES, Bundle, Prompt, bundles
from trainers.tokens import Encoded

IMAGE = 2
SYSTEM = list(range(10, 30))


def prompt(ids: list[int], *images: str) -> Prompt:
    return Prompt(Encoded(np.array(ids, dtype=np.int32), np.zeros(len(ids), dtype=np.bool_), len(images)), images)


def asked(image: str, *question: int, size: int = 100) -> Prompt:
    """About one picture: a system sentence, the picture, a question."""
    return prompt([*SYSTEM, *[IMAGE] * size, *question], image)


def spelled(one: Prompt) -> list[str]:
    """Tokens with pictures told apart."""
    each = sum(one.tokens.ids == IMAGE) // max(len(one.images), 1)
    left = [image for image in one.images for _ in range(each)]
    return [left.pop(0) if token == IMAGE else str(token) for token in one.tokens.ids]


def check(prompts: list[Prompt]) -> list[Bundle]:
    found = bundles(prompts, IMAGE)
    assert sorted(number for bundle in found for number in bundle.numbers) == list(range(len(prompts)))
    for bundle in found:
        heads = {tuple(spelled(prompts[number])[: bundle.stem]) for number in bundle.numbers}
        assert len(heads) == 1
        assert all(bundle.stem < len(prompts[number].tokens) for number in bundle.numbers)
        assert len(bundle.numbers) <= LEAVES
    return found


def test_questions_of_a_picture_share_what_they_begin_with() -> None:
    prompts = [asked(name, 50, 51, 52 + turn, 60) for turn in range(4) for name in ("cat", "dog")]
    found = {bundle.numbers: bundle.stem for bundle in check(prompts)}
    assert {tuple(sorted(numbers)): stem for numbers, stem in found.items()} == {(0, 2, 4, 6): 122, (1, 3, 5, 7): 122}


def test_pictures_that_look_alike_in_tokens_are_told_apart() -> None:
    found = check([asked("cat", 50), asked("dog", 50)])
    assert [len(bundle.numbers) for bundle in found] == [1, 1]


def test_a_prompt_alone_is_read_once() -> None:
    (found,) = check([asked("cat", 50, 51)])
    assert found.stem == 121
    (found,) = check([prompt([7])])
    assert found.stem == 0
    assert bundles([], IMAGE) == []


def test_equal_prompts_and_prompts_within_others_keep_a_token_each() -> None:
    (found,) = check([asked("cat", 50, 51), asked("cat", 50, 51), asked("cat", 50, 51, 52)])
    assert found.stem == 121


def test_a_stem_does_not_end_within_pictures() -> None:
    two = [prompt([*SYSTEM, *[IMAGE] * 80, 5], "cat", name) for name in ("dog", "cow")]
    for bundle in check(two):
        assert bundle.stem <= len(SYSTEM) or bundle.stem == 100
    assert bundles([prompt([*SYSTEM, *[IMAGE] * 40], "cat")], IMAGE)[0].stem == len(SYSTEM)


def test_more_questions_than_fit_are_split() -> None:
    found = check([asked("cat", number) for number in range(100, 300)])
    assert len(found) == -(-200 // LEAVES)


def test_any_prompts_are_bundled_rightly() -> None:
    chance = random.Random(3)
    for _ in range(30):
        prompts = []
        for _ in range(chance.randrange(1, 40)):
            question = [chance.randrange(40, 43) for _ in range(chance.randrange(1, 30))]
            pictures = chance.choice([(), ("cat",), ("dog",), ("cat", "dog"), ("cat", "cat")])
            size = chance.choice([4, 9])
            prompts.append(
                prompt([*SYSTEM[: chance.choice([0, 20])], *[IMAGE] * size * len(pictures), *question], *pictures)
            )
        found = check(prompts)
        read = sum(b.stem + sum(len(prompts[n].tokens) - b.stem for n in b.numbers) for b in found)
        assert read <= sum(len(one.tokens) for one in prompts)
