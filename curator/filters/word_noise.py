"""Words that are no language: codes, file names, links, and lists of search words without a sentence.

The paper suspects the text of LAION ("grammatical errors") of its harm; this measures what can be counted of it, on
the answers, which is where a caption stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch, Column, with_nulls

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 2
NEEDS_PICTURES = False
COLUMNS = {
    "odd_word_share": Column(
        "share 0..1", "words that mix letters with digits or with a symbol inside: codes, file names, links", "float32"
    ),
    "function_word_share": Column(
        "share 0..1",
        "English function words (the, of, is …) among the words: a list of search words has none",
        "float32",
    ),
}

FUNCTION_WORDS = (
    "a about above across after against all along also although am among an and another any are aren't around as at "
    "be because been before behind being below beside between both but by can can't could did do does doesn't don't "
    "down during each either every few for from had has have having he her here him his how i if in inside into is "
    "isn't it it's its just many may me might more most much must my near neither no nor not of off on one only onto "
    "or other our out outside over she should so some such than that the their them then there these they this those "
    "through to together too toward towards under until up upon us very was wasn't we were what when where whether "
    "which while who whom whose why will with within without would you your"
)
"""Pronouns, articles, prepositions, conjunctions and auxiliaries of English; apostrophes are not looked at."""


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null where the answers have no word."""
    from curator.kernels.words import words

    answers = batch.texts.answers
    found = words(answers.flat, FUNCTION_WORDS.replace("'", "").split())
    every, odd, listed = (np.bincount(answers.sample, weights=one, minlength=len(batch)) for one in found)
    with np.errstate(invalid="ignore"):
        return {
            "odd_word_share": with_nulls(odd / every, "float32"),
            "function_word_share": with_nulls(listed / every, "float32"),
        }
