"""``curator demo --rebuild-base``: the base checkpoint of the demo, from nothing. Same seed, same bytes.

The lessons are drawn and stored as ordinary samples and mixes, and a trainer process learns them stage by stage.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from curator.demo.lessons import LESSONS, Lesson, lessons, words
from curator.trials import Listener, Request, Workers
from registry.errors import Refusal
from registry.identity import digest
from registry.images import ImageStore, ImageWriter
from registry.mix import MIX_FILE, MixInfo, PartCount, rows_schema
from registry.sample import Message, arrow_schema, conversation, sample_id
from registry.store import Home, Record, dump_json
from registry.trial import Stage
from registry.yaml_file import StrictModel, load

RECIPE = Path(__file__).parent / "base_checkpoint.yaml"
CORPUS_VERSION = 1
ROWS_A_FILE = 20_000
ROW_CAPACITY = 256


class Lessons(StrictModel):
    """One stage of ``base_checkpoint.yaml``."""

    name: str
    lr: float = Field(gt=0)
    rows_per_step: int = Field(ge=1)
    lessons: dict[str, int]


class BaseRecipe(StrictModel):
    """``base_checkpoint.yaml``."""

    stages: list[Lessons] = Field(min_length=1)


def rebuild(home: Home, seed: int, folder: Path, listen: Listener) -> Path:
    """Build the base checkpoint of ``seed`` into ``folder``; its corpus lies in ``home`` and is made once."""
    if any(folder.glob("*.safetensors")):
        raise Refusal(str(folder), "holds weights already", "give another folder with --out")
    recipe = load(RECIPE, BaseRecipe)
    with Workers(1) as workers:
        workers.warm_up()
        stages = [
            {"stage": _stage(part).model_dump(mode="json"), "mix": write_corpus(home, seed, part).name}
            for part in recipe.stages
        ]
        body = {
            "do": "base",
            "home": str(home.path),
            "folder": str(folder.resolve()),
            "settings": {"seed": seed, "words": words(), "stages": stages},
        }
        workers.run([[Request(body, f"base checkpoint of seed {seed}")]], listen)
    return folder


def stage_notes(say: Callable[[str], None]) -> Listener:
    """A listener that says one line for every tenth of a stage."""
    said: set[tuple[str, int]] = set()

    def listen(event: dict[str, Any]) -> None:
        if event["event"] != "progress" or not event.get("steps"):
            return
        mark = (str(event["stage"]), 10 * int(event["step"]) // int(event["steps"]))
        if mark not in said:
            said.add(mark)
            say(f"{mark[0]}: step {event['step']} of {event['steps']}, loss {event['loss']:.3f}")

    return listen


def _stage(part: Lessons) -> Stage:
    return Stage(
        name=part.name,
        template="demo",
        trains=["vision", "adapter", "llm"],
        lr={"vision": part.lr, "adapter": part.lr, "llm": part.lr},
        capacity=ROW_CAPACITY,
        rows_per_step=part.rows_per_step,
        weight_decay=0.01,
        betas=(0.9, 0.98),
    )


def write_corpus(home: Home, seed: int, part: Lessons) -> Path:
    """The lessons of one stage as a mix (and the samples it refers to); found again when they are there."""
    unknown = sorted(set(part.lessons) - set(LESSONS))
    if unknown:
        raise Refusal(str(RECIPE), f"stage '{part.name}': no lesson '{unknown[0]}'", f"choose of: {', '.join(LESSONS)}")
    settings = {"corpus": CORPUS_VERSION, "seed": seed, "stage": part.name, "lessons": part.lessons}
    identity = digest(settings)
    existing = home.find("mixes", identity)
    if existing is not None:
        return existing
    name = f"demo-base-{part.name}"
    samples = home.folder("samples", f"{name}@seed{seed}", identity)
    with home.making(samples, Record(kind="samples", name=samples.name, digest=identity, settings=settings)) as out:
        references = list(_write_samples(home, seed, part, name, out))
    mix = home.folder("mixes", name, identity)
    record = Record(
        kind="mix",
        name=name,
        digest=identity,
        inputs={f"samples/{samples.name}": identity},
        rows_in=len(references),
        rows_out=len(references),
        settings=settings,
    )
    with home.making(mix, record) as out:
        _write_mix(out, name, samples.name, identity, settings, references)
    return mix


def _write_samples(home: Home, seed: int, part: Lessons, name: str, out: Path) -> Iterator[dict[str, Any]]:
    """Write sample files; yield a reference to each sample, as a row of a mix without its folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = lessons(part.lessons, seed, part.name)
    with ImageStore(home).writer() as pictures:
        for number in itertools.count():
            rows = [_sample(name, lesson, pictures) for lesson in itertools.islice(stream, ROWS_A_FILE)]
            if not rows:
                return
            file = f"part-{number:05d}.parquet"
            pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema()), out / file, compression="zstd")
            for position, row in enumerate(rows):
                kept = {key: row[key] for key in ("id", "dataset", "part", "category", "images")}
                yield {**kept, "file": file, "row": position}


def _sample(name: str, lesson: Lesson, pictures: ImageWriter) -> dict[str, Any]:
    messages: list[Message] = conversation([("user", lesson.request), ("assistant", lesson.answer)])
    images = [vars(pictures.add(lesson.picture))] if lesson.picture is not None else []
    return {
        "id": sample_id(messages, [image["sha256"] for image in images]),
        "dataset": name,
        "part": "all",
        "source_id": "",
        "category": "general_qa" if images else "text_only",
        "images": images,
        "messages": messages,
    }


def _write_mix(
    out: Path, name: str, folder: str, identity: str, settings: dict[str, Any], references: list[dict[str, Any]]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    copies: Counter[str] = Counter()
    rows = []
    for reference in references:
        rows.append({**reference, "folder": folder, "copy": copies[reference["id"]]})
        copies[reference["id"]] += 1
    table = pa.Table.from_pylist(rows, schema=rows_schema())
    pq.write_table(table, out / "rows-00000.parquet", compression="zstd")
    account = PartCount(dataset=name, samples_folder=folder, seed=0, available=len(rows), chosen=len(rows))
    info = MixInfo(
        name=name,
        recipe=settings,
        recipe_digest=identity,
        content_digest=digest([[row["id"], row["copy"]] for row in rows]),
        samples=len(rows),
        images=sum(len(row["images"]) for row in rows),
        datasets={name: len(rows)},
        categories=dict(Counter(row["category"] for row in rows)),
        parts=[account],
    )
    (out / MIX_FILE).write_bytes(dump_json(info.model_dump(mode="json")))
