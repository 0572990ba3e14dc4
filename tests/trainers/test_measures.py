"""Measures by a model: each value that of the sample alone in plain transformers, whatever its company and its file."""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPModel,
    LlavaForConditionalGeneration,
    SiglipImageProcessorPil,
    SiglipModel,
)

from registry.checkpoint import DEMO_FOLDER
from registry.discovery import load_module
from registry.errors import Refusal
from registry.images import ImageStore
from registry.sample import make_message, message_text
from registry.store import Home
from tests.trainers import measured as files
from tests.trainers.dual_encoders import LENGTH, make_dual_encoder
from tests.trainers.measured import Row, columns_of, make_rows, measured, noise, row_of, write_files
from trainers import measure as measure_module
from trainers.chat import template
from trainers.dual_encoder import DualEncoder
from trainers.features import normalised
from trainers.losses import Reader
from trainers.measure import Sample, Tools
from trainers.model import Checkpoint, load_checkpoint
from trainers.picture import square
from trainers.workshop import Workshop

COUNT = 30


@functools.cache
def demo() -> Checkpoint:
    """The packaged base."""
    return load_checkpoint(DEMO_FOLDER)


@dataclass
class World:
    """Samples in one file and in three, pictures in a home, a tiny CLIP and a tiny SigLIP."""

    home: Home
    rows: list[Row]
    whole: list[Path]
    split: list[Path]
    encoders: dict[str, Path]
    store: ImageStore

    def checkpoint(self, name: str) -> tuple[Path, str | None]:
        """A model for a measure, and how it is asked."""
        return (self.encoders["clip"], None) if name == "similarity" else (DEMO_FOLDER, "demo")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("measures")
    home = Home(root / "home")
    rows = make_rows(home, COUNT)
    whole, split = write_files(root / "whole", rows, [COUNT]), write_files(root / "split", rows, [7, 0, COUNT - 7])
    encoders = {kind: make_dual_encoder(root / kind, kind) for kind in ("clip", "siglip")}
    store = ImageStore(home)
    yield World(home, rows, whole, split, encoders, store)
    store.close()


def plain_similarity(world: World, kind: str) -> list[float | None]:
    """The cosines by transformers' own model and processors, one sample at a time."""
    folder = world.encoders[kind]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    classes: Any = (CLIPModel, CLIPImageProcessorPil) if kind == "clip" else (SiglipModel, SiglipImageProcessorPil)
    model, processor = (one.from_pretrained(folder) for one in classes)
    found: list[float | None] = []
    for row in world.rows:
        said = " ".join(message_text(m) for m in row["messages"] if m["role"] == "assistant")
        padding = {"padding": "max_length"} if kind == "siglip" else {}
        ids = tokenizer(said, truncation=True, max_length=LENGTH, return_tensors="pt", **padding)["input_ids"]
        text = model.get_text_features(input_ids=ids).pooler_output
        cosines = []
        for image in row["images"]:
            picture = Image.open(io.BytesIO(world.store.read(image["sha256"])))
            pixels = processor(picture, return_tensors="pt")["pixel_values"]
            shown = model.get_image_features(pixel_values=pixels).pooler_output
            cosines.append(float(functional.cosine_similarity(text, shown)))
        found.append(min(cosines, default=None))
    return found


def plain_loss(world: World, model: Any, row: Row, pictures: bool = True) -> float:
    """The loss that transformers' own forward gives one sample alone."""
    checkpoint = demo()
    messages, images = row["messages"], [image["sha256"] for image in row["images"]]
    if not pictures:
        images = []
        messages = [{**m, "content": [part for part in m["content"] if part["type"] == "text"]} for m in messages]
    [encoded] = checkpoint.tokens.encode([template("demo").render(messages)], checkpoint.image_tokens)
    ids = torch.from_numpy(encoded.ids).long()
    labels = ids.masked_fill(~torch.from_numpy(encoded.learned), -100)
    squares = [square(world.store.read(image), checkpoint.pictures, "test") for image in images]
    shown = {"pixel_values": normalised(torch.from_numpy(np.stack(squares)), checkpoint.pictures)} if squares else {}
    return float(model(input_ids=ids[None], labels=labels[None], **shown).loss)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_similarity_is_that_of_each_sample_alone(world: World, tmp_path: Path, kind: str) -> None:
    with torch.no_grad():
        expected = plain_similarity(world, kind)
    assert measured(world.home, "similarity", world.encoders[kind], world.whole, tmp_path)
    found = columns_of(tmp_path)
    assert found["id"] == [row["id"] for row in world.rows]
    assert found["similarity"] == pytest.approx(expected, abs=1e-4)
    assert [value is None for value in expected] == [not row["images"] for row in world.rows]
    assert max(filter(None, expected)) - min(filter(None, expected)) > 0.1, "the samples differ"


def test_losses_are_those_of_each_sample_alone(world: World, tmp_path: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(DEMO_FOLDER, dtype=torch.float32)
    with torch.no_grad():
        shown = [plain_loss(world, model, row) for row in world.rows]
        hidden = [plain_loss(world, model, row, pictures=False) if row["images"] else None for row in world.rows]
    gains = [None if b is None or a is None else b - a for a, b in zip(shown, hidden, strict=True)]
    measured(world.home, "answer_loss", DEMO_FOLDER, world.whole, tmp_path / "loss", "demo")
    measured(world.home, "picture_gain", DEMO_FOLDER, world.whole, tmp_path / "gain", "demo")
    losses, gain = columns_of(tmp_path / "loss"), columns_of(tmp_path / "gain")
    assert losses["answer_loss"] == pytest.approx(shown, abs=2e-4)
    assert gain["loss_without_picture"] == pytest.approx(hidden, abs=2e-4)
    assert gain["picture_gain"] == pytest.approx(gains, abs=3e-4)
    rendered = [template("demo").render(row["messages"]) for row in world.rows]
    tokens = [int(one.learned.sum()) for one in demo().tokens.encode(rendered, demo().image_tokens)]
    assert losses["answer_tokens"] == tokens


@pytest.mark.parametrize("name", list(files.COLUMNS))
def test_equal_runs_give_equal_bytes_and_files_make_no_difference(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    checkpoint, form = world.checkpoint(name)
    for run in ("one", "two"):
        measured(world.home, name, checkpoint, world.whole, tmp_path / run, form)
    file = world.whole[0].name
    assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    monkeypatch.setattr(measure_module, "WINDOW", 5)
    measured(world.home, name, checkpoint, world.split, tmp_path / "split", form)
    assert columns_of(tmp_path / "split") == columns_of(tmp_path / "one")


def test_a_file_that_is_there_is_not_made_again(world: World, tmp_path: Path) -> None:
    checkpoint, form = world.checkpoint("answer_loss")
    measured(world.home, "answer_loss", checkpoint, world.split, tmp_path / "whole", form)
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    (tmp_path / "killed" / "part-00002.parquet").unlink()
    kept = tmp_path / "killed" / "part-00000.parquet"
    before = kept.stat()
    assert measured(world.home, "answer_loss", checkpoint, world.split, tmp_path / "killed", form)
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    for path in world.split:
        assert (tmp_path / "killed" / path.name).read_bytes() == (tmp_path / "whole" / path.name).read_bytes()
    assert not measured(world.home, "answer_loss", tmp_path / "gone", world.split, tmp_path / "killed", form)


def test_a_picture_that_samples_share_is_read_once_in_a_window(world: World) -> None:
    read: list[str] = []

    def counted(sha256: str) -> bytes:
        read.append(sha256)
        return world.store.read(sha256)

    samples = [Sample(r["id"], r["messages"], tuple(i["sha256"] for i in r["images"])) for r in world.rows]
    shown = {image for sample in samples for image in sample.images}
    for name in ("similarity", "answer_loss"):
        read.clear()
        checkpoint, form = world.checkpoint(name)
        module = load_module(measure_module.MEASURES, name, "measure")
        module.prepare(Tools(Workshop(), checkpoint, form, counted))(samples)
        assert sorted(read) == sorted(shown), name


def test_pictures_of_any_shape_and_colour_are_measured(world: World, tmp_path: Path) -> None:
    """One pixel, three rows (which a processor may take for channels), a very long strip, see-through."""
    buffer = io.BytesIO()
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(buffer, "PNG")
    shapes = [noise(1, size) for size in ((1, 1), (40, 3), (3, 3), (3000, 2), (2, 3000))] + [buffer.getvalue()]
    pictures = {str(number): data for number, data in enumerate(shapes)}
    white = io.BytesIO()
    Image.new("RGB", (9, 9), "white").save(white, "PNG")
    pictures["white"] = white.getvalue()
    for folder in world.encoders.values():
        found = DualEncoder.load(folder).pictures(list(pictures), pictures.__getitem__)
        assert torch.isfinite(found).all()
        assert torch.allclose(found[-2], found[-1]), "what is transparent is shown on white"


def test_a_sample_beyond_the_decoder_is_cut_and_a_lost_picture_is_no_value(world: World) -> None:
    reader = Reader.open(Tools(Workshop(), DEMO_FOLDER, "demo", world.store.read))
    image = next(row["images"][0]["sha256"] for row in world.rows if row["images"])
    long = "red " * reader.longest

    def told(*turns: tuple[str, str, int]) -> Any:
        messages = []
        for asked, said, pictures in turns:
            messages += [make_message("user", asked, pictures), make_message("assistant", said)]
        [one] = reader.tell([Sample("x", messages, (image,) * sum(turn[2] for turn in turns))])
        return one

    whole, cut = told(("Is it red?", "yes", 1)), told(("Is it red?", long, 1))
    assert (len(cut.tokens), len(whole.tokens) < reader.longest) == (reader.longest, True)
    assert told((long, "yes", 1)) is None, "nothing of the answer is read"
    assert told(("Is it red?", long, 0), ("And it?", "yes", 1)) is None, "the picture lies beyond"
    losses = reader.losses([whole, None, cut])
    assert losses[1] is None
    assert [loss is not None and loss > 0 for loss in losses] == [True, False, True]


def test_an_answer_of_nothing_has_no_similarity(world: World, tmp_path: Path) -> None:
    images = next(row["images"] for row in world.rows if row["images"])
    rows = [row_of([make_message("user", "What?", len(images)), make_message("assistant", " ")], images)]
    sources = write_files(tmp_path / "in", rows, [1])
    measured(world.home, "similarity", world.encoders["clip"], sources, tmp_path / "out")
    assert columns_of(tmp_path / "out")["similarity"] == [None]


def edited(source: Path, target: Path, **weights: Any) -> Path:
    """A copy of a checkpoint, one weight replaced or (None) taken away."""
    shutil.copytree(source, target)
    state = load_file(target / "model.safetensors")
    for name, value in weights.items():
        full = next(key for key in state if key.endswith(name))
        state.pop(full) if value is None else state.update({full: torch.full_like(state[full], value)})
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_what_is_no_such_model_is_refused(world: World, tmp_path: Path) -> None:
    clip = world.encoders["clip"]
    pickled, short = tmp_path / "pickled", tmp_path / "short"
    shutil.copytree(clip, pickled)
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    shutil.copytree(clip, short)
    (short / "model.safetensors").write_bytes((clip / "model.safetensors").read_bytes()[:-100])
    lacking = edited(clip, tmp_path / "lacking", **{"visual_projection.weight": None})
    broken = edited(clip, tmp_path / "broken", **{"text_projection.weight": float("nan")})
    wordless, blind = tmp_path / "wordless", tmp_path / "blind"
    shutil.copytree(clip, wordless, ignore=shutil.ignore_patterns("token*"))
    shutil.copytree(clip, blind, ignore=shutil.ignore_patterns("preprocessor*"))
    for checkpoint, what in (
        (DEMO_FOLDER, "is no CLIP or SigLIP model .model_type 'llava'."),
        (tmp_path / "absent", "cannot be read"),
        (pickled, "cannot be loaded"),
        (short, "cannot be loaded"),
        (lacking, "lacks 1 weights, first visual_projection.weight"),
        (wordless, "has no tokenizer.json"),
        (blind, "cannot be loaded"),
        (broken, "the model gives nan as its similarity"),
    ):
        with pytest.raises(Refusal, match=what):
            measured(world.home, "similarity", checkpoint, world.whole, tmp_path / "out")
    for checkpoint, form, what in (
        (clip, "demo", "is no LLaVA model"),
        (DEMO_FOLDER, "vicuna", "there is none; did you mean 'vicuna_v1'"),
        (DEMO_FOLDER, "chatml", "tokens, the template needs one"),
    ):
        with pytest.raises(Refusal, match=what):
            measured(world.home, "answer_loss", checkpoint, world.whole, tmp_path / "out", form)
    assert not list(tmp_path.glob("out/part-*"))
