"""What the vision tower makes of pictures: each one once while the tower is frozen, however many trials read it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainers.model import Checkpoint, parameters_of
from trainers.picture import PictureSettings, Square, square

OUTPUT_BYTES = 1 << 29
"""Memory that outputs of frozen towers may take; what comes later is computed when needed."""

SQUARE_BYTES = 1 << 28
"""The same for decoded pictures."""

TOWER_BATCH = 64
"""Pictures that go through a frozen tower at a time."""

ReadPicture = Callable[[str], bytes]
"""sha256 -> bytes of the picture file."""


@dataclass
class PictureCache:
    """Decoded pictures and tower outputs of this process, by what they depend on."""

    squares: dict[tuple[str, str], Square] = field(default_factory=dict)
    outputs: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    square_bytes: int = 0
    output_bytes: int = 0

    def square(self, sha256: str, read: ReadPicture, settings: PictureSettings) -> Square:
        """uint8 [size, size, 3] of a picture."""
        key = (sha256, f"{settings.size} {settings.fit} {settings.mean}")
        found = self.squares.get(key)
        if found is None:
            found = square(read(sha256), settings, f"image {sha256[:12]}")
            if self.square_bytes + found.nbytes <= SQUARE_BYTES:
                self.squares[key] = found
                self.square_bytes += found.nbytes
        return found

    def forget(self) -> None:
        """Give all memory back."""
        self.squares.clear()
        self.outputs.clear()
        self.square_bytes = self.output_bytes = 0

    def keep(self, key: tuple[str, str], output: Tensor) -> None:
        """Remember a tower output if there is room."""
        size = output.numel() * output.element_size()
        if self.output_bytes + size <= OUTPUT_BYTES:
            self.outputs[key] = output
            self.output_bytes += size


def tower_digest(checkpoint: Checkpoint) -> str:
    """sha256 of the vision tower's weights and of how pictures are prepared for it."""
    config: Any = checkpoint.model.config
    found = hashlib.sha256(checkpoint.pictures.model_dump_json().encode())
    found.update(f"{config.vision_feature_layer} {config.vision_feature_select_strategy}".encode())
    for name, parameter in parameters_of(checkpoint.model, "vision"):
        found.update(name.encode())
        found.update(parameter.detach().contiguous().numpy().tobytes())
    return found.hexdigest()


class Features:
    """Projected picture features of one model."""

    def __init__(self, checkpoint: Checkpoint, read: ReadPicture, cache: PictureCache) -> None:
        self._checkpoint = checkpoint
        self._read = read
        self._cache = cache
        model: Any = checkpoint.model
        self._model = model.model
        self._frozen = not any(parameter.requires_grad for _, parameter in parameters_of(model, "vision"))
        self._tower = tower_digest(checkpoint) if self._frozen else ""
        self._decoded: Tensor | None = None
        self._places: dict[str, int] = {}
        """Where the pictures asked for lie in those that came decoded."""

    def projected(self, images: Sequence[str], squares: Tensor | None = None, *, alone: bool = False) -> Tensor:
        """[pictures * tokens, width] for the pictures in their order; a picture named twice is computed once.

        Args:
            images: sha256 of each.
            squares: each picture once, decoded, in the order in which ``images`` first names it.
            alone: take nothing from what was computed in other company, whose last bits may differ.
        """
        unique = list(dict.fromkeys(images))
        self._decoded = squares
        self._places = {image: place for place, image in enumerate(unique)}
        remembers = self._frozen and not alone
        outputs = self._frozen_outputs(unique) if remembers else self._tower_outputs(unique)
        projected: Tensor = self._model.multi_modal_projector(outputs)
        if len(unique) != len(images):
            where = {image: number for number, image in enumerate(unique)}
            order = torch.tensor([where[image] for image in images], device=projected.device)
            projected = projected.index_select(0, order)
        return projected.flatten(0, 1)

    def blank(self) -> Tensor:
        """[tokens, width] for a picture of zeros: tower and adapter are gone through, as with any other."""
        size = self._checkpoint.pictures.size
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._frozen):
            output = self._selected(
                torch.zeros(1, 3, size, size, device=next(self._model.vision_tower.parameters()).device)
            )
        projected: Tensor = self._model.multi_modal_projector(output)
        return projected[0]

    def _frozen_outputs(self, images: Sequence[str]) -> Tensor:
        known = self._cache.outputs
        fresh: dict[str, Tensor] = {}
        absent = [image for image in images if (self._tower, image) not in known]
        with torch.no_grad():
            for start in range(0, len(absent), TOWER_BATCH):
                part = absent[start : start + TOWER_BATCH]
                for image, output in zip(part, self._tower_outputs(part).unbind(0), strict=True):
                    fresh[image] = output.clone()
                    self._cache.keep((self._tower, image), fresh[image])
        return torch.stack([fresh[image] if image in fresh else known[self._tower, image] for image in images])

    def _tower_outputs(self, images: Sequence[str]) -> Tensor:
        """[pictures, tokens, tower width]: the layer and the tokens that the model's config selects."""
        return self._selected(normalised(self._squares(images), self._checkpoint.pictures))

    def _selected(self, pixels: Tensor) -> Tensor:
        """What the tower makes of [pictures, 3, size, size]."""
        config: Any = self._checkpoint.model.config
        layer, strategy = config.vision_feature_layer, config.vision_feature_select_strategy
        found = self._model.vision_tower(pixels, output_hidden_states=True, return_dict=True).hidden_states
        chosen = [found[number] for number in ([layer] if isinstance(layer, int) else layer)]
        joined = torch.cat(chosen, dim=-1) if len(chosen) > 1 else chosen[0]
        return joined[:, 1:] if strategy == "default" else joined

    @property
    def _device(self) -> torch.device:
        """Where the tower is."""
        found: torch.device = next(self._model.vision_tower.parameters()).device
        return found

    def _squares(self, images: Sequence[str]) -> Tensor:
        """uint8 [pictures, size, size, 3] on the tower's device: those that came decoded, else the cache's."""
        if self._decoded is None:
            squares = [self._cache.square(image, self._read, self._checkpoint.pictures) for image in images]
            return torch.from_numpy(np.stack(squares)).to(self._device)
        places = [self._places[image] for image in images]
        first, last = places[0], places[-1] + 1
        chosen = self._decoded[first:last] if places == list(range(first, last)) else self._decoded[places]
        return chosen.to(self._device, non_blocking=True)


def normalised(squares: Tensor, settings: PictureSettings) -> Tensor:
    """float32 [pictures, 3, size, size], as the vision tower reads it, made on the squares' device."""
    mean, std = (
        torch.tensor(np.asarray(values, np.float32) * np.float32(255), device=squares.device)
        for values in (settings.mean, settings.std)
    )
    return ((squares.float() - mean) / std).permute(0, 3, 1, 2).contiguous()
