"""RefCOCO's rows: one region of a picture, several sentences that refer to it, and the annotation as COCO's JSON.

Each sentence becomes one exchange of a conversation about the picture. Boxes are written as LLaVA-1.5 does:
``[x1, y1, x2, y2]`` in 0..1 with two decimals, on the picture padded to a square around its centre. The box comes from
``raw_anns`` (COCO's x, y, width, height in pixels), because the order in the ``bbox`` column is not established.

Option ``task``: ``box`` (default) asks for the box of a sentence, ``phrase`` for a description of the box (its first
sentence).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from curator.raw_sample import RawSample, Rejected, Turn, Unusable, marked, some_pictures_of, text_of
from curator.reading import RawFiles, Values

VERSION = 1
COLUMNS = {
    "id": "ref_id",
    "image": "image_path",
    "sentences": "sentences",
    "annotation": "raw_anns",
    "picture": "raw_image_info",
}
OPTIONAL = frozenset({"id"})
BOX = "Provide the bounding box coordinate of the region this sentence describes."
PHRASE = "Provide a short description for this region."


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every row as one conversation about its region."""
    describe = source.option("task", "box", "phrase") == "phrase"

    def sample(source_id: str, row: Values) -> RawSample:
        images = some_pictures_of(row["image"])
        picture = _object(row["picture"], "picture size")
        box = box_text(
            _numbers(_object(row["annotation"], "annotation").get("bbox"), 4, "box"),
            *_numbers([picture.get("width"), picture.get("height")], 2, "picture size"),
        )
        sentences = _sentences(row["sentences"])
        turns: list[Turn] = []
        for sentence in sentences[:1] if describe else sentences:
            ask, answer = (f"{box}\n{PHRASE}", sentence) if describe else (f"{sentence}\n{BOX}", box)
            turns += [("user", ask), ("assistant", answer)]
        return RawSample(source_id, images, marked(turns, len(images)))

    return source.convert(sample)


def box_text(box: list[float], width: float, height: float) -> str:
    """A box in pixels (x, y, width, height) as text, relative to the picture padded to a square."""
    if width <= 0 or height <= 0 or box[2] <= 0 or box[3] <= 0:
        raise Unusable("box or picture has no size", box)
    side = max(width, height)
    left, top = (side - width) / 2, (side - height) / 2
    x1, y1 = box[0] + left, box[1] + top
    corners = [x1 / side, y1 / side, (x1 + box[2]) / side, (y1 + box[3]) / side]
    if min(corners) < -0.01 or max(corners) > 1.01:
        raise Unusable("box lies outside the picture", box)
    return "[" + ", ".join(f"{min(max(corner, 0.0), 1.0):.2f}" for corner in corners) + "]"


def _sentences(value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise Unusable("no sentences", type(value).__name__)
    return [text_of(s.get("raw", s.get("sent")) if isinstance(s, dict) else s, "sentence").strip() for s in value]


def _object(value: Any, role: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Unusable(f"{role} is not JSON", value) from None
    if not isinstance(value, dict):
        raise Unusable(f"no {role}", type(value).__name__)
    return value


def _numbers(value: Any, count: int, role: str) -> list[float]:
    good = isinstance(value, list) and len(value) == count
    if not good or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in value):
        raise Unusable(f"{role} is not {count} numbers", value)
    return [float(v) for v in value]
