"""Planted leaks in a large dataset: how many are found, and what is taken for one by mistake.

    python -m tests.speed.contamination [--rows 200000] [--home FOLDER]

A benchmark of 2,000 questions about 1,000 pictures; a dataset whose rows ask about 10,000 pictures of its own, in the
same frames of words and with the same nouns. Planted among them: leaks (the question with its picture, each of them
changed in one of four ways), pictures of the benchmark with other questions, and its questions with other pictures.
Exit status 1 when a leak is missed, or more than one row in a thousand is called one by mistake.
"""

from __future__ import annotations

import argparse
import base64
import io
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from curator.contamination.hits import hits, verdicts
from curator.contamination.questions import BenchmarkTable
from curator.normalise import normalise
from curator.pull import offer_from_folder, pull
from curator.samples import find_samples
from registry.store import Home
from tests.curator.data_home import rows_of, write_card, write_json

NOUNS = [f"{a}{b}" for a in ("har", "vio", "gla", "lan", "orch", "trac", "mos", "fal") for b in ("bour", "lin", "cier")]
COLOURS = ("red", "blue", "striped", "wooden", "golden", "broken", "small", "wet")
FRAMES = (
    "Is there a {0} {1} next to the {2} in this image? Please answer yes or no.",
    "What is the colour of the {1} that stands behind the {0} {2}?",
    "How many {0} {1}s can be seen to the left of the {2}?",
    "Which of these best describes the {1} near the {0} {2}?",
)
QUESTIONS, PICTURES, OWN = 2_000, 1_000, 10_000
LEAKS, SHARED = 800, 400
ALLOWED = 0.001


def scene(number: int) -> Image.Image:
    """A picture of soft blobs, 160 x 120, that no other number has."""
    small = Image.frombytes("RGB", (12, 9), random.Random(number).randbytes(12 * 9 * 3))
    return small.resize((160, 120), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str = "JPEG", **options: int) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def questions(count: int, seed: int) -> list[str]:
    """Distinct questions in the four frames."""
    chance, found = random.Random(seed), dict[str, None]()
    while len(found) < count:
        words = (chance.choice(COLOURS), chance.choice(NOUNS), chance.choice(NOUNS))
        found[chance.choice(FRAMES).format(*words)] = None
    return list(found)


def changed_picture(image: Image.Image, way: int) -> bytes:
    """The file, a smaller one, one compressed hard, one without its border."""
    if way == 0:
        return saved(image, quality=90)
    if way == 1:
        return saved(image.resize((96, 72), Image.Resampling.BICUBIC), "PNG")
    if way == 2:
        return saved(image, quality=35)
    return saved(image.crop((3, 2, 157, 118)), quality=85)


def changed_text(text: str, way: int) -> str:
    """The text, one in capitals, one among others, one with options."""
    forms = (text, text.upper(), f"Look at the picture. {text} Say it shortly.", f"{text}\nA. one\nB. two\nC. none")
    return forms[way]


def published(folder: Path, rows: int) -> Iterator[tuple[str, str | None]]:
    """Write benchmark and dataset; yields ``(row, what was planted in it)``."""
    asked = questions(QUESTIONS, 1)
    with (folder / "mmbench_dev_en.tsv").open("w", encoding="utf-8") as table:
        table.write("index\tquestion\tA\tB\tanswer\timage\n")
        for number, text in enumerate(asked):
            image = base64.b64encode(saved(scene(number // 2), quality=90)).decode()
            table.write(f"{number}\t{text}\tyes\tno\tA\t{image}\n")
    pictures = folder / "data" / "pictures"
    pictures.mkdir(parents=True)
    for number in range(OWN):
        (pictures / f"own-{number}.jpg").write_bytes(saved(scene(1_000_000 + number), quality=88))
    chance, others = random.Random(2), sorted({*questions(12_000, 3)} - {*asked})
    entries = []
    for row in range(rows):
        kind, picture, text = None, f"own-{row % OWN}.jpg", chance.choice(others)
        if row < LEAKS:
            kind, number = "leak", chance.randrange(QUESTIONS)
            picture, text = f"leak-{row}.img", changed_text(asked[number], row // 4 % 4)
            (pictures / picture).write_bytes(changed_picture(scene(number // 2), row % 4))
        elif row < LEAKS + SHARED:
            kind, picture = "picture", f"shared-{row}.img"
            (pictures / picture).write_bytes(changed_picture(scene(chance.randrange(PICTURES)), row % 4))
            text = f"Write a story of {chance.choice(NOUNS)} and {chance.choice(NOUNS)}."
        elif row < LEAKS + 2 * SHARED:
            kind, text = "text", chance.choice(asked)
        turns = [{"from": "human", "value": f"<image>\n{text}"}, {"from": "gpt", "value": f"It is so, {row}."}]
        entries.append({"id": f"row-{row}", "image": f"pictures/{picture}", "conversations": turns})
        yield f"row-{row}", kind
    random.Random(4).shuffle(entries)
    write_json(folder / "data" / "train.json", entries)


def main() -> int:
    """Plant, look, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.home) as folder:
        home = Home(Path(folder) / "home")
        truth = dict(published(Path(folder), arguments.rows))
        card = write_card(home, "planted", format="llava_chat")
        raw = pull(home, offer_from_folder(card, Path(folder) / "data"))
        normalise(home, card, raw.folder)
        samples = find_samples(home, "planted")
        began = time.process_time()
        measured = hits(home, samples, BenchmarkTable("mmbench_dev_en", Path(folder) / "mmbench_dev_en.tsv"))
        seconds = time.process_time() - began
        found = verdicts(measured.columns())
        rows = [row["source_id"] for row in rows_of(samples.folder)]
        told = Counter((truth[row] or "clean", verdict or "clean") for row, verdict in zip(rows, found, strict=True))
    print(f"{'planted':10} {'leak':>8} {'picture':>8} {'text':>8} {'clean':>8}")
    for kind in ("leak", "picture", "text", "clean"):
        print(f"{kind:10} " + " ".join(f"{told[kind, one]:8,}" for one in ("leak", "picture", "text", "clean")))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{arguments.rows / seconds:,.0f} rows per CPU second; peak memory {peak:,} MiB")
    missed = LEAKS - told["leak", "leak"]
    mistaken = sum(told[kind, "leak"] for kind in ("picture", "text", "clean")) / (arguments.rows - LEAKS)
    print(f"leaks missed: {missed} of {LEAKS}; called leaks by mistake: {mistaken:.4%} (at most {ALLOWED:.1%})")
    return int(missed > 0 or mistaken > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
