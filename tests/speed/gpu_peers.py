"""The other trainers that ``gpu_training`` measures: transformers' Trainer with padding, and a packed loop."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import DataCollatorWithFlattening, Trainer, TrainerCallback, TrainingArguments
from transformers.utils import is_flash_attn_2_available

from registry.images import ImageStore
from tests.speed.gpu_bench import Bench, Speed, speed_of, timed
from trainers.features import normalised
from trainers.feed import Feed
from trainers.flops import Flops
from trainers.loader import IGNORED, Corpus, Plan, Step
from trainers.loop import make_optimizer
from trainers.model import Checkpoint
from trainers.packing import fill
from trainers.picture import square

WINDOW = 1000
"""Samples among which the peer packs."""


def best_fit(lengths: list[int], capacity: int) -> list[list[int]]:
    """Rows by best fit, the longest first, among windows of samples: what the packers of other trainers do."""
    rows = []
    for first in range(0, len(lengths), WINDOW):
        room: list[int] = []
        within: list[list[int]] = []
        window = range(first, min(first + WINDOW, len(lengths)))
        for number in sorted(window, key=lambda number: -lengths[number]):
            fits = [place for place, left in enumerate(room) if left >= lengths[number]]
            place = min(fits, key=lambda place: room[place], default=None)
            if place is None:
                room.append(capacity)
                within.append([])
                place = len(room) - 1
            room[place] -= lengths[number]
            within[place].append(number)
        rows += within
    return rows


def measure_packed_peer(bench: Bench) -> Speed:
    """transformers' model on packed rows, flattened by its own collator, in a loop as lean as can be.

    It is fed as we are: what is compared is packing, attention and the loss.
    """
    bench.fresh()
    checkpoint = bench.checkpoint()
    corpus, model = bench.corpus(checkpoint), checkpoint.model
    flash = bench.device.type == "cuda" and is_flash_attn_2_available()
    model.set_attn_implementation("flash_attention_2" if flash else "sdpa")
    bench.notes["attention of the packed peer"] = "flash_attention_2" if flash else "sdpa"
    collate = DataCollatorWithFlattening(return_flash_attn_kwargs=flash)
    rows = [np.array(row) for row in best_fit(corpus.lengths.tolist(), bench.size.capacity)]
    bench.notes["fill of the peer's rows"] = fill(corpus.lengths, rows, bench.size.capacity)
    optimizer, learning = make_optimizer(model, bench.stage)

    def do(step: Step) -> None:
        pieces = [slice(*ends) for ends in pairwise(np.cumsum([0, *step.lengths]).tolist())]
        batch = collate([{"input_ids": step.ids[one].tolist(), "labels": step.labels[one].tolist()} for one in pieces])
        batch = {name: one.to(bench.device) if isinstance(one, Tensor) else one for name, one in batch.items()}
        if step.squares is not None:
            batch["pixel_values"] = normalised(step.squares.to(bench.device), checkpoint.pictures).to(bench.dtype)
        torch.autograd.backward(model(**batch, use_cache=False).loss)
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    feed = Feed(_packed_as(corpus, rows), bench.home, checkpoint.pictures, pinned=bench.device.type == "cuda")
    done, seconds = timed(bench, (step for [step] in feed.steps(workers=bench.workers)), do)
    return speed_of(bench, Flops.of(model), done, seconds, sum(len(step.ids) for step in done))


def _packed_as(corpus: Corpus, rows: list[Any]) -> Corpus:
    """The corpus with another packing, a row a step."""
    found = replace(corpus)
    vars(found)["_plan"] = Plan([(np.concatenate(rows), np.cumsum([len(row) for row in rows]))], 1)
    return found


class _Padded(Dataset[dict[str, Any]]):
    """Samples as transformers' Trainer reads them."""

    def __init__(self, corpus: Corpus, store: ImageStore, checkpoint: Checkpoint) -> None:
        self._corpus, self._store, self._pictures = corpus, store, checkpoint.pictures

    def __len__(self) -> int:
        return len(self._corpus.samples)

    def __getitem__(self, number: int) -> dict[str, Any]:
        sample = self._corpus.samples[number]
        ids = torch.from_numpy(sample.ids).long()
        squares = [square(self._store.read(image), self._pictures, image) for image in self._corpus.images[number]]
        return {"ids": ids, "labels": ids.masked_fill(~torch.from_numpy(sample.learned), IGNORED), "squares": squares}


def _padding(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    def collate(samples: list[dict[str, Any]]) -> dict[str, Tensor]:
        pad = nn.utils.rnn.pad_sequence
        ids = pad([sample["ids"] for sample in samples], batch_first=True)
        lengths = torch.tensor([len(sample["ids"]) for sample in samples])
        batch = {
            "input_ids": ids,
            "labels": pad([sample["labels"] for sample in samples], batch_first=True, padding_value=IGNORED),
            "attention_mask": (torch.arange(ids.shape[1])[None] < lengths[:, None]).long(),
        }
        squares = [one for sample in samples for one in sample["squares"]]
        if squares:
            batch["pixel_values"] = normalised(torch.from_numpy(np.stack(squares)), checkpoint.pictures).to(dtype)
        return batch

    return collate


class _Ordered(Trainer):  # type: ignore[misc] # transformers is not followed by the checker
    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


class _Clock(TrainerCallback):  # type: ignore[misc] # transformers is not followed by the checker
    """When steps ended, until the time is up."""

    def __init__(self, bench: Bench, warm: int) -> None:
        self._bench, self._warm = bench, warm
        self.ends: list[float] = []

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        self._bench.wait()
        self.ends.append(time.perf_counter())
        measured = len(self.ends) > self._warm
        control.should_training_stop = measured and self.ends[-1] - self.ends[self._warm - 1] > self._bench.seconds


def measure_trainer(bench: Bench, batch: int, recompute: bool, warm: int = 2) -> Speed:
    """transformers' Trainer, each batch padded to its longest sample."""
    bench.fresh()
    checkpoint = bench.checkpoint()
    corpus = bench.corpus(checkpoint)
    if recompute:
        checkpoint.model.gradient_checkpointing_enable({"use_reentrant": False})
    arguments = TrainingArguments(
        output_dir=str(bench.files / "trainer"),
        per_device_train_batch_size=batch,
        num_train_epochs=1,
        learning_rate=2e-5,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=bench.workers,
        use_cpu=bench.device.type == "cpu",
    )
    clock = _Clock(bench, warm)
    trainer = _Ordered(
        model=checkpoint.model,
        args=arguments,
        train_dataset=_Padded(corpus, ImageStore(bench.home), checkpoint),
        data_collator=_padding(checkpoint, bench.dtype),
        callbacks=[clock],
    )
    trainer.train()
    numbers = [np.arange(step * batch, min((step + 1) * batch, len(corpus.samples))) for step in range(len(clock.ends))]
    computed = sum(len(one) * int(corpus.lengths[one].max()) for one in numbers[warm:])
    seconds = clock.ends[-1] - clock.ends[warm - 1]
    return speed_of(
        bench, Flops.of(checkpoint.model), [corpus.batch([one]) for one in numbers[warm:]], seconds, computed
    )
