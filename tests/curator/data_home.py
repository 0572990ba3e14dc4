"""Small datasets for tests of the data path: pictures, cards, published folders, samples."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from curator.normalise import Normalised, normalise
from curator.pull import offer_from_folder, pull
from curator.samples import Samples, find_samples
from registry.card import Card, load_card
from registry.store import Home, write_aside

Rows = list[dict[str, Any]]


def picture(number: int, size: tuple[int, int] = (16, 12), kind: str = "PNG") -> bytes:
    """A small picture that differs with ``number``."""
    from PIL import Image

    image = Image.new("RGB", size, (number * 7 % 256, number * 31 % 256, number // 256))
    image.putpixel((0, 0), (255, 255 - number % 256, 0))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def write_card(home: Home, name: str, **fields: Any) -> Card:
    """A card of the home's own (JSON is YAML too); one part ``all`` of captioning unless ``parts`` are given."""
    card = {
        "name": name,
        "title": name,
        "stage": "sft",
        "parts": [{"name": "all", "category": "captioning"}],
        **fields,
    }
    write_aside(home.cards / f"{name}.yaml", json.dumps(card).encode())  # two processes may write the same one
    return load_card(name, home)


def write_json(path: Path, rows: Any) -> Path:
    """Rows as a JSON array, the folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Rows, row_group_size: int | None = None) -> Path:
    """Rows as a parquet file, the folder made."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=row_group_size)
    return path


def captions(n: int, start: int = 0) -> Rows:
    """``n`` rows of the caption form with embedded pictures."""
    return [
        {"image": {"bytes": picture(i), "path": f"{i}.png"}, "caption": f"picture number {i} of many"}
        for i in range(start, start + n)
    ]


def chats(n: int, start: int = 0) -> Rows:
    """``n`` rows of the LLaVA form without pictures."""
    return [
        {
            "id": f"row-{i}",
            "conversations": [
                {"from": "human", "value": f"What is {i} and one?"},
                {"from": "gpt", "value": f"It is {i + 1}."},
            ],
        }
        for i in range(start, start + n)
    ]


def pulled(home: Home, card: Card, source: Path, **options: Any) -> Normalised:
    """Pull a local folder and normalise it."""
    raw = pull(home, offer_from_folder(card, source))
    return normalise(home, card, raw.folder, **options)


def make_captions(home: Home, folder: Path, name: str, n: int, start: int = 0, **card: Any) -> Samples:
    """A normalised dataset of captions."""
    write_parquet(folder / name / "train.parquet", captions(n, start))
    pulled(home, write_card(home, name, format="caption_pairs", **card), folder / name)
    return find_samples(home, name)


def make_chats(home: Home, folder: Path, name: str, n: int, start: int = 0, **card: Any) -> Samples:
    """A normalised dataset of text conversations."""
    write_json(folder / name / "train.json", chats(n, start))
    pulled(home, write_card(home, name, format="llava_chat", **card), folder / name)
    return find_samples(home, name)


def rows_of(folder: Path, pattern: str = "part-*.parquet") -> Rows:
    """All rows of a finished folder, in order."""
    import pyarrow.parquet as pq

    return [row for path in sorted(folder.glob(pattern)) for row in pq.read_table(path).to_pylist()]


def file_bytes(folder: Path) -> dict[str, bytes]:
    """Relative path -> bytes of everything below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
