"""What scoring of predictions costs, end to end: ``python -m tests.speed.scoring [--picture-kb N]``.

Two made-up tables of the published sizes are scored by ``curator score`` as a process, start included: read, match,
aggregate, write. Exit status 1 when one takes more CPU time than its target (2 s for SEED-Bench's 14,233 prompts, 1 s
for MMBench's 4,329 circular ones), or when memory grows with the pictures of the table.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curator.spreadsheet import write_sheet

WORDS = ("red", "green", "blue", "cat", "dog", "house", "tree", "table", "chair", "apple", "one", "two", "three")
MEMORY_LIMIT_MB = 200
GROWTH_LIMIT_MB = 20
"""Of memory, from pictures of 1 KB to larger ones."""
FORMATS = (".jsonl", ".xlsx")
COLUMNS = ("index", "image", "question", "A", "B", "C", "D", "answer", "category", "split")


@dataclass(frozen=True)
class Case:
    """A benchmark, how many questions and rotations of each its table has, and how long it may take."""

    benchmark: str
    questions: int
    turns: int
    target_seconds: float


CASES = (Case("seedbench_img", 14_233, 1, 2.0), Case("mmbench_dev_en", 1_082, 4, 1.0))


def rows(case: Case, picture: str) -> Iterator[tuple[int, tuple[str, ...], str]]:
    """Index, the cells of a table row, and a reply; a tenth of the questions has quotes."""
    draw = random.Random(0)
    for number in range(case.questions):
        options = draw.sample(WORDS, 4)
        right = draw.randrange(4)
        for turn in range(case.turns):
            index, answer = number + turn * 1_000_000, "ABCD"[(right - turn) % 4]
            image = str(number) if turn else picture
            text = f'"What ""is"" {number}?"' if number % 10 == 0 else f"What is {number}?"
            cells = (str(index), image, text, *options[turn:], *options[:turn], answer, f"task {number % 9}", "dev")
            yield index, cells, draw.choice([answer, f"{answer}. so it is", f"It is {options[right]}.", "No idea", "A"])


def write(case: Case, folder: Path, picture: str) -> Path:
    """The table, and the predictions beside it in every format (as VLMEvalKit writes .xlsx: all columns but one)."""
    table = folder / f"{case.benchmark}.tsv"
    spoken: list[list[str | int]] = []
    with table.open("w") as cells, table.with_suffix(".jsonl").open("w") as replies:
        cells.write("\t".join(COLUMNS) + "\n")
        for index, row, reply in rows(case, picture):
            cells.write("\t".join(row) + "\n")
            replies.write(json.dumps({"index": index, "prediction": reply}) + "\n")
            spoken.append([index, *row[2:], reply])
    with table.with_suffix(".xlsx").open("wb") as file:
        write_sheet(file, ["index", *COLUMNS[2:], "prediction"], spoken)
    return table


def run(case: Case, table: Path, predictions: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MB of one scoring."""
    options = ["--predictions", predictions, "--data", table, "--benchmark", case.benchmark, "--json"]
    command = [sys.executable, "-m", "curator", "score", *map(str, options), "--answers", str(table) + ".answers.jsonl"]
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"scoring {case.benchmark} ended with {child.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def best(case: Case, table: Path, ending: str) -> tuple[float, float, float]:
    """The cheapest of three runs: CPU seconds, wall seconds, MB."""
    found = [run(case, table, table.with_suffix(ending)) for _ in range(3)]
    wall, cpu, memory = min(found, key=lambda one: one[1])
    return cpu, wall, memory


def main() -> int:
    """Measure both tables in both formats, with small pictures and with larger ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture-kb", type=int, default=32, help="base64 text of the larger pictures, in KB")
    missed = 0
    print(
        f"{'benchmark':<16}{'replies':>8}{'prompts':>9}{'table MB':>10}{'cpu s':>8}{'target':>8}{'wall s':>8}{'MB':>6}"
    )
    for case in CASES:
        small: dict[str, float] = {}
        for size in (1, parser.parse_args().picture_kb):
            folder = Path(tempfile.mkdtemp())
            table = write(case, folder, "iVBORw0KGgoAAAA" * (1024 * size // 15))
            for ending in FORMATS:
                cpu, wall, memory = best(case, table, ending)
                slow = size == 1 and cpu > case.target_seconds
                grown = memory - small.setdefault(ending, memory) > GROWTH_LIMIT_MB
                missed += slow or grown or memory > MEMORY_LIMIT_MB
                prompts, megabytes = case.questions * case.turns, table.stat().st_size / 2**20
                print(
                    f"{case.benchmark:<16}{ending:>8}{prompts:>9,}{megabytes:>10.1f}{cpu:>8.2f}"
                    f"{case.target_seconds:>8.1f}{wall:>8.2f}{memory:>6.0f}"
                )
            shutil.rmtree(folder)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
