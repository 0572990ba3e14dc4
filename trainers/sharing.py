"""What prompts have in common is read once: prompts of one picture begin alike up to its end, and often further.

Prompts are laid in the order of their tokens, so that those with a long common beginning are neighbours, and the order
is cut into bundles: a stem that all prompts of a bundle begin with, and a leaf of each, at least one token.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainers.tokens import Encoded

LEAVES = 64
"""Prompts of a bundle, at most."""
LEAF_COST = 1.25
"""What reading a token of a leaf costs, in tokens of a stem: attention to two places, with a mask."""
STEM_COST = 8
"""What one more stem costs, in its tokens."""

_PICTURES = 1 << 30
"""Numbers from here on stand for pictures; no vocabulary is that large."""

Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Prompt:
    """What a reply is asked for: tokens with every picture expanded, and the pictures' sha256."""

    tokens: Encoded
    images: tuple[str, ...]
    choices: tuple[int, ...] = ()
    """The reply is the likeliest of these tokens; empty: it is generated."""


@dataclass(frozen=True)
class Bundle:
    """Prompts with a common beginning."""

    stem: int
    """Tokens of the common beginning."""
    numbers: tuple[int, ...]
    """Of the prompts."""


def bundles(prompts: Sequence[Prompt], image_id: int) -> list[Bundle]:
    """Every prompt in one bundle, such that the fewest tokens are read."""
    names = {image: _PICTURES + n for n, image in enumerate(sorted({i for p in prompts for i in p.images}))}
    spelled = [_spelled(prompt, names, image_id) for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda number: spelled[number].astype(">i4").tobytes())
    lengths = [len(spelled[number]) for number in order]
    alike = [0] + [_alike(spelled[a], spelled[b]) for a, b in itertools.pairwise(order)]
    bounds = _cut(lengths, alike)
    found = []
    for low, high in itertools.pairwise(bounds):
        stem = min([*(length - 1 for length in lengths[low:high]), *alike[low + 1 : high]])
        found.append(Bundle(_outside_pictures(spelled[order[low]], stem), tuple(order[low:high])))
    return found


def _spelled(prompt: Prompt, names: dict[str, int], image_id: int) -> Tokens:
    """The tokens, with those of a picture replaced by its number: equal only where what the model reads is equal."""
    ids = prompt.tokens.ids.copy()
    if prompt.images:
        places = np.flatnonzero(ids == image_id)
        ids[places] = np.repeat([names[image] for image in prompt.images], len(places) // len(prompt.images))
    return ids


def _alike(one: Tokens, other: Tokens) -> int:
    """Tokens at the beginning that are equal."""
    shorter = min(len(one), len(other))
    differ = one[:shorter] != other[:shorter]
    return int(differ.argmax()) if differ.any() else shorter


def _cut(lengths: Sequence[int], alike: Sequence[int]) -> list[int]:
    """Bounds ``[0, …, len(lengths)]`` of the bundles at the least total cost."""
    best, came_from = [0.0], [0]
    for end in range(1, len(lengths) + 1):
        shortest, stem, total = lengths[end - 1], lengths[end - 1] - 1, 0
        least, where = float("inf"), end - 1
        for start in range(end - 1, max(end - 1 - LEAVES, -1), -1):
            total += lengths[start]
            shortest = min(shortest, lengths[start])
            stem = min(stem, shortest - 1)
            cost = best[start] + STEM_COST + stem + LEAF_COST * (total - stem * (end - start))
            if cost < least:
                least, where = cost, start
            stem = min(stem, alike[start])
            if stem <= STEM_COST:
                break
        best.append(least)
        came_from.append(where)
    bounds = [len(lengths)]
    while bounds[-1]:
        bounds.append(came_from[bounds[-1]])
    return bounds[::-1]


def _outside_pictures(spelled: Tokens, stem: int) -> int:
    """The stem shortened so that it does not end within pictures."""
    while stem > 0 and spelled[stem - 1] >= _PICTURES and spelled[stem] >= _PICTURES:
        stem -= 1
    return stem
