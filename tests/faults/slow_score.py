"""Scores a trial in processes that are meant to be killed: ``python -m tests.faults.slow_score BASE TABLE``.

The libraries are loaded once; for each line on standard input (a home and how many prompts go together) a child is
forked that scores the base checkpoint there. Its process id is printed, and later how it ended.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from registry import kept_replies
from registry.store import Home, Record
from trainers import generate
from trainers.requests import ModelScoreRequest
from trainers.score import score_model
from trainers.workshop import Workshop


def request(home: Home, base: str, table: str) -> ModelScoreRequest:
    """What is asked of the base, under a folder of its own."""
    folder = home.folder("models", "base", "2" * 64)
    with home.making(folder, Record(kind="model", name="base", digest="2" * 64)):
        pass
    return ModelScoreRequest(
        do="score-model",
        home=str(home.path),
        model=folder.name,
        checkpoint=base,
        template="demo",
        benchmark="mme",
        table=table,
        rules="2024-05",
    )


def main() -> None:
    """Serve."""
    kept_replies.KEEP_SECONDS = 0.0
    for line in sys.stdin:
        path, batch = line.split()
        child = os.fork()
        if not child:
            generate.BATCH = int(batch)
            score_model(Workshop(), request(Home(Path(path)), *sys.argv[1:]), lambda _: None)
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
