"""What the base checkpoint of the demo learns, stage by stage: the part that "a pretrained LLM and CLIP" play.

First matching in text alone (the same word again, the letter of an option), then reading a caption and answering
about it, then seeing (captions of every kind of scene), then answering about pictures of shapes. So the base sees
everything and can match, but of the questions a study asks it knows only those about shapes: the skills of the
candidates are left for them to teach.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from curator.demo.captions import CAPTION_REQUESTS, caption
from curator.demo.draws import Draws
from curator.demo.exchanges import FORMAT_WORDS, SUM_WORDS
from curator.demo.pictures import picture_bytes
from curator.demo.questions import (
    BASELINE_SKILLS,
    CHOICE,
    INSTRUCTIONS,
    LETTERS,
    OUTCOMES,
    SIDE_NUMBERS,
    SKILLS,
    STYLES,
    YES_NO,
    ask,
)
from curator.demo.scenes import (
    COLORS,
    CONTROLS,
    COUNTRIES,
    FILLS,
    NUMBERS,
    PLACES,
    SHAPES,
    THEMES,
    any_scene,
)

VALUES: tuple[str, ...] = tuple(
    dict.fromkeys(
        (*COLORS, *SHAPES, *NUMBERS, *PLACES, *OUTCOMES.values(), *SIDE_NUMBERS, *FILLS, *COUNTRIES, *CONTROLS, *THEMES)
    )
)
"""Every word that can be an answer's value."""


@dataclass(frozen=True)
class Lesson:
    """One sample before it is stored: the user's text (``<image>`` marks the picture), the answer, the picture."""

    request: str
    answer: str
    picture: bytes | None = None


def match_words(draws: Draws) -> Lesson:
    """Is it the same word? Which option is it?"""
    if not draws.below(3):
        value = draws.pick(VALUES)
        same = bool(draws.below(2))
        shown = value if same else draws.other(VALUES, value)
        return Lesson(f"{value}\nIs it {shown}?\n{YES_NO}", f"{value} {'yes' if same else 'no'}")
    options = draws.take(VALUES, draws.between(2, 4))
    right = draws.below(len(options))
    lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False)]
    return Lesson("\n".join([options[right], *lines, CHOICE]), f"{options[right]} {LETTERS[right]}")


def read_captions(draws: Draws) -> Lesson:
    """A question about shapes with the caption in place of the picture."""
    scene, asked = ask(draws.pick(BASELINE_SKILLS), draws)
    return Lesson(f"{caption(scene)}\n{asked.prompt}", asked.answer)


def describe(draws: Draws) -> Lesson:
    """The caption of a picture of any kind."""
    scene = any_scene(draws)
    return Lesson(f"<image>\n{draws.pick(CAPTION_REQUESTS)}", caption(scene), picture_bytes(scene))


def answer_shapes(draws: Draws) -> Lesson:
    """A question about a picture of shapes."""
    scene, asked = ask(draws.pick(BASELINE_SKILLS), draws)
    return Lesson(f"<image>\n{asked.prompt}", asked.answer, picture_bytes(scene))


LESSONS: dict[str, Callable[[Draws], Lesson]] = {
    "match_words": match_words,
    "read_captions": read_captions,
    "describe": describe,
    "answer_shapes": answer_shapes,
}


def lessons(plan: dict[str, int], *parts: str | int) -> Iterator[Lesson]:
    """``plan`` (lesson -> how many) in one shuffled stream that depends on ``parts`` alone."""
    draws = Draws("lessons", *parts)
    order = [name for name, count in plan.items() for _ in range(count)]
    for name in draws.take(order, len(order)):
        yield LESSONS[name](draws)


def words() -> list[str]:
    """Every word and mark of the demo world, sorted: the vocabulary of the base's tokenizer.

    Words that only the candidates use are among them: the base has a token for each, but has never read it.
    """
    texts = [*VALUES, *SUM_WORDS, *FORMAT_WORDS, "What is one plus one?"]
    for name, make in LESSONS.items():
        draws = Draws("words", name)
        texts += [f"{lesson.request} {lesson.answer}" for lesson in (make(draws) for _ in range(400))]
    for skill in SKILLS:
        draws = Draws("words", skill)
        texts += [ask(skill, draws, style)[1].prompt for style in STYLES for _ in range(40)]
    fixed = re.compile("|".join(map(re.escape, (*INSTRUCTIONS, "<image>"))))
    return sorted({word for text in texts for word in _WORD.findall(fixed.sub("", text))})


_WORD = re.compile(r"[A-Za-z]+|[0-9]|[?.:]")
