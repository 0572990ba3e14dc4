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
}
"""Column -> Arrow type. ``question`` is the text part of the prompt, options included; ``answer`` the right one;
``picture`` the first index with that picture; ``prompt`` a digest of all that the model read, where one read it."""

ROWS_AT_ONCE = 4096


def answer_rows(
    benchmark: Benchmark,
    questions: Sequence[Question],
    replies: Mapping[Index, str],
    result: Result,
    prompts: Sequence[str] | None = None,
) -> bytes:
    """A parquet file with one row a question, in their order."""
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
                rows.append(
                    {
                        "index": str(question.index),
                        "group": question.group,
                        "category": question.category or None,
                        "question": benchmark.prompt(question),
                        "answer": question.answer or None,
                        "reply": replies[question.index],
                        "extracted": answer.extracted if answer else None,
                        "hit": answer.hit if answer else None,
                        "judged": answer.judged if answer else None,
                        "picture": question.image_key or None,
                        "prompt": prompts[number] if prompts is not None else None,
                    }
                )
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return buffer.getvalue()


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
