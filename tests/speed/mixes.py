"""How long a mix of a million samples from ten datasets takes, as references.

``python -m tests.speed.mixes [--samples N] [--rounds N] [--home FOLDER]``. The samples (LLaVA's form, a picture each,
1,000 pictures a dataset) are made first; with ``--home`` they stay there for the next run. Each round builds the mix
in a process of its own, as ``curator build-mix`` does, and removes it again; printed are CPU and wall seconds, start-up
included, and the largest memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from registry.store import Home
from tests.curator.data_home import picture, pulled, write_card

DATASETS = 10
PICTURES = 1000
NAME = "a-million"


def make_samples(home: Home, folder: Path, samples: int) -> None:
    """Ten datasets that were pulled and normalised."""
    for number in range(DATASETS):
        name = f"set-{number}"
        source = folder / name
        (source / "images").mkdir(parents=True)
        for index in range(PICTURES):
            (source / "images" / f"{index}.png").write_bytes(picture(number * PICTURES + index))
        rows = [conversation(number, index) for index in range(samples // DATASETS)]
        (source / "train.json").write_text(json.dumps(rows))
        pulled(home, write_card(home, name, format="llava_chat"), source)
        shutil.rmtree(source)


def conversation(number: int, index: int) -> dict[str, Any]:
    """One row of the LLaVA form."""
    question = f"<image>\nWhat is {index} times {number + 1}?"
    answer = f"{index} times {number + 1} is {index * (number + 1)}."
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": f"{number}-{index}", "image": f"images/{index % PICTURES}.png", "conversations": turns}


def write_recipe(home: Home) -> Path:
    """All ten, one of them twice and half of another."""
    shares: list[dict[str, Any]] = [{"repeat": 2}, {"proportion": 0.5}, {"choose": 1000}]
    parts = [{"dataset": f"set-{number}", **(shares[number] if number < 3 else {})} for number in range(DATASETS)]
    path = home.path / "mix.json.yaml"
    path.write_text(json.dumps({"name": NAME, "seed": 7, "parts": parts}))
    return path


def built(home: Home, recipe: Path) -> tuple[float, float, int, int]:
    """CPU seconds, wall seconds, memory in MiB and samples of one ``curator build-mix``."""
    for folder in home.finished("mixes"):
        shutil.rmtree(folder)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "curator", "build-mix", str(recipe), "--home", str(home.path), "--json"]
    told = subprocess.run(command, check=True, capture_output=True, env={**os.environ, "NO_COLOR": "1"})
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, wall, after.ru_maxrss >> 10, json.loads(told.stdout)["samples"]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--home", type=Path, help="keep the samples here, or use those that are there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        home = Home(given.home or Path(work) / "home")
        if not home.finished("samples"):
            make_samples(home, Path(work), given.samples)
        recipe = write_recipe(home)
        rounds = [built(home, recipe) for _ in range(given.rounds)]
    for cpu, wall, memory, samples in rounds:
        print(f"{samples:,} samples: {cpu:.2f} CPU s, {wall:.2f} s, {memory} MiB")
    print(f"median {statistics.median(one[0] for one in rounds):.2f} CPU s")


if __name__ == "__main__":
    main()
