"""Noise that was planted: what the filters find of it, and what else they drop.

    python -m tests.speed.planted_noise [--rows 200000] [--pictures 3000] [--seed 0] [--examples 3]

One row in fifty is of each sort of noise (``tests/speed/planted_texts.py``), the others are clean. The corpus is pulled
and measured as any dataset is. Bounds are those that README and recipes recommend, or were set before the first run.
For each bound: the share of its own noise that it drops; of what it drops, the share that is noise of any sort; and the
clean rows it drops, by their kind.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from curator.bounds import keeps
from curator.filtering import parse_bounds
from curator.measure import measure
from curator.samples import Samples, find_samples
from registry.store import Home
from tests.curator.data_home import pulled, write_card, write_parquet
from tests.speed.planted_texts import Writer

BOUNDS: list[tuple[str, tuple[str, ...]]] = [
    ("repetition.repeated_share=:0.2", ("loop", "phrases again")),
    ("word_repetition.repeated_word_share=:0.2", ("loop", "phrases again")),
    ("text_noise.special_share=:0.25", ("symbols",)),
    ("text_noise.longest_special_run=:8", ("symbols",)),
    ("word_noise.odd_word_share=:0.3", ("codes",)),
    ("word_noise.function_word_share=0.05:", ("search words", "codes")),
    ("refusals.refusals=:0", ("refusal", "refusal held back")),
    ("refusals.leftovers=:0", ("leftover",)),
    ("language.language=en", ("other language",)),
    ("boxes.boxes_outside=:0", ("box in pixels",)),
    ("boxes.boxes_swapped=:0", ("box swapped",)),
    ("answer_format.letter_outside=:0", ("letter outside",)),
    ("text_length.longest_answer_words=:1000", ("too long",)),
    ("text_length.words=3:", ("next to nothing",)),
]
NOISE_SHARE = 0.02


def write_texts(path: Path, rows: int, seed: int) -> list[str]:
    """Conversations in LLaVA's form; returns what each is."""
    writer, kinds = Writer(seed), []
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            drawn = writer.chance.random() / NOISE_SHARE
            kind, turns = writer.clean_row()
            if drawn < len(writer.noise):
                kind = list(writer.noise)[int(drawn)]
                turns = writer.noise[kind]()
            kinds.append(kind)
            said = [(who, text) for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)]
            conversations = [{"from": who, "value": text} for who, text in said]
            file.write(json.dumps({"id": str(number), "conversations": conversations}) + "\n")
    return kinds


def drawn_picture(kind: str, chance: random.Random) -> bytes:
    """A picture of one kind, as JPEG or PNG."""
    from PIL import Image, ImageDraw

    size = chance.randint(64, 400), chance.randint(64, 400)
    tone = tuple(chance.randrange(256) for _ in range(3))
    image = Image.new("RGB", size, "white" if kind in ("document", "line") else tone)
    draw = ImageDraw.Draw(image)
    if kind == "scene":
        for _ in range(chance.randint(3, 12)):
            corners = [chance.randrange(side) for side in size], [chance.randrange(side) for side in size]
            box = [*map(min, *corners), *map(max, *corners)]
            draw.ellipse(box, tuple(chance.randrange(256) for _ in range(3)))
    elif kind == "document":
        for line in range(chance.randint(1, 12)):
            draw.text((8, 8 + 12 * line), "text of a page " * 3, "black")
    elif kind == "line":
        draw.line([(4, 4), (size[0] // 2, size[1] // 2)], "black")
    elif kind == "faint tone":
        noise = np.random.default_rng(chance.randrange(1 << 30)).integers(-1, 2, (size[1], size[0], 3))
        image = Image.fromarray(np.clip(np.asarray(image).astype(int) + noise, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, chance.choice(["JPEG", "PNG"]))
    return buffer.getvalue()


def write_pictures(path: Path, rows: int, seed: int) -> list[str]:
    """Captioned pictures; returns what each is."""
    chance = random.Random(seed)
    kinds = chance.choices(["scene", "document", "line", "flat tone", "faint tone"], [60, 30, 6, 2, 2], k=rows)
    made = (
        {"image": {"bytes": drawn_picture(kind, chance), "path": "x"}, "caption": f"number {i}"}
        for i, kind in enumerate(kinds)
    )
    write_parquet(path, list(made))
    return kinds


def dropped_by(home: Home, samples: Samples, bound: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each sample whether a bound drops it."""
    ((name, bounds),) = parse_bounds([bound]).items()
    ((column, limits),) = bounds.items()
    table = measure(home, samples, name).columns(["id", column])
    return ~np.asarray(keeps(table, column, limits))


def told(bound: str, own: tuple[str, ...], noise: set[str], kinds: list[str], dropped: Any) -> str:
    """One line of the table."""
    found = Counter(kind for kind, gone in zip(kinds, dropped, strict=True) if gone)
    planted = Counter(kinds)
    recalls = ", ".join(f"{kind} {found[kind] / planted[kind]:.1%} of {planted[kind]:,}" for kind in own)
    right = sum(count for kind, count in found.items() if kind in noise)
    clean = Counter({kind: count for kind, count in found.items() if kind not in noise})
    lost = ", ".join(f"{kind} {count:,}" for kind, count in clean.most_common(4)) or "none"
    n_clean = sum(count for kind, count in planted.items() if kind not in noise)
    precision = f"{right / found.total():.1%}" if found else "-"
    return f"| `{bound}` | {recalls} | {precision} | {clean.total() / n_clean:.2%} | {lost} |"


def wrong(
    samples: Samples, own: tuple[str, ...], noise: set[str], kinds: list[str], dropped: Any, many: int
) -> Iterator[str]:
    """Some of what was missed, and of what should have stayed."""
    from curator.rules import first_text
    from curator.shown import rows_at

    missed = [i for i, kind in enumerate(kinds) if kind in own and not dropped[i]]
    lost = [i for i, kind in enumerate(kinds) if kind not in noise and dropped[i]]
    for says, at in (("missed", missed), ("lost", lost)):
        chosen = sorted(random.Random(0).sample(at, min(many, len(at))))
        for position, row in zip(chosen, rows_at(samples, chosen), strict=True):
            yield f"    {says} ({kinds[position]}): {first_text(row['messages'], 'assistant')[:150]!r}"


def main() -> int:
    """Plant, pull, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder), Home(Path(folder) / "home")
        (root / "texts").mkdir()
        texts = write_texts(root / "texts" / "rows.jsonl", arguments.rows, arguments.seed)
        pulled(home, write_card(home, "texts", format="llava_chat"), root / "texts")
        pictures = write_pictures(root / "pictures" / "rows.parquet", arguments.pictures, arguments.seed)
        pulled(home, write_card(home, "pictures", format="caption_pairs"), root / "pictures")
        print("| bound | recall of its own noise | of what it drops, noise | clean rows dropped | which |")
        print("| --- | --- | --- | --- | --- |")
        noise = {"flat tone", "faint tone", *Writer(0).noise}
        blank = ("blank_image.grey_deviation=1:", ("flat tone", "faint tone"))
        for dataset, kinds, bounds in (("texts", texts, BOUNDS), ("pictures", pictures, [blank])):
            samples = find_samples(home, dataset)
            assert samples.record.rows_out == len(kinds), "every row became a sample, in its place"
            for bound, own in bounds:
                dropped = dropped_by(home, samples, bound)
                print(told(bound, own, noise, kinds, dropped), flush=True)
                for line in wrong(samples, own, noise, kinds, dropped, arguments.examples):
                    print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
