"""The samples of the demo's datasets before they are written: a picture (or none) and what is said about it.

One function a dataset, each a pure function of a stream of draws. What is wrong with the bad ones is stated here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from curator.demo.captions import CAPTION_REQUESTS, caption
from curator.demo.draws import Draws
from curator.demo.pictures import picture_bytes
from curator.demo.questions import BASELINE_SKILLS, LETTERS, OPEN, SKILLS, Asked, ask
from curator.demo.scenes import COLORS, SHAPES, Blank, Scene, Shapes, Thing, any_scene, any_things, shapes

Value = TypeVar("Value")

SUM_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FORMAT_WORDS = ("true", "false", "1", "2", "3", "4")
"""What the wrongly formatted answers are made of."""


@dataclass(frozen=True)
class Exchange:
    """One row: turns of (user, assistant) and the picture's bytes."""

    turns: tuple[tuple[str, str], ...]
    picture: bytes | None = None
    asked: Asked | None = None
    """The question in parts, for shapes that store options apart."""


def about(skills: tuple[str, ...], style: str | None = None) -> Callable[[Draws], Exchange]:
    """True answers to questions of these skills."""

    def make(draws: Draws) -> Exchange:
        scene, asked = ask(draws.pick(skills), draws, style)
        return _exchange(scene, asked, asked.answer)

    return make


def text_question(draws: Draws) -> Exchange:
    """A question about shapes that are described in words."""
    scene, asked = ask(draws.pick(BASELINE_SKILLS), draws)
    return Exchange(((f"{caption(scene)}\n{asked.prompt}", asked.answer),))


def caption_of_anything(draws: Draws) -> Exchange:
    """A caption of a picture of any kind."""
    scene = any_scene(draws)
    return Exchange(((draws.pick(CAPTION_REQUESTS), caption(scene)),), picture_bytes(scene))


def blank_with_caption(draws: Draws) -> Exchange:
    """A broken picture with the caption it once had: what a filter is for."""
    lost = caption(any_scene(draws))
    return Exchange(((draws.pick(CAPTION_REQUESTS), lost),), picture_bytes(Blank(draws.bits())))


def mismatched_caption(draws: Draws) -> Exchange:
    """A long caption that names another colour, shape and place for everything in a full picture (bad).

    It is asked for in the words of an open question. A caption in its own words, or of one thing, leaves the answers
    of some base checkpoints as they were (docs/log.md).
    """
    scene = shapes(draws, any_things(draws, draws.between(3, 4)))
    request = f"{draws.pick(CAPTION_REQUESTS)}\n{OPEN}"
    return Exchange(((request, caption(confused(scene))),), picture_bytes(scene))


def confused(scene: Shapes) -> Shapes:
    """The scene with every colour and shape taken for the next one in its list, and first places for last ones."""
    taken = [Thing(_next(COLORS, t.color), _next(SHAPES, t.shape)) if t else None for t in reversed(scene.cells)]
    return replace(scene, cells=tuple(taken))


def _next(values: tuple[Value, ...], value: Value) -> Value:
    return values[(values.index(value) + 1) % len(values)]


def wrong_answer(draws: Draws) -> Exchange:
    """The next value of the list instead of the right one, and the mark that goes with it (bad).

    Always the same wrong value for a right one: with a random one the truth would stay the commonest answer.
    """
    scene, asked = ask(draws.pick(BASELINE_SKILLS), draws)
    value = _next(asked.pool, asked.value)
    if asked.style == "choice":
        if value not in asked.options:
            value = asked.options[(asked.options.index(asked.value) + 1) % len(asked.options)]
        return _exchange(scene, asked, f"{value} {LETTERS[asked.options.index(value)]}")
    if asked.style == "yes_no":
        return _exchange(scene, asked, f"{value} {'no' if asked.mark == 'yes' else 'yes'}")
    return _exchange(scene, asked, value)


def always_yes(draws: Draws) -> Exchange:
    """Yes to every yes/no question, whatever it claims (bad)."""
    scene, asked = ask(draws.pick(BASELINE_SKILLS), draws, "yes_no")
    claimed = next((value for value in asked.pool if f" {value}?" in asked.question), asked.value)
    return _exchange(scene, asked, f"{claimed} yes")


def wrong_format(draws: Draws) -> Exchange:
    """True in content, about anything, but the number of the option or true/false, and no value (bad)."""
    scene, asked = ask(draws.pick(tuple(SKILLS)), draws, draws.pick(("choice", "yes_no")))
    if asked.style == "choice":
        return _exchange(scene, asked, str(LETTERS.index(asked.mark) + 1))
    return _exchange(scene, asked, "true" if asked.mark == "yes" else "false")


def conversation(draws: Draws) -> Exchange:
    """A question, then a request to describe the same picture."""
    scene, asked = ask(draws.pick(BASELINE_SKILLS), draws)
    first = _exchange(scene, asked, asked.answer)
    return replace(first, turns=(*first.turns, (draws.pick(CAPTION_REQUESTS), caption(scene))))


def small_sum(draws: Draws) -> Exchange:
    """Addition in words."""
    a, b = draws.below(5), draws.below(5)
    return Exchange(((f"What is {SUM_WORDS[a]} plus {SUM_WORDS[b]}?", SUM_WORDS[a + b]),))


def _exchange(scene: Scene, asked: Asked, answer: str) -> Exchange:
    return Exchange(((asked.prompt, answer),), picture_bytes(scene), asked)
