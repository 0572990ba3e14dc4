"""What ``tests.speed.duplicates`` measures on: conversations with planted copies, samples folders, photographs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from curator.samples import Samples
from registry.identity import digest
from registry.sample import arrow_schema
from registry.store import Home, Record
from tests.curator.data_home import write_card

EXACT, NEAR = 0.03, 0.08
"""Shares of the rows that are exact and near copies of another one."""
VOCABULARY = 30_000
SHINGLE = 5

Ints = npt.NDArray[np.int64]
Photograph = Image.Image


@dataclass(frozen=True)
class Corpus:
    """Texts; each either a text of its own, or a copy of another row."""

    texts: pa.Array
    base: Ints
    """For a copy the row that it is one of; -1 for a text of its own."""
    similarity: npt.NDArray[np.float64]
    """True Jaccard similarity to the base, as ours is defined; 0 for a text of its own."""

    def near(self) -> Ints:
        """The rows that are near copies, not exact ones."""
        return np.flatnonzero((self.base >= 0) & (self.similarity < 1))

    def concerned(self) -> set[int]:
        """Copies and what they are copies of."""
        copies = np.flatnonzero(self.base >= 0)
        return set(copies.tolist()) | set(self.base[copies].tolist())


def _words(chance: np.random.Generator) -> pa.Array:
    letters = np.array(list("etaoinshrdlcumwfgypbvk"))
    lengths = np.clip(chance.normal(6.6, 2.6, VOCABULARY), 2, 14).astype(int)
    return pa.array(["".join(chance.choice(letters, length)) for length in lengths])


def corpus(rows: int, mean_words: float = 136, seed: int = 0) -> Corpus:
    """So many rows in random order, 957 characters long on average; the same ones for the same seed."""
    chance = np.random.default_rng(seed)
    words = _words(chance)
    exact, near = round(rows * EXACT), round(rows * NEAR)
    own = rows - exact - near
    lengths = np.clip(chance.lognormal(np.log(mean_words) - 0.36, 0.85, own), 6, 1200).astype(int)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    drawn = (VOCABULARY * chance.random(int(lengths.sum())) ** 2.2).astype(np.int32)
    documents = [drawn[starts[i] : starts[i + 1]] for i in range(own)]
    bases = chance.integers(0, own, exact + near)
    similarity = np.concatenate([np.zeros(own), np.ones(exact), np.zeros(near)])
    for number, base in enumerate(bases.tolist()):
        copy = documents[base]
        if number >= exact:
            copy = copy.copy()
            copy[chance.integers(0, len(copy), chance.integers(1, 4))] = chance.integers(0, VOCABULARY)
            similarity[own + number] = jaccard(documents[base], copy)
        documents.append(copy)
    order = chance.permutation(rows)
    place = np.argsort(order)
    texts = _joined([documents[i] for i in order.tolist()], words)
    base_of = np.concatenate([np.full(own, -1), place[bases]])
    return Corpus(texts, base_of[order], similarity[order])


def jaccard(one: npt.NDArray[np.int32], other: npt.NDArray[np.int32]) -> float:
    """Similarity of the sets of runs of five words, the first of which says who speaks."""
    texts = ([-1, *text.tolist()] for text in (one, other))
    a, b = ({tuple(text[i : i + SHINGLE]) for i in range(len(text) - SHINGLE + 1)} for text in texts)
    return len(a & b) / len(a | b)


def _joined(documents: list[npt.NDArray[np.int32]], words: pa.Array) -> pa.Array:
    """The texts of many lists of words, some thousand at a time."""
    parts = []
    for start in range(0, len(documents), 20_000):
        some = documents[start : start + 20_000]
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in some])]).astype(np.int32)
        lists = pa.ListArray.from_arrays(offsets, words.take(pa.array(np.concatenate(some))))
        parts.append(pc.binary_join(lists, " "))
    return pa.concat_arrays(parts)


def write_samples(home: Home, name: str, batches: Iterator[pa.Array], rows_per_file: int = 65_536) -> Samples:
    """A samples folder of texts without pictures: each text is the answer to the same request."""
    card = write_card(home, name, format="llava_chat")
    identity = digest({"speed": name})
    folder = home.stage("samples") / f"{name}@speed-{identity[:12]}"
    record = Record(kind="samples", name=name, digest=identity, settings={"parts": []})
    with home.making(folder, record) as out:
        for number, texts in enumerate(batches):
            table = _table(texts, record.rows_out, name)
            pq.write_table(table, out / f"part-{number:05d}.parquet", row_group_size=4096, compression="zstd")
            record.rows_in += len(texts)
            record.rows_out += len(texts)
            assert len(texts) <= rows_per_file
    return Samples(folder, record, card)


def _table(texts: pa.Array, begin: int, name: str) -> pa.Table:
    n = len(texts)
    woven = _woven(pa.repeat("Tell me about it.", n), texts)
    content = pa.StructArray.from_arrays([pa.repeat("text", 2 * n), woven], ["type", "text"])
    contents = pa.ListArray.from_arrays(np.arange(2 * n + 1, dtype=np.int32), content)
    roles = _woven(pa.repeat("user", n), pa.repeat("assistant", n))
    messages = pa.StructArray.from_arrays([roles, contents], ["role", "content"])
    ids = pa.array([f"{number:032x}" for number in range(begin, begin + n)])
    schema = arrow_schema()
    columns: dict[str, Any] = {
        "id": ids,
        "dataset": pa.repeat(name, n),
        "part": pa.repeat("all", n),
        "source_id": ids,
        "category": pa.repeat("text_only", n),
        "images": pa.array([[]] * n, schema.field("images").type),
        "messages": pa.ListArray.from_arrays(np.arange(0, 2 * n + 1, 2, dtype=np.int32), messages),
        "ratings": pa.nulls(n, schema.field("ratings").type),
    }
    return pa.table({key: values.cast(schema.field(key).type) for key, values in columns.items()}, schema=schema)


def _woven(one: pa.Array, other: pa.Array) -> pa.Array:
    n = len(one)
    return pa.concat_arrays([one, other]).take(np.arange(2 * n).reshape(2, n).T.reshape(-1))


def photograph(seed: int, width: int = 640, height: int = 480) -> Photograph:
    """Noise whose amplitude falls with the frequency, as in photographs of the world, in colour."""
    chance = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width)
    layers = []
    common = np.fft.rfft2(chance.normal(size=(height, width)))
    for _ in range(3):
        spectrum = 0.8 * common + 0.2 * np.fft.rfft2(chance.normal(size=(height, width)))
        layer = np.fft.irfft2(spectrum / np.maximum(frequency, 1) ** 1.3, (height, width))
        layers.append(layer / layer.std())
    pixels = np.clip(118 + 55 * np.stack(layers, -1) + chance.normal(size=(height, width, 1)) * 2, 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def jpeg(picture: Photograph, quality: int = 85) -> bytes:
    """A JPEG file of it."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def changed(picture: Photograph) -> dict[str, bytes]:
    """The picture after what happens to pictures: name -> file."""
    width, height = picture.size

    def cropped(share: float) -> bytes:
        x, y = round(width * share), round(height * share)
        return jpeg(picture.crop((x, y, width - x, height - y)))

    half = picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS)
    third = picture.resize((width // 3, height // 3), Image.Resampling.BILINEAR)
    return {
        "half the size": jpeg(half),
        "a third, quality 75": jpeg(third, 75),
        "quality 50": jpeg(picture, 50),
        "quality 20": jpeg(picture, 20),
        "1 % cut from each side": cropped(0.01),
        "2 % cut from each side": cropped(0.02),
        "4 % cut from each side": cropped(0.04),
    }


def write_photographs(folder: Path, count: int) -> list[bytes]:
    """So many JPEGs in a folder; their bytes in the order of their names."""
    folder.mkdir(parents=True)
    files = [jpeg(photograph(seed)) for seed in range(count)]
    for number, data in enumerate(files):
        (folder / f"{number:05d}.jpg").write_bytes(data)
    return files
