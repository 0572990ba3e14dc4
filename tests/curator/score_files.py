"""A table in the form of SEED-Bench and stored scores of replies to it, for tests of what is made of scores."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from curator.score import save_score, scoring_of

LETTERS = "ABCD"


def write_table(path: Path, questions: int = 40, a_picture: int = 2, text: str = "What colour is number {}?") -> Path:
    """Questions about pictures, ``a_picture`` each; the right letter of question n is ``right(n)``."""
    rows = ["index\timage\tquestion\tA\tB\tC\tD\tanswer\tcategory"]
    for number in range(questions):
        options = "red\tblue\tgreen\tgrey"
        cells = (
            str(number),
            picture(number // a_picture),
            text.format(number),
            options,
            right(number),
            f"task {number % 3}",
        )
        rows.append("\t".join(cells))
    path.write_text("\n".join(rows) + "\n")
    return path


def picture(number: int) -> str:
    """A picture of its own, as base64."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (number * 5 % 256, 90, 160)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def right(number: int) -> str:
    """The right letter of a question."""
    return LETTERS[number % 4]


def wrong(number: int) -> str:
    """A wrong one."""
    return LETTERS[(number + 1) % 4]


def write_replies(path: Path, hits: Sequence[bool], said: Mapping[int, str] | None = None) -> Path:
    """Predictions that are right where ``hits`` says so; ``said`` are other replies."""
    replies = {n: (said or {}).get(n, right(n) if hit else wrong(n)) for n, hit in enumerate(hits)}
    rows = (json.dumps({"index": n, "prediction": reply}) for n, reply in replies.items())
    path.write_text("\n".join(rows) + "\n")
    return path


def saved(
    path: Path, table: Path, hits: Sequence[bool], said: Mapping[int, str] | None = None, rules: str = "2024-05"
) -> Path:
    """The stored score of such replies, with its answers beside it."""
    replies = write_replies(path.with_suffix(".jsonl"), hits, said)
    save_score(path, scoring_of(replies, table, "seedbench_img", rules, partial=True))
    return path
