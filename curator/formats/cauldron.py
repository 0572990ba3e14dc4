"""The Cauldron and FineVision: ``images: [picture]``, ``texts: [{user, assistant}]``, one conversation a row.

The prompts are kept as they are; the pictures stand before the first question. FineVision rates every turn four times;
a sample has the worst rating of each, which FineVision publishes as ``<rating>_min``. The Cauldron has no ratings.
"""

from __future__ import annotations

from collections.abc import Iterator

from curator.raw_sample import RawSample, Rejected, Turn, Unusable, marked, pictures_of, ratings_of
from curator.reading import RawFiles, Values
from registry.sample import RATINGS

VERSION = 2
COLUMNS = {"id": "id", "images": "images", "texts": "texts"} | {name: f"{name}_min" for name in RATINGS}
OPTIONAL = frozenset({"id", *RATINGS})


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every row as one conversation over all its pictures."""
    return source.convert(_sample)


def _sample(source_id: str, row: Values) -> RawSample:
    images = pictures_of(row["images"])
    texts = row["texts"]
    if not isinstance(texts, list) or not texts:
        raise Unusable("no texts", type(texts).__name__)
    turns: list[Turn] = []
    for pair in texts:
        if not isinstance(pair, dict) or not all(isinstance(pair.get(k), str) for k in ("user", "assistant")):
            raise Unusable("text pair is incomplete")
        turns += [("user", pair["user"]), ("assistant", pair["assistant"])]
    return RawSample(source_id, images, marked(turns, len(images)), ratings=ratings_of(row))
