"""Any image-text-to-text checkpoint of transformers, asked through its own processor and chat template.

Several questions at a time, padded on the left, greedily. Where two tokens are so close that the padding could decide
between them, the question is asked again alone: replies are those of one question at a time. Never runs code of the
checkpoint, reads safetensors only, and does without torchvision: of a processor that also reads videos only the
picture's part is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from PIL.Image import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, GenerationConfig, LogitsProcessor
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from registry.errors import Refusal
from registry.sheet import Batches, Sheet
from trainers.generate import CLOSE
from trainers.picture import rgb
from trainers.requests import Asked

BATCH = 8
"""Questions at a time: what pictures take is known to the checkpoint's processor alone."""

_TROUBLE = (
    OSError,
    ValueError,
    RuntimeError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ImportError,
    SafetensorError,
    TemplateError,
)
"""What transformers raises for a checkpoint that is damaged, or that it cannot use."""

Choices = dict[int, str]
"""Token -> the letter that begins with it."""


class AnyModel:
    """A checkpoint folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self._processor = self._attempt("its processor cannot be loaded", self._load_processor)
        self._tokenizer: Any = self._processor.tokenizer
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._letters: dict[str, int] = {}

    def prompt(self, text: str, pictures: int) -> str:
        """What the model reads: pictures first, then the text, up to where the answer begins."""
        return self._rendered(text, pictures)

    def ask(self, sheet: Sheet, texts: Sequence[str], numbers: list[int], request: Asked) -> Batches:
        """Replies to the questions of these numbers."""
        model: Any = self._attempt("cannot be loaded", self._load_model)
        for part in _parts(sheet, texts, numbers):
            choices = [self._choices(sheet, texts, n) if request.answer_by == "likelihood" else {} for n in part]
            prompts = [(texts[number], self._pictures(sheet, number)) for number in part]
            replies, doubtful = self._generate(model, prompts, choices, request.max_new_tokens)
            for place in doubtful if len(part) > 1 else ():
                alone, _ = self._generate(model, [prompts[place]], [choices[place]], request.max_new_tokens)
                replies[place] = alone[0]
            yield dict(zip(part, replies, strict=True))

    def _generate(
        self, model: Any, prompts: Sequence[tuple[str, list[Image]]], choices: Sequence[Choices], most: int
    ) -> tuple[list[str], list[int]]:
        """Replies, and the places of those that the company may have decided."""
        texts = [text for text, _ in prompts]
        pictures = [images for _, images in prompts] if prompts[0][1] else None
        with torch.inference_mode():
            given = self._attempt(
                "its processor cannot read a question",
                lambda: self._processor(text=texts, images=pictures, padding=True, return_tensors="pt"),
            )
            watch = _Watch(given["input_ids"].shape[1], model.generation_config.eos_token_id, choices)
            out: Tensor = self._attempt(
                "cannot answer",
                lambda: model.generate(**given, max_new_tokens=most, do_sample=False, logits_processor=[watch]),
            )
        said = []
        for row, allowed in zip(out[:, given["input_ids"].shape[1] :].tolist(), choices, strict=True):
            said.append(allowed[row[0]] if allowed else self._tokenizer.decode(row, skip_special_tokens=True).strip())
        return said, watch.doubtful()

    def _pictures(self, sheet: Sheet, number: int) -> list[Image]:
        return [rgb(sheet.read(image), f"image {image[:12]}") for image in sheet.images[number]]

    def _rendered(self, text: str, pictures: int, reply: str | None = None) -> str:
        parts = [{"type": "image"}] * pictures + [{"type": "text", "text": text}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": parts}]
        if reply is not None:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": reply}]})
        written: str = self._attempt(
            "its chat template cannot write a question",
            lambda: self._processor.apply_chat_template(messages, add_generation_prompt=reply is None, tokenize=False),
        )
        return written

    def _choices(self, sheet: Sheet, texts: Sequence[str], number: int) -> Choices:
        """What each option's letter begins with; empty for a question without options."""
        options = sheet.questions[number].options
        if len(options) < 2:
            return {}
        for letter in options:
            if letter not in self._letters:
                whole = self._rendered(sheet.asked[number], len(sheet.images[number]), letter)
                self._letters[letter] = self._first_token(texts[number], whole)
        found = {self._letters[letter]: letter for letter in options}
        if len(found) < len(options):
            self._refuse_likelihood("begins the letters of two options with the same token")
        return found

    def _first_token(self, prompt: str, whole: str) -> int:
        asked, replied = (self._tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, whole))
        if len(replied) <= len(asked) or replied[: len(asked)] != asked:
            self._refuse_likelihood("does not write the option's letter right after the question")
        return int(replied[len(asked)])

    def _refuse_likelihood(self, what: str) -> None:
        raise Refusal(str(self._folder), what, "score it without --answer-by likelihood")

    def _load_processor(self) -> Any:
        config = AutoConfig.from_pretrained(self._folder, **self._options)
        kind: Any = PROCESSOR_MAPPING.get(type(config), None)
        reads = kind.get_attributes() if kind is not None else []
        if "video_processor" not in reads:
            return AutoProcessor.from_pretrained(self._folder, **self._options)
        pictures = [name for name in reads if name != "video_processor"]
        body = {
            "get_attributes": classmethod(lambda _: pictures),
            "video_processor": None,
            "__module__": kind.__module__,
        }
        part: Any = type(kind.__name__, (kind,), body)
        return part.from_pretrained(self._folder, **self._options)

    def _load_model(self) -> Any:
        model, report = AutoModelForImageTextToText.from_pretrained(
            self._folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **self._options
        )
        absent = sorted(report["missing_keys"])
        if absent:
            what = f"lacks {len(absent)} weights, first {absent[0]}"
            raise Refusal(str(self._folder), what, "check that the copy is whole")
        model.eval()
        own = model.generation_config
        # Greedy and nothing else: a checkpoint's own settings may sample, or punish repetitions.
        pad = own.pad_token_id if own.pad_token_id is not None else self._tokenizer.pad_token_id
        end = own.eos_token_id if own.eos_token_id is not None else self._tokenizer.eos_token_id
        model.generation_config = GenerationConfig(bos_token_id=own.bos_token_id, eos_token_id=end, pad_token_id=pad)
        return model

    def _attempt(self, what: str, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except _TROUBLE as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            way = "give a whole checkpoint of an image-text-to-text model, or name a template of ours: CHECKPOINT#NAME"
            raise Refusal(str(self._folder), f"{what} ({reason})", way) from None


class _Watch(LogitsProcessor):  # type: ignore[misc]  # untyped base
    """Sees the predictions of each step: holds rows to their choices, and notes which two tokens came close in."""

    def __init__(self, start: int, ends: int | list[int] | None, choices: Sequence[Choices]) -> None:
        self._start = start
        self._ends = torch.tensor([] if ends is None else ends).flatten()
        self._choices = choices
        self._close = torch.zeros(len(choices), dtype=torch.bool)

    def doubtful(self) -> list[int]:
        """The rows of these numbers could differ in other company."""
        found: list[int] = self._close.nonzero().flatten().tolist()
        return found

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Called by transformers with the tokens so far and the predictions of the next."""
        said = input_ids[:, self._start :]
        if not said.shape[1] and any(self._choices):
            scores = self._held(scores)
        first, second = scores.topk(2).values.unbind(-1)
        close = first - second <= CLOSE * torch.maximum(first.abs(), second.abs())
        self._close |= close & ~torch.isin(said, self._ends).any(-1)
        return scores

    def _held(self, scores: Tensor) -> Tensor:
        held = scores.clone()
        for row, allowed in enumerate(self._choices):
            if allowed:
                held[row] = float("-inf")
                tokens = list(allowed)
                held[row, tokens] = scores[row, tokens]
        return held


def _parts(sheet: Sheet, texts: Sequence[str], numbers: Sequence[int]) -> Iterator[list[int]]:
    """Questions that go through the model together: equally many pictures, and texts of about the same length."""
    for pictures in sorted({len(sheet.images[number]) for number in numbers}):
        equal = [number for number in numbers if len(sheet.images[number]) == pictures]
        equal.sort(key=lambda number: (len(texts[number]), number))
        for start in range(0, len(equal), BATCH):
            yield equal[start : start + BATCH]
