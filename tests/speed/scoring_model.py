"""CPU time to ask a model a benchmark's questions, beside lmms-eval, VLMEvalKit and transformers' generate, in one run.

``python -m tests.speed.scoring_model [--peers PYTHON] [--pictures N] [--rounds N]``. PYTHON is the interpreter of an
environment with torch (CPU), transformers and the peers (``tests/speed/scoring_peers.py`` says how they are called)::

    pip install torch==2.13.0 transformers==5.23.0 accelerate pandas loguru datasets decord termcolor … (no torchvision)
    pip install --no-deps lmms-eval==0.7.3 ms-vlmeval==0.0.20

Every tool is a process with its model loaded; the rounds of all take turns, so that a busy moment hits each alike.
Ours is everything from the table to the stored score. Exit status 1 when a ratio misses its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).with_name("scoring_peers.py")
TOKENS = 16
"""Of a reply; as in the script of the peers."""
LIMITS = {
    ("circular", "lmms-eval"): 2.6,
    ("circular", "vlmevalkit"): 4.6,
    ("two", "hf"): 1.7,
    ("one", "hf"): 1 / 1.05,
}
"""(table, other tool) -> its CPU time in times ours, at least."""


class Tool:
    """A process that asks all questions once for each line it is sent."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.seconds: list[float] = []
        self.replies: dict[str, str] = {}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        environment = {**os.environ, **threads, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def round(self) -> None:
        """Ask everything once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        self.seconds.append(told["cpu"])
        self.replies = told["replies"]

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve_ours(folder: Path, table: Path) -> None:
    """A round each line of standard input: read the table, ask, keep the replies, score, write."""
    import pyarrow.parquet as pq

    from registry.scores import Replying, score_path
    from registry.store import Home, Record
    from trainers.requests import ModelScoreRequest
    from trainers.score import score_model
    from trainers.serve import keep_memory
    from trainers.workshop import Workshop

    keep_memory()
    out, sys.stdout = sys.stdout, sys.stderr
    for number, _ in enumerate(sys.stdin):
        home = Home(folder / f"home-{table.stem}-{number}")
        model = home.folder("models", "tiny", "0" * 64)
        with home.making(model, Record(kind="model", name="tiny", digest="0" * 64)):
            pass
        request = ModelScoreRequest(
            do="score-model",
            home=str(home.path),
            model=model.name,
            checkpoint=str(folder / "model"),
            template="vicuna_v1",
            benchmark="mmbench_dev_en",
            table=str(table),
            rules="2024-05",
            max_new_tokens=TOKENS,
        )
        workshop = Workshop()
        workshop.checkpoint(folder / "model")
        before = time.process_time()
        score, _ = score_model(workshop, request, lambda _: None)
        cpu = time.process_time() - before
        stored = score_path(model, "mmbench_dev_en", score.version, "2024-05", score.table_digest, Replying(TOKENS))
        rows = pq.read_table(stored.with_suffix(".parquet"), columns=["index", "reply"]).to_pylist()
        out.write(json.dumps({"cpu": cpu, "replies": {row["index"]: row["reply"] for row in rows}}) + "\n")
        out.flush()


def compare(folder: Path, table: str, peers: str | None, rounds: int) -> bool:
    """Measure one table; whether every limit holds."""
    path = folder / f"{table}.tsv"
    ours = Tool("ours", [sys.executable, "-m", "tests.speed.scoring_model", "--serve", str(folder), str(path)])
    others = []
    for name in sorted({tool for where, tool in LIMITS if where == table} | {"hf"}):
        python = sys.executable if name == "hf" else peers
        if python is not None:
            others.append(Tool(name, [python, str(PEERS), name, str(folder / "model"), str(path)]))
    for number in range(rounds + 1):
        for tool in (ours, *others):
            tool.round()
            if number == 0:
                tool.seconds.clear()  # the first round also loads what is loaded late
    rows = len(ours.replies)
    print(f"{table}: {rows} rows, {rounds} rounds, median CPU ms a row")
    print(f"  {'ours':12s} {_per_row(ours):7.1f}")
    good = True
    for tool in others:
        ratio = statistics.median(tool.seconds) / statistics.median(ours.seconds)
        least = LIMITS.get((table, tool.name))
        same = sum(tool.replies[index] == reply for index, reply in ours.replies.items())
        wanted = f" (at least {least:.2f})" if least else ""
        print(
            f"  {tool.name:12s} {_per_row(tool):7.1f}  {ratio:5.2f} x ours{wanted}; {same} of {rows} replies the same"
        )
        good &= least is None or ratio >= least
    for tool in (ours, *others):
        tool.close()
    return good


def _per_row(tool: Tool) -> float:
    return 1e3 * statistics.median(tool.seconds) / len(tool.replies)


def main() -> int:
    """Print the tables; the exit status."""
    parser = argparse.ArgumentParser(description="CPU time to ask a model a benchmark's questions.")
    parser.add_argument("--peers", help="Python of the peers' environment; without it they are left out.")
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tables", nargs="+", default=["circular", "two", "one"])
    parser.add_argument("--serve", nargs=2, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve_ours(*asked.serve)
        return 0
    from tests.speed.scoring_world import write_world

    with tempfile.TemporaryDirectory() as folder:
        write_world(Path(folder), asked.pictures, variants=4, questions=2)
        found = [compare(Path(folder), table, asked.peers, asked.rounds) for table in asked.tables]
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
