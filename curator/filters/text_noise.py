"""Characters that are no language: symbols, numbers, capitals, runs of punctuation. For any language.

The paper suspects the text of LAION ("punctuation noise") of its harm; this measures it on the answers, which is
where a caption stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
}


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null where there is nothing to take a share of."""
    from curator.kernels.counts import makeup

    answers, n = batch.texts.answers, len(batch)
    found = makeup(answers.flat)
    letters, capitals, digits, special = (np.bincount(answers.sample, weights=one, minlength=n) for one in found[:4])
    shown = letters + digits + special
    with np.errstate(invalid="ignore"):
        return {
            "special_share": with_nulls(special / shown, "float32"),
            "digit_share": with_nulls(digits / shown, "float32"),
            "capital_share": with_nulls(capitals / letters, "float32"),
            "longest_special_run": with_nulls(-least(answers.sample, -found.longest_run, n), "int32"),
        }
