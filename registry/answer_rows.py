"""The answers behind a score as rows of parquet: what was asked, what was replied, what it was taken for.

They lie beside the score (``<score>.json``, ``<score>.parquet``) and are what ``curator query`` shows as ``answers``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from registry.benchmark import Benchmark, Index, Question, Result
from registry.errors import Refusal

COLUMNS = {
    "index": "string",
    "group": "string",
    "category": "string",
    "question": "string",
    "answer": "string",
    "reply": "string",
    "extracted": "string",
    "hit": "bool",
    "judged": "bool",
    "picture": "string",
    "prompt": "string",
    "prompt_digest": "string",
}
"""Column -> Arrow type. ``question`` is the text part of the user's turn, options included; ``answer`` the right one;
``extracted`` what the reply was taken for (empty when no rule could read it, null when it was not looked at);
``picture`` the first index with that picture; ``prompt`` all of the text that the model read, and ``prompt_digest`` is
of text and pictures: both null where no model was asked."""

ROWS_AT_ONCE = 4096


def answer_rows(
    benchmark: Benchmark,
    questions: Sequence[Question],
    replies: Mapping[Index, str],
    result: Result,
    read: Sequence[tuple[str, str]] | None = None,
) -> bytes:
    """A parquet file with one row a question, in their order; ``read`` has each prompt and its digest."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string() if kind == "string" else pa.bool_()) for name, kind in COLUMNS.items()])
    taken = {answer.index: answer for answer in result.answers}
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for start in range(0, len(questions), ROWS_AT_ONCE):
            rows: list[dict[str, Any]] = []
            for number, question in enumerate(questions[start : start + ROWS_AT_ONCE], start):
                answer = taken.get(question.index)
                prompt, prompt_digest = read[number] if read is not None else (None, None)
                rows.append(
                    {
                        "index": str(question.index),
                        "group": question.group,
                        "category": question.category or None,
                        "question": benchmark.prompt(question),
                        "answer": question.answer or None,
                        "reply": _storable(replies[question.index]),
                        "extracted": answer.extracted if answer else None,
                        "hit": answer.hit if answer else None,
                        "judged": answer.judged if answer else None,
                        "picture": question.image_key or None,
                        "prompt": prompt,
                        "prompt_digest": prompt_digest,
                    }
                )
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return buffer.getvalue()


def _storable(reply: str) -> str:
    """Text that is UTF-8: half a surrogate pair becomes the mark for an unreadable character."""
    return reply.encode("utf-8", "replace").decode()


def read_answers(path: Path | BinaryIO, columns: Sequence[str] = tuple(COLUMNS)) -> Iterator[dict[str, Any]]:
    """The rows of an answers file as they are read; Refusal for one that is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            absent = set(columns) - set(file.schema_arrow.names)
            if absent:
                raise ValueError(f"no column {', '.join(sorted(absent))}: it is of an earlier version")
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(columns)):
                yield from batch.to_pylist()
    except (pa.ArrowException, ValueError, OSError) as error:
        what = f"cannot be read as answers ({' '.join(str(error).split())[:200]})"
        where = str(path) if isinstance(path, Path) else "answers"
        raise Refusal(where, what, "remove it and the score of the same name, and score again") from None
