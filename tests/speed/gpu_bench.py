"""What the methods of ``gpu_training`` share: model, data, clock."""

from __future__ import annotations

import gc
import io
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from registry.identity import digest
from registry.images import ImageStore
from registry.mix import MixReader
from registry.sample import arrow_schema, make_message
from registry.store import Home, Record
from registry.trial import Stage
from tests.trainers import toy
from trainers.features import PictureCache
from trainers.flops import Flops
from trainers.loader import Corpus, Step, load_corpus
from trainers.model import Checkpoint, freeze
from trainers.picture import PictureSettings
from trainers.token_cache import TokenCache
from trainers.tokenizer_build import build_tokenizer
from trainers.tokens import IMAGE_TOKEN, Tokens


@dataclass(frozen=True)
class Size:
    """Shapes of a model and its data."""

    vision: dict[str, int]
    text: dict[str, int]
    capacity: int
    text_tokens: float
    """Mean of the logarithm of a text's tokens."""
    samples: int
    picture: tuple[int, int]
    padded: tuple[tuple[int, bool], ...]
    """Batch of the padded trainer, and whether it computes layers again."""


_CLIP = {"patch_size": 14, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24}
_CLIP_L = {"image_size": 336, **_CLIP, "num_attention_heads": 16}
_QWEN = {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14}
SIZES = {
    "llava-7b": Size(_CLIP_L, {"vocab_size": 32064}, 4096, 5.4, 1500, (640, 480), ((16, True), (4, False))),
    "small": Size(
        _CLIP_L,
        {"vocab_size": 151_936, **_QWEN, "num_key_value_heads": 2},
        4096,
        5.4,
        4000,
        (640, 480),
        ((16, True), (16, False)),
    ),
    "toy": Size(
        {"image_size": 28, "patch_size": 7, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4},
        {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2},
        160,
        3.0,
        60,
        (40, 30),
        ((8, True), (4, False)),
    ),
}  # fmt: skip


@dataclass
class Bench:
    """Everything that the methods share."""

    size: Size
    home: Home
    mix: str
    files: Path
    device: torch.device
    seconds: float
    """For each measurement."""
    workers: int
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.device.type == "cuda" else torch.float32

    @property
    def stage(self) -> Stage:
        lr = {"adapter": 2e-5, "llm": 2e-5}
        shape = {"template": "demo", "capacity": self.size.capacity, "rows_per_step": 1, "packing": "whole"}
        return Stage(name="sft", trains=["adapter", "llm"], lr=lr, **shape)  # type: ignore[arg-type] # one of each kind

    def checkpoint(self) -> Checkpoint:
        """The model with its random weights, always the same."""
        tokenizer = build_tokenizer(toy.WORDS)
        image = int(tokenizer.token_to_id(IMAGE_TOKEN) or 0)
        size = self.size
        config = LlavaConfig(
            vision_config=CLIPVisionConfig(**size.vision),
            text_config=LlamaConfig(max_position_embeddings=size.capacity, **size.text),
            image_token_index=image,
            image_seq_length=(size.vision["image_size"] // size.vision["patch_size"]) ** 2,
            vision_feature_layer=-2,
        )
        torch.manual_seed(0)
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with self.device:
                model = LlavaForConditionalGeneration(config)
        finally:
            torch.set_default_dtype(before)
        pictures = PictureSettings(size=size.vision["image_size"])
        found = Checkpoint(model, Tokens(tokenizer, image, "bench"), pictures, self.files, config.image_seq_length)
        freeze(found, ["adapter", "llm"])
        model.train()
        return found

    def corpus(self, checkpoint: Checkpoint) -> Corpus:
        reader = MixReader(self.home, self.mix)
        return load_corpus(reader, self.stage, 0, TokenCache(checkpoint.tokens, checkpoint.image_tokens))

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def fresh(self) -> None:
        """Before each method: no memory of the last one."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def memory(self) -> float:
        """GiB in use at most."""
        return torch.cuda.max_memory_allocated() / 2**30 if self.device.type == "cuda" else 0.0


def make_data(bench_home: Home, size: Size) -> str:
    """A mix with pictures and texts like LLaVA's; the name of its folder."""
    draw = np.random.default_rng(0)
    counts = np.exp(draw.normal(size.text_tokens, 0.75, size.samples)).astype(int).clip(8, size.capacity // 3)
    rows = []
    with ImageStore(bench_home).writer() as writer:
        for number, count in enumerate(counts.tolist()):
            images: list[Any] = []
            if draw.random() < 0.94:
                small = Image.fromarray(draw.integers(0, 256, (30, 40, 3), dtype=np.uint8))
                data = io.BytesIO()
                small.resize(size.picture, Image.Resampling.BICUBIC).save(data, "JPEG", quality=90)
                ref = writer.add(data.getvalue())
                images.append({"sha256": ref.sha256, "width": ref.width, "height": ref.height})
            words = [toy.WORDS[place] for place in draw.integers(0, len(toy.WORDS), count)]
            asks = [make_message("user", " ".join(words[: count // 3]), len(images))]
            answer = make_message("assistant", " ".join(words[count // 3 :]))
            rows.append(toy._row("bench", number, [*asks, answer], images))
    samples = bench_home.folder("samples", "bench@1", digest([row["id"] for row in rows]))
    with bench_home.making(samples, Record(kind="samples", name="bench", digest=digest("bench"))) as work:
        pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema()), work / "part-00000.parquet")
    return toy._write_mix(bench_home, "bench", samples.name, rows)[0]


@dataclass(frozen=True)
class Speed:
    """What a method reached."""

    tokens_per_second: float
    """Useful ones."""
    flops_per_second: float
    memory: float
    filled: float
    """Share of the computed tokens that are useful."""

    def line(self, name: str, peak: float | None) -> str:
        mfu = f"{self.flops_per_second / peak:7.1%} MFU" if peak else ""
        useful = f"{self.filled:6.1%} useful"
        return f"{name:<34}{self.tokens_per_second:>10,.0f} tokens/s {mfu}  {self.memory:6.1f} GiB  {useful}"


def timed(bench: Bench, steps: Iterable[Any], do: Callable[[Any], Any], warm: int = 2) -> tuple[list[Any], float]:
    """The steps that were done in the time there is, after some that are not counted, and the seconds they took."""
    done: list[Any] = []
    start = 0.0
    for number, step in enumerate(steps):
        if number == warm:
            bench.wait()
            start = time.perf_counter()
        do(step)
        if number >= warm:
            done.append(step)
            bench.wait()
            if time.perf_counter() - start > bench.seconds:
                break
    bench.wait()
    return done, time.perf_counter() - start


def speed_of(bench: Bench, flops: Flops, done: list[Step], seconds: float, computed: int) -> Speed:
    tokens = sum(len(step.ids) for step in done)
    work = sum(flops.of_step(step.lengths, len(step.images), step.learned) for step in done)
    return Speed(tokens / seconds, work / seconds, bench.memory(), tokens / max(computed, 1))


class Forgetful(PictureCache):
    """Keeps no output of the tower: in a real run each picture comes once an epoch, and no cache is large enough."""

    def keep(self, key: tuple[str, str], output: Tensor) -> None:
        """Nothing is kept."""
