"""What a trainer process keeps between requests: models, tokenised samples, pictures. Only speed depends on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from registry.checkpoint import base_digest
from registry.errors import Refusal
from registry.identity import file_digest
from registry.images import ImageStore
from registry.store import Home
from trainers.features import PictureCache
from trainers.model import Checkpoint, load_checkpoint
from trainers.token_cache import TokenCache

Thing = TypeVar("Thing")

LOADED = 4
"""Checkpoints kept in memory; the one unused for longest goes first."""

SMALL_BYTES = 1 << 28
"""Checkpoints larger than this are read again each time: a second copy of their weights is not worth its memory."""


@dataclass
class Workshop:
    """The memory of one process."""

    pictures: PictureCache = field(default_factory=PictureCache)
    _loaded: dict[Path, tuple[str, Checkpoint, dict[str, Tensor]]] = field(default_factory=dict)
    _tokens: dict[str, TokenCache] = field(default_factory=dict)
    _stores: dict[Path, ImageStore] = field(default_factory=dict)
    _things: dict[str, Any] = field(default_factory=dict)

    def checkpoint(self, folder: Path, own: bool = False) -> Checkpoint:
        """A checkpoint with its stored weights, whatever an earlier request did to the model in memory.

        ``own`` gives a model that nobody else will see, for who changes more of it than its weights.
        """
        if own:
            return load_checkpoint(folder)
        key = folder.resolve()
        stamp = _stamp(key)
        found = self._loaded.pop(key, None)
        if found is None or found[0] != stamp:
            checkpoint = load_checkpoint(folder)
            state = checkpoint.model.state_dict()
            if sum(value.nbytes for value in state.values()) > SMALL_BYTES:
                return checkpoint
            found = (stamp, checkpoint, {name: value.clone() for name, value in state.items()})
        self._loaded[key] = found
        while len(self._loaded) > LOADED:
            self._loaded.pop(next(iter(self._loaded)))
        _, checkpoint, weights = found
        checkpoint.model.load_state_dict(weights)
        checkpoint.model.zero_grad(set_to_none=True)
        return checkpoint

    def tokens(self, checkpoint: Checkpoint) -> TokenCache:
        """The tokenised samples that fit this checkpoint's tokenizer and pictures."""
        key = self.tokens_key(checkpoint)
        if key not in self._tokens:
            self._tokens[key] = TokenCache(checkpoint.tokens, checkpoint.image_tokens)
        return self._tokens[key]

    @staticmethod
    def tokens_key(checkpoint: Checkpoint) -> str:
        """Equal for checkpoints that turn text and pictures into the same tokens."""
        return f"{file_digest(checkpoint.files / 'tokenizer.json')} {checkpoint.image_tokens}"

    def remember(self, key: str, make: Callable[[], Thing]) -> Thing:
        """What ``make`` gives, made once for each key."""
        if key not in self._things:
            self._things[key] = make()
        found: Thing = self._things[key]
        return found

    def store(self, home: Home) -> ImageStore:
        """The image store of a home, with shards that were added since."""
        if home.path not in self._stores:
            self._stores[home.path] = ImageStore(home)
        self._stores[home.path].refresh()
        return self._stores[home.path]


def check_base(folder: Path, wanted: str) -> None:
    """Refuse a base whose files are not those the settings name."""
    found = base_digest(folder)
    if found != wanted:
        what = f"its files have digest {found[:12]}, the settings ask for {wanted[:12]}"
        raise Refusal(f"base checkpoint {folder}", what, "give the planned checkpoint, or plan again")


def _stamp(folder: Path) -> str:
    """Changes when a file of the folder is replaced."""
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return " ".join(f"{path.name}:{path.stat().st_mtime_ns}:{path.stat().st_size}" for path in files)
