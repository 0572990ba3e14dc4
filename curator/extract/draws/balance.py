"""A balanced draw: the first of every concept, then the second of every concept, and so on up to a cap.

LLaVA's LCS-558K was drawn with noun phrases that spaCy finds, at most 100 rows a phrase. A concept here is one phrase a
caption, found without a tagger: the caption's first run of words that are no function words and have no punctuation
between them, of that the last two words (in "a photo of a red sports car in Rome": ``photo``; in "red sports car,
Rome": ``sports car``). So it is a key that spreads the draw over what captions begin with, not an analysis of them.

Which row is how many-th of its concept is known when all wanted rows have been seen, so this takes two scans; the first
keeps 16 bytes a wanted row on disk, and the subset's own keys and places are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.extract.columns import KEY
from curator.extract.order import LAST, Draw, Numbers, Prepared, Preparing
from curator.extract.scan import Look, Stretch, looked_at, stretches
from curator.filters.word_noise import FUNCTION_WORDS
from curator.runner import run
from registry.identity import order_key
from registry.store import write_aside

if TYPE_CHECKING:
    import polars as pl

VERSION = 1
CAP = 100
"""Rows of one concept where no cap is given: LLaVA's."""
MOST = 1 << 16
_PAIRS_TOGETHER = 4_000_000


def check(draw: Draw, columns: Mapping[str, Any]) -> None:
    """Every pool has captions."""


def places(draw: Draw, frame: pl.DataFrame, keys: Numbers, looked_up: Path | None) -> Numbers:  # noqa: ARG001  one signature for all
    """The place that the first scan found; ``LAST`` for rows that have none."""
    assert looked_up is not None, "a balanced draw is prepared first"
    known, found = np.load(looked_up, mmap_mode="r", allow_pickle=False)
    if not len(known):
        return np.full(len(keys), LAST, np.uint64)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[at] == keys, found[at], np.uint64(LAST))


def prepare(asked: Preparing, look: Look) -> Prepared:
    """Scan for concepts, and give each row its turn: the table of the keys and places that may be drawn."""
    table = asked.state / "turns.npy"
    if not table.is_file():
        tasks = [_Task(s, look, asked.state / f"concepts-{i:06d}.npy") for i, s in enumerate(stretches(asked.pool))]
        for rows in run(_concepts, tasks, asked.place):
            asked.advance(rows)
        keys, turns = _first(_turns([task.target for task in tasks], look.draw.cap or CAP), asked.rows)
        _save(table, np.stack([keys, turns]))
    return Prepared(table, np.sort(np.load(table, allow_pickle=False)[1]))


@dataclass(frozen=True)
class _Task:
    stretch: Stretch
    look: Look
    target: Path


def concept(captions: pl.Series) -> pl.Series:
    """The phrase that stands for each caption; the whole caption where every word is a function word."""
    import polars as pl

    text = pl.col("caption").str.to_lowercase()
    phrases = text.str.replace_all(r"[^\p{L}\p{N}\s'’-]+", "|").str.replace_all(_function_words(), "|")
    first = phrases.str.extract(r"([\p{L}\p{N}][^|]*)").str.strip_chars()
    last_two = first.str.extract(r"(\S+(?:\s+\S+)?)$").str.replace_all(r"\s+", " ")
    return captions.to_frame("caption").select(last_two.fill_null(text)).to_series()


@cache
def _function_words() -> str:
    return rf"(?:^|\b)(?:{'|'.join(sorted(FUNCTION_WORDS.split(), key=len, reverse=True))})(?:\b|$)"


def _concepts(task: _Task) -> Iterator[int]:
    """Write concept and key of every wanted row of a stretch, in order."""
    import polars as pl

    from curator.kernels.order_keys import chain

    if not task.target.is_file():
        plain = replace(task.look, draw=Draw(seed=task.look.draw.seed))
        frame = looked_at(task.stretch, plain, only=("caption",))
        hashes = np.full(len(frame), order_key("concept"), np.uint64)
        chain(concept(frame["caption"]).to_arrow(compat_level=pl.CompatLevel.newest()), hashes)
        pairs = np.stack([hashes, frame[KEY].to_numpy()])
        _save(task.target, pairs[:, np.lexsort(pairs[::-1])])
    yield task.stretch.rows


def _turns(files: list[Path], cap: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Keys and places of the first rows of each concept, a range of concepts at a time."""
    tables = [np.load(path, mmap_mode="r", allow_pickle=False) for path in files]
    ranges = 1 + sum(table.shape[1] for table in tables) // _PAIRS_TOGETHER
    ends = [(LAST * (i + 1)) // ranges for i in range(ranges)]
    before = [0] * len(tables)
    for end in ends:
        until = [int(np.searchsorted(table[0], np.uint64(end), side="right")) for table in tables]
        pairs = np.concatenate([t[:, a:b] for t, a, b in zip(tables, before, until, strict=True)], axis=1)
        before = until
        pairs = np.unique(pairs, axis=1)  # sorted by concept, then by key; duplicates count once
        new = np.append(True, pairs[0, 1:] != pairs[0, :-1])[: pairs.shape[1]]
        begins = np.flatnonzero(new)
        turn = np.arange(pairs.shape[1]) - np.repeat(begins, np.diff(np.append(begins, pairs.shape[1])))
        soon = turn < min(cap, MOST)
        keys = pairs[1, soon]
        yield keys, turn[soon].astype(np.uint64) << np.uint64(48) | keys >> np.uint64(16)


def _first(turns: Iterator[tuple[Numbers, Numbers]], rows: int) -> tuple[Numbers, Numbers]:
    """The ``rows`` first places and those equal to the last of them, by key."""
    keys = found = np.empty(0, np.uint64)
    for more_keys, more in turns:
        keys, found = np.concatenate([keys, more_keys]), np.concatenate([found, more])
        if len(found) > rows:
            soon = found <= np.partition(found, rows - 1)[rows - 1]
            keys, found = keys[soon], found[soon]
    order = np.argsort(keys)
    return keys[order], found[order]


def _save(path: Path, values: Numbers) -> None:
    import io

    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    write_aside(path, buffer.getvalue())
