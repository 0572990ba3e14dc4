"""Where the score of a model on a benchmark lies. Written by trainers, read by curator."""

from __future__ import annotations

from pathlib import Path

from registry.identity import digest, short
from registry.trial import AnswerBy


def score_path(
    model: Path,
    benchmark: str,
    version: int,
    rules: str,
    table_digest: str,
    max_new_tokens: int,
    answer_by: AnswerBy = "generation",
) -> Path:
    """``<model>/scores/<benchmark>-<d>.json``; the answers lie beside it with the ending ``.parquet``.

    ``model`` is the folder of a trial, or of another model (``curator.scored_models``). The digest covers what the
    replies and the score depend on beside the model: scorer version, rule set, table, how long a reply may be, and how
    it is found where that is not by generation.
    """
    identity = digest(
        {
            "benchmark": benchmark,
            "version": version,
            "rules": rules,
            "table": table_digest,
            "max_new_tokens": max_new_tokens,
        }
        | ({} if answer_by == "generation" else {"answer_by": answer_by})
    )
    return model / "scores" / f"{benchmark}-{short(identity)}.json"
