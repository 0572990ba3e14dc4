"""CLIP and SigLIP checkpoints in transformers' layout: texts and pictures as vectors of one space.

Only safetensors and the processors' settings are read, nothing is fetched, and no code of a checkpoint is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional

from registry.errors import Refusal
from trainers.features import ReadPicture
from trainers.picture import rgb

TEXTS, PICTURES = 64, 32
"""Texts, and pictures, that go through a model at a time."""
MAX_ASPECT = 8
"""Beyond it a picture's ends are cut off before a processor that keeps only the middle blows it up."""

_BROKEN = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError)
"""What the libraries raise for damaged or foreign files."""


@dataclass(frozen=True)
class DualEncoder:
    """A checkpoint that encodes texts and pictures."""

    model: Any
    tokenizer: Any
    processor: Any
    kind: str
    """``clip`` or ``siglip``."""
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> DualEncoder:
        """Read a checkpoint in 32-bit floats; Refusal for anything that is not a whole CLIP or SigLIP."""
        kind = _kind(folder)
        if not (folder / "tokenizer.json").is_file():  # without it the library makes up a tokenizer without words
            raise Refusal(str(folder), "has no tokenizer.json", "save it with a fast tokenizer (tokenizer.json)")
        local = {"local_files_only": True}
        model_class, processor_class = _classes(kind)
        model, report = _read(
            folder,
            lambda: model_class.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **local
            ),
        )
        absent = sorted(report["missing_keys"])
        if absent:
            what = f"lacks {len(absent)} weights, first {absent[0]}"
            raise Refusal(str(folder), what, "check that the copy is whole")
        model.eval()
        from transformers import AutoTokenizer

        tokenizer = _read(folder, lambda: AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **local))
        processor = _read(folder, lambda: processor_class.from_pretrained(folder, **local))
        return cls(model, tokenizer, processor, kind, folder)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """[texts, width] of length one, each text cut at the model's length."""
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        found: dict[int, Tensor] = {}
        with torch.inference_mode():
            for start in range(0, len(order), TEXTS):
                numbers = order[start : start + TEXTS]
                encoded = self.model.get_text_features(**self._tokens([texts[number] for number in numbers]))
                found |= zip(numbers, functional.normalize(encoded.pooler_output, dim=-1), strict=True)
        return torch.stack([found[number] for number in range(len(texts))]) if texts else torch.empty(0, 0)

    def pictures(self, images: Sequence[str], read: ReadPicture) -> Tensor:
        """[pictures, width] of length one."""
        found = []
        with torch.inference_mode():
            for start in range(0, len(images), PICTURES):
                shown = [self._picture(image, read) for image in images[start : start + PICTURES]]
                # Said, because the processor takes a picture of three rows for one whose channels come first.
                prepared = self.processor(shown, return_tensors="pt", input_data_format="channels_last")
                encoded = self.model.get_image_features(pixel_values=prepared["pixel_values"])
                found.append(functional.normalize(encoded.pooler_output, dim=-1))
        return torch.cat(found) if found else torch.empty(0, 0)

    def _tokens(self, texts: list[str]) -> dict[str, Tensor]:
        """CLIP is padded to the longest text, behind its end; SigLIP has learned to read padding to its full length."""
        limit = int(self.model.config.text_config.max_position_embeddings)
        padding = "longest" if self.kind == "clip" else "max_length"
        encoded = _read(
            self.folder,
            lambda: self.tokenizer(texts, padding=padding, truncation=True, max_length=limit, return_tensors="pt"),
        )
        wanted = ("input_ids", "attention_mask") if self.kind == "clip" else ("input_ids",)
        return {name: encoded[name] for name in wanted}

    def _picture(self, sha256: str, read: ReadPicture) -> Image.Image:
        image = rgb(read(sha256), f"image {sha256[:12]}")
        return middle(image) if getattr(self.processor, "do_center_crop", False) else image


def middle(image: Image.Image) -> Image.Image:
    """The picture without the ends of a very long one, of which a centre crop shows nothing."""
    limit = MAX_ASPECT * min(image.size)
    if max(image.size) <= limit:
        return image
    left, top = (max(0, side - limit) // 2 for side in image.size)
    width, height = (min(side, limit) for side in image.size)
    return image.crop((left, top, left + width, top + height))


def _kind(folder: Path) -> str:
    path = folder / "config.json"
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Refusal(str(path), f"cannot be read ({error})", "give a checkpoint folder") from None
    kind = raw.get("model_type") if isinstance(raw, dict) else None
    if kind not in ("clip", "siglip"):
        what = f"is no CLIP or SigLIP model (model_type {kind!r})"
        raise Refusal(str(path), what, "give a checkpoint of model_type 'clip' or 'siglip'")
    return str(kind)


def _classes(kind: str) -> tuple[Any, Any]:
    """Model and image processor; the processors by their Pillow classes, which need no torchvision."""
    from transformers import CLIPImageProcessorPil, CLIPModel, SiglipImageProcessorPil, SiglipModel

    return (CLIPModel, CLIPImageProcessorPil) if kind == "clip" else (SiglipModel, SiglipImageProcessorPil)


def _read(folder: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except _BROKEN as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Refusal(str(folder), f"cannot be loaded ({reason})", "check that the copy is whole") from None
