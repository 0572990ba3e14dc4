"""Where the score of a trial on a benchmark lies. Written by trainers, read by curator."""

from __future__ import annotations

from pathlib import Path

from registry.identity import digest, short


def score_path(trial: Path, benchmark: str, version: int, rules: str, table_digest: str, max_new_tokens: int) -> Path:
    """``<trial>/scores/<benchmark>-<d>.json``; the answers lie beside it with the ending ``.parquet``.

    The digest covers what the replies and the score depend on beside the trial: scorer version, rule set,
    table, and how long a reply may be.
    """
    identity = digest(
        {
            "benchmark": benchmark,
            "version": version,
            "rules": rules,
            "table": table_digest,
            "max_new_tokens": max_new_tokens,
        }
    )
    return trial / "scores" / f"{benchmark}-{short(identity)}.json"
