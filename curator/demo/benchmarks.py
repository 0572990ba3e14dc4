"""Writes the demo's benchmark tables in the file formats of MME, MMBench, ScienceQA and SEED-Bench.

Every picture is fresh. About half of the questions (of MME's tasks: three in ten) are of the kinds that the baseline
knows, so that harm can show; the rest are spread over the skills that the good candidates teach.
"""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

from curator.demo.draws import Draws
from curator.demo.pictures import picture_bytes
from curator.demo.questions import LETTERS, Asked, ask, fact_of, pose

MME_TASKS = {
    "existence": "shape",
    "count": "count",
    "color": "color",
    "position": "position",
    "landmark": "flag",
    "artwork": "fill",
    "posters": "control",
    "scene": "theme",
    "numerical_calculation": "sides",
    "commonsense_reasoning": "magnet",
}
"""MME's task name -> skill. Four of MME's 14 tasks have no counterpart here, so the total is a partial one."""
MME_PICTURES = 45
"""Pictures a task; two questions each."""

MMBENCH = {
    "count": ("coarse_perception", 40),
    "color": ("finegrained_perception (instance-level)", 40),
    "shape": ("finegrained_perception (instance-level)", 42),
    "position": ("relation_reasoning", 30),
    "flag": ("attribute_reasoning", 22),
    "magnet": ("logic_reasoning", 22),
    "sides": ("logic_reasoning", 14),
    "fill": ("finegrained_perception (cross-instance)", 10),
    "control": ("coarse_perception", 20),
}
"""Skill -> (ability, questions); each stands in the table once per rotation of its four options."""

SCIENCEQA = {
    "magnet": 90,
    "sides": 50,
    "fill": 38,
    "flag": 34,
    "control": 22,
    "color": 82,
    "shape": 80,
    "count": 82,
}

SEED_TASKS = {
    "shape": ("Instance Identity", 160),
    "color": ("Instance Attributes", 160),
    "count": ("Instances Counting", 160),
    "position": ("Instance Location", 120),
    "magnet": ("Instance Interaction", 68),
    "sides": ("Visual Reasoning", 72),
    "fill": ("Visual Reasoning", 52),
    "flag": ("Scene Understanding", 86),
    "control": ("Scene Understanding", 79),
}

CIRCULAR_STEP = 1_000_000
Row = dict[str, Any]


def mme(seed: int) -> Iterator[Row]:
    """Two yes/no questions a picture: one true, one not."""
    index = 0
    for task, skill in MME_TASKS.items():
        draws = Draws("benchmark", seed, "mme", task)
        for number in range(MME_PICTURES):
            scene, fact = fact_of(skill, draws)
            encoded = _encoded(picture_bytes(scene))
            for truth in (True, False):
                asked = pose(fact, skill, "yes_no", draws, truth=truth)
                yield {
                    "index": index,
                    "image": encoded,
                    "question": asked.prompt,
                    "answer": "Yes" if truth else "No",
                    "category": task,
                    "image_path": f"{task}/{number:04d}.png",
                }
                index += 1


def mmbench(seed: int) -> Iterator[Row]:
    """Four options, every rotation of them; the rotated rows refer to the main row's picture."""
    index = 0
    for skill, (ability, count) in MMBENCH.items():
        draws = Draws("benchmark", seed, "mmbench", skill)
        for _ in range(count):
            picture, asked = _choice(skill, draws)
            for turn in range(len(asked.options)):
                options = asked.options[turn:] + asked.options[:turn]
                yield {
                    "index": index + turn * CIRCULAR_STEP,
                    "image": str(index) if turn else picture,
                    "question": asked.question,
                    **dict(zip(LETTERS, options, strict=True)),
                    "answer": LETTERS[options.index(asked.value)],
                    "category": skill,
                    "l2-category": ability,
                    "split": "dev",
                }
            index += 1


def scienceqa(seed: int) -> Iterator[Row]:
    """Plain multiple choice; the hint column is there and empty."""
    yield from _plain("scienceqa", seed, [(skill, skill, count) for skill, count in SCIENCEQA.items()], hint="")


def seedbench(seed: int) -> Iterator[Row]:
    """Plain multiple choice under SEED-Bench's task names."""
    yield from _plain("seedbench", seed, [(skill, task, count) for skill, (task, count) in SEED_TASKS.items()])


TABLES: dict[str, Callable[[int], Iterator[Row]]] = {
    "mme": mme,
    "mmbench_dev_en": mmbench,
    "scienceqa_test": scienceqa,
    "seedbench_img": seedbench,
}
"""Benchmark (a file in ``registry/benchmarks``) -> its rows."""


def table_bytes(name: str, seed: int) -> bytes:
    """One table as tab-separated text."""
    rows = list(TABLES[name](seed))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _plain(table: str, seed: int, plan: list[tuple[str, str, int]], **more: str) -> Iterator[Row]:
    index = 0
    for skill, category, count in plan:
        draws = Draws("benchmark", seed, table, skill)
        for _ in range(count):
            picture, asked = _choice(skill, draws)
            options = dict(zip(LETTERS, asked.options, strict=True))
            row = {"index": index, "image": picture, "question": asked.question, **more, **options}
            yield {**row, "answer": asked.mark, "category": category}
            index += 1


def _choice(skill: str, draws: Draws) -> tuple[str, Asked]:
    scene, asked = ask(skill, draws, "choice")
    return _encoded(picture_bytes(scene)), asked


def _encoded(picture: bytes) -> str:
    return base64.b64encode(picture).decode()
