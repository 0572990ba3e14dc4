"""Text that is no language: symbols, capitals, codes and file names, lists of search words.

The paper suspects the text of LAION ("grammatical errors, punctuation noise") of its harm; this measures it on the
answers, which is where a caption stands. All but ``function_word_share`` holds for any language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curator.batch import Batch, Column, least, with_nulls

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
NEEDS_PICTURES = False
COLUMNS = {
    "special_share": Column(
        "share 0..1", "characters that are no letter, number or blank, of those that are not blank", "float32"
    ),
    "digit_share": Column("share 0..1", "number characters, of those that are not blank", "float32"),
    "capital_share": Column("share 0..1", "capitals among the letters", "float32"),
    "longest_special_run": Column("characters", "most special characters in a row"),
    "odd_word_share": Column(
        "share 0..1", "words that mix letters and digits or have a symbol inside: codes, file names, links", "float32"
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
    """One value a sample; null where there is nothing to take a share of."""
    from curator.kernels.counts import makeup

    answers, n = batch.texts.answers, len(batch)
    found = makeup(answers.flat, FUNCTION_WORDS.replace("'", "").split())

    def total(values: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.bincount(answers.sample, weights=values, minlength=n).astype(np.float64)

    letters, words = total(found.letters), total(found.words)
    shown = letters + total(found.digits) + total(found.special)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = {
            "special_share": total(found.special) / shown,
            "digit_share": total(found.digits) / shown,
            "capital_share": total(found.capitals) / letters,
            "odd_word_share": total(found.odd_words) / words,
            "function_word_share": total(found.listed_words) / words,
        }
    columns = {name: with_nulls(share, "float32") for name, share in shares.items()}
    columns["longest_special_run"] = with_nulls(-least(answers.sample, -found.longest_run, n), "int32")
    return {name: columns[name] for name in COLUMNS}
