"""Whether the answers to multiple-choice questions name one of the options that the question offers.

A question offers options when it has lines ``A. text``, ``B. text`` … (also ``(A)`` and ``A)``). The letter of
an answer is the whole answer ("B", "(B)", "B."), its beginning ("B. red"), or its last word ("red B").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch, Column, with_nulls

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
NEEDS_PICTURES = False
COLUMNS = {
    "options": Column("options", "fewest options that a question of the sample offers"),
    "letter_outside": Column("answers", "answers whose letter is none of the options"),
    "letter_missing": Column("answers", "answers to multiple-choice questions that name no letter"),
}

_OFFERS = r"(?m)^\s*\(?A[.):]\s"
_OPTION = re.compile(r"^\s*\(?([A-Z])[.):]\s", re.MULTILINE)
_LETTER = re.compile(r"\s*\(?([A-Z])(?:[.):].*)?\)?\s*|(?s:.*)\s\(?([A-Z])\)?\.?\s*", re.DOTALL)


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null without a multiple-choice question."""
    import pyarrow.compute as pc

    texts, n = batch.texts, len(batch)
    options, outside, missing = np.full(n, np.inf), np.zeros(n), np.zeros(n)
    offering = np.asarray(pc.match_substring_regex(texts.texts, _OFFERS)) & ~texts.answer
    answer_at = {int(message): i for i, message in enumerate(texts.message) if texts.answer[i]}
    for question in np.flatnonzero(offering):
        letters = offered(texts.texts[question].as_py())
        reply = answer_at.get(int(texts.message[question]) + 1)
        if len(letters) < 2 or reply is None:
            continue
        sample = int(texts.sample[question])
        letter = named_letter(texts.texts[reply].as_py())
        options[sample] = min(options[sample], len(letters))
        missing[sample] += letter is None
        outside[sample] += letter is not None and letter not in letters
    none = np.isinf(options)
    columns = {"options": options, "letter_outside": outside, "letter_missing": missing}
    return {name: with_nulls(values, "int32", none) for name, values in columns.items()}


def offered(question: str) -> str:
    """The letters that a question offers: ``A``, ``B`` … as far as they follow each other from the first ``A``."""
    letters = ""
    for letter in _OPTION.findall(question):
        if letter == chr(ord("A") + len(letters)):
            letters += letter
    return letters


def named_letter(answer: str) -> str | None:
    """The letter that an answer names; None when it names none."""
    match = _LETTER.fullmatch(answer)
    return (match[1] or match[2]) if match else None
