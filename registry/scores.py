"""Where the score of a model on a benchmark lies, and how it is stored. Written by trainers, read by curator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from registry.errors import Refusal
from registry.identity import digest, short
from registry.trial import AnswerBy

if TYPE_CHECKING:
    from registry.benchmark import Result
    from registry.trial import BenchmarkScore


class Replying(NamedTuple):
    """How a model is asked for its replies."""

    max_new_tokens: int = 512
    """Tokens that a reply may have; by default as many as the published scorer lets LLaVA say."""
    answer_by: AnswerBy = "generation"
    limit: int | None = None
    """Questions that are asked, evenly drawn; None: all."""


USUAL = Replying()


def score_path(
    model: Path,
    benchmark: str,
    version: int,
    rules: str,
    table_digest: str,
    replying: Replying,
) -> Path:
    """``<model>/scores/<benchmark>-<d>.json``; the answers lie beside it with the ending ``.parquet``.

    ``model`` is the folder of a trial, or of another model (``curator.scored_models``). The digest covers what the
    replies and the score depend on beside the model: scorer version, rule set, table, how long a reply may be, how it
    is found where that is not by generation, and how many questions are asked where that is not all.
    """
    identity = digest(
        {
            "benchmark": benchmark,
            "version": version,
            "rules": rules,
            "table": table_digest,
            "max_new_tokens": replying.max_new_tokens,
        }
        | ({} if replying.answer_by == "generation" else {"answer_by": replying.answer_by})
        | ({} if replying.limit is None else {"limit": replying.limit})
    )
    return model / "scores" / f"{benchmark}-{short(identity)}.json"


def answers_path(score: Path) -> Path:
    """Where the answers behind a stored score lie."""
    return score.with_suffix(".parquet")


def as_stored(result: Result, table_digest: str, answer_by: AnswerBy = "generation") -> BenchmarkScore:
    """A result in the form of its file."""
    from registry.trial import BenchmarkScore

    return BenchmarkScore(
        benchmark=result.benchmark,
        version=result.version,
        rules=result.rules,
        answer_by=answer_by,
        table_digest=table_digest,
        score=result.score,
        headline=result.headline,
        metrics=result.metrics,
        breakdown=result.breakdown,
        items=result.items,
        strata=result.strata,
        ratios=result.ratios,
        clusters=result.clusters,
        partial=result.partial,
        questions=len(result.answers),
        unresolved=result.unresolved,
        notes=result.notes,
    )


def load_score(path: Path) -> BenchmarkScore:
    """A stored score; Refusal for a file that is none."""
    from pydantic import ValidationError

    from registry.trial import BenchmarkScore

    try:
        return BenchmarkScore.model_validate_json(path.read_bytes())
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise Refusal(str(path), f"is no stored score ({reason})", "give what 'curator score --save' wrote") from None
