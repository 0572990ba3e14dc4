"""A picture, a statement about it, and whether it is true (VSR): asked as a yes/no question.

Option ``request``: ``short`` (default) appends LLaVA's request for a word or phrase, ``yes_no`` MME's for yes or no.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curator.prompts import SHORT_ANSWER, YES_NO
from curator.raw_sample import RawSample, Rejected, Unusable, marked, some_pictures_of, text_of
from curator.reading import RawFiles, Values

VERSION = 1
COLUMNS = {"id": "id", "image": "image", "statement": "caption", "label": "label"}
OPTIONAL = frozenset({"id"})
QUESTION = "Does this statement hold for the image? {statement}"
_REQUESTS = {"short": SHORT_ANSWER, "yes_no": YES_NO}


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every row as one question that is answered ``Yes`` or ``No``."""
    request = _REQUESTS[source.option("request", *_REQUESTS)]

    def sample(source_id: str, row: Values) -> RawSample:
        images = some_pictures_of(row["image"])
        question = QUESTION.format(statement=text_of(row["statement"], "statement").strip())
        answer = "Yes" if truth_of(row["label"]) else "No"
        turns = marked([("user", f"{question}\n{request}"), ("assistant", answer)], len(images))
        return RawSample(source_id, images, turns)

    return source.convert(sample)


def truth_of(label: Any) -> bool:
    """The label as true or false: 1/0, a boolean, or one of the words for them."""
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    found = known.get(str(label).strip().lower())
    if found is None:
        raise Unusable("label is neither true nor false", label)
    return found
