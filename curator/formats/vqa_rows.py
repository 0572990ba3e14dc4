"""One question and its short answer a row. Of several annotators' answers the commonest is taken.

Option ``request``: ``short`` (default) appends LLaVA's request for a word or phrase, ``yes_no`` its request for
yes or no, ``none`` nothing. A question that already ends with one of these requests is kept as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from curator.prompts import SHORT_ANSWER, YES_NO, with_request
from curator.raw_sample import RawSample, Rejected, Unusable, marked, pictures_of, text_of
from curator.reading import RawFiles, Values

VERSION = 1
COLUMNS = {"id": "id", "image": "image", "question": "question", "answer": "answer"}
OPTIONAL = frozenset({"id"})
_REQUESTS = {"short": SHORT_ANSWER, "yes_no": YES_NO, "none": ""}


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every row as one question and one answer."""
    request = _REQUESTS[source.option("request", *_REQUESTS)]

    def sample(source_id: str, row: Values) -> RawSample:
        images = pictures_of(row["image"])
        question = text_of(row["question"], "question").strip()
        if request:
            question = with_request(question, request)
        turns = marked([("user", question), ("assistant", commonest(row["answer"]))], len(images))
        return RawSample(source_id, images, turns)

    return source.convert(sample)


def commonest(answer: Any) -> str:
    """The answer, or the commonest of several (the first of equals).

    Also of objects: VQAv2's ``{answer: …}`` and ScreenQA's ``{full_answer: …}``.
    """
    if not isinstance(answer, list):
        return text_of(answer, "answer").strip()
    bare = [a.get("answer", a.get("full_answer")) if isinstance(a, dict) else a for a in answer]
    texts = [text_of(a, "answer").strip() for a in bare]
    if not texts:
        raise Unusable("no answer")
    return Counter(texts).most_common(1)[0][0]
