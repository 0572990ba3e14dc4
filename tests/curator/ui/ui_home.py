"""A data home as a hostile world would fill it: scripts in captions, letters of many scripts, huge pictures."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.measure import measure
from curator.mix import build_mix
from curator.reclassify import labels
from curator.samples import find_samples
from registry.mix import MixReader
from registry.recipe import Recipe
from registry.store import Home, Record, dump_json
from tests.curator.data_home import captions, make_chats, picture, pulled, write_card, write_json, write_parquet

SCRIPT = "<script>document.title = 'pwned'</script><img src=x onerror=\"document.title = 'pwned'\">"
CAPTIONS = {
    "script": f"{SCRIPT} a caption that bites",
    "attribute": "\"'><svg onload=alert(1)> {{ 7 * 7 }} {% raw %}",
    "arabic": "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "chinese": "\u4e2d\u6587\u8bf4\u660e\uff1a\u4e00\u53ea\u732b",
    "terminal": "red \x1b[31malert\x07 and \u202etxet desrever",
}
HUGE = (10_000, 5_000)
TURNS = 10_000
BENCHMARKS = ("mme", "scienceqa_test")


@dataclass(frozen=True)
class Made:
    """What the tests ask for by name."""

    home: Home
    pics: str
    chats: str
    long: str
    """Samples folders."""
    mix: str
    all: str
    """Mix folders: with a bound, and of everything."""


def make_home(folder: Path) -> Made:
    """A home with three datasets, two mixes, four trials with scores."""
    home = Home(folder / "home")
    pics = _pictures(home, folder)
    parts = [{"name": "odd", "category": "mathematics", "rule": {"request": "[13579] and"}}]
    rest = {"name": "rest", "category": "text_only"}
    make_chats(home, folder, "chats", 60, parts=[*parts, rest])
    moved = [{**parts[0], "category": "knowledge"}, rest]
    write_card(home, "chats", format="llava_chat", parts=moved)  # the rules changed since it was pulled
    chats = find_samples(home, "chats")
    labels(home, chats)
    measure(home, chats, "text_length")
    long = _long_talk(home, folder)
    bound = {"text_length": {"chars": {"min": 28}}}
    mix = _mix(home, "bounded", {"dataset": "chats", "filters": bound}, {"dataset": "pics", "repeat": 2})
    whole = _mix(home, "whole", {"dataset": "chats"}, {"dataset": "pics"})
    for seed, (mme, science) in enumerate([(41.0, 70.0), (43.5, 61.25), (39.0, 80.5), (55.0, 50.0)]):
        write_trial(home, f"trial-{seed}", mix if seed < 2 else whole, seed, {"mme": mme, "scienceqa_test": science})
    return Made(home, pics, chats.folder.name, long, mix, whole)


def write_trial(home: Home, name: str, mix: str, seed: int, scores: dict[str, float]) -> str:
    """A finished trial with a log of 40 steps and scores."""
    content = MixReader(home, mix).info.content_digest
    identity = f"{seed:064x}"
    folder = home.folder("trials", name, identity[::-1])
    record = Record(kind="trial", name=name, digest=identity[::-1], inputs={"mix": content}, rows_in=9, rows_out=9)
    with home.making(folder, record) as out:
        lines = [json.dumps({"step": step, "loss": 3 / step}) for step in range(1, 41)]
        (out / "log.jsonl").write_text("\n".join(lines) + "\n")
        (out / "settings.json").write_bytes(dump_json({"stage": {"name": "sft"}, "seed": seed, "mix": content}))
        (out / "cost.json").write_bytes(dump_json({"cpu_seconds": 3.5}))
        (out / "scores").mkdir()
        for benchmark, score in scores.items():
            said: dict[str, Any] = {"benchmark": benchmark, "version": 1, "rules": "r", "score": score, "questions": 8}
            said |= {"unresolved": 0, "partial": False, "metrics": {}, "breakdown": {}}
            (out / "scores" / f"{benchmark}.json").write_bytes(dump_json(said))
    return folder.name


def huge_picture() -> bytes:
    """50 megapixels in a small file."""
    from PIL import Image

    image = Image.new("L", HUGE, 90)
    image.paste(200, (0, 0, HUGE[0] // 2, HUGE[1]))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _pictures(home: Home, folder: Path) -> str:
    """Captions of every hostile kind, a huge picture, ten plain ones, and two rows that cannot be samples."""
    rows: list[dict[str, Any]] = [
        {"id": name, "image": {"bytes": picture(90 + n), "path": None}, "caption": text}
        for n, (name, text) in enumerate(CAPTIONS.items())
    ]
    rows.append({"id": "huge", "image": {"bytes": huge_picture(), "path": None}, "caption": "a huge picture"})
    rows += [{"id": f"plain-{n}", **row} for n, row in enumerate(captions(10))]
    rows.append({"id": "<b>broken</b>", "image": {"bytes": b"no picture", "path": None}, "caption": "x"})
    rows.append({"id": "mute", "image": {"bytes": picture(3), "path": None}, "caption": " "})
    write_parquet(folder / "pics" / "train.parquet", rows)
    title = "Pictures <i>and</i> what is said of them"
    made = pulled(
        home, write_card(home, "pics", format="caption_pairs", title=title), folder / "pics", allow_rejected=True
    )
    return made.folder.name


def _long_talk(home: Home, folder: Path) -> str:
    turns = [{"from": ("human", "gpt")[n % 2], "value": f"message number {n + 1} of a long talk"} for n in range(TURNS)]
    write_json(folder / "long" / "train.json", [{"id": "endless", "conversations": turns}])
    made = pulled(home, write_card(home, "long", format="llava_chat"), folder / "long")
    return made.folder.name


def _mix(home: Home, name: str, *parts: dict[str, Any]) -> str:
    return build_mix(home, Recipe.model_validate({"name": name, "parts": list(parts)}))[0].name
