"""Every word of the demo world: its tokenizer is a list of whole words, so none may be missing."""

from __future__ import annotations

import re

from curator.demo.captions import CAPTION_REQUESTS, caption
from curator.demo.draws import Draws
from curator.demo.questions import INSTRUCTIONS, LETTERS, SKILLS, Fact
from curator.demo.scenes import (
    COLORS,
    CONTROLS,
    COUNTRIES,
    FILLS,
    PAIRS,
    SHAPES,
    SIDES,
    THEMES,
    Blank,
    Flag,
    Magnets,
    Polygon,
    Scene,
    Screen,
    Shapes,
    Thing,
)

_PIECE = re.compile(r"\w+|[^\w\s]+")
DIGITS = tuple("0123456789")
MAGNET_HINT = "Every magnet has two poles."
"""The hint that some science questions have, as ScienceQA's do."""
OTHER_TEXTS = ("It is", "What is it?", "Which option is it?", "Is it", "What is + ?", "yes no true false", MAGNET_HINT)
"""Wordings that no scene's question or caption holds: matching tasks, sums, the odd answers of bad datasets."""


def pieces(text: str) -> list[str]:
    """The text cut into words and runs of punctuation (the rule of the tokenizer's ``Whitespace`` splitter)."""
    return _PIECE.findall(text)


def every_scene() -> list[Scene]:
    """A scene of each kind with each value that shows in a caption."""
    one = [Shapes((Thing(c, s), Thing(c, s), Thing(c, s), Thing(c, s)), 0) for c in COLORS for s in SHAPES]
    polygons = [Polygon(n, fill, color, 0) for n in SIDES for fill in FILLS for color in COLORS]
    screens = [Screen(control, theme, 0) for control in CONTROLS for theme in THEMES]
    magnets = [Magnets(pair, 0) for pair in PAIRS]
    return [*one, *polygons, *screens, *magnets, *(Flag(country, 0) for country in COUNTRIES), Blank(0)]


def _wordings(fact: Fact) -> list[str]:
    return [fact.question, *(fact.claim.format(value=value) for value in fact.pool), *fact.pool]


def _all_words() -> tuple[str, ...]:
    texts = [*INSTRUCTIONS, *CAPTION_REQUESTS, *LETTERS, *DIGITS, *OTHER_TEXTS]
    texts += [caption(scene) for scene in every_scene()]
    # 300 draws a skill meet every wording many times over (at most 10 each); the draws are fixed
    texts += [
        text for skill in SKILLS for i in range(300) for text in _wordings(SKILLS[skill](Draws("words", skill, i))[1])
    ]
    return tuple(sorted({piece for text in texts for piece in pieces(text)}))


WORDS = _all_words()
"""All words, digits and punctuation of the world, sorted: the vocabulary of the demo model's tokenizer."""
