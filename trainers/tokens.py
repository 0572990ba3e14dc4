"""Text <-> token ids, through the ``tokenizers`` library, with pictures expanded and answers marked.

The learned characters of a conversation become learned tokens by the tokenizer's own offsets: a token is learned when
all its characters lie in one learned span.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from registry.errors import Refusal
from registry.sample import IMAGE_MARKER
from trainers.chat import Rendered

IMAGE_TOKEN = IMAGE_MARKER
END_TOKEN = "</s>"  # noqa: S105 - a mark in a text, no secret
PAD_TOKEN = "<pad>"  # noqa: S105 - a mark in a text, no secret

Ids = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Encoded:
    """A sample in tokens: ids with each picture expanded, and which of them are learned."""

    ids: Ids
    learned: Flags
    pictures: int
    """Picture places found in the text."""

    def __len__(self) -> int:
        return len(self.ids)


class Tokens:
    """A checkpoint's tokenizer."""

    def __init__(self, tokenizer: Tokenizer, image_id: int, where: str, begins: bool | None = None) -> None:
        self._tokenizer = tokenizer
        self.where = where
        self.image_id = image_id
        self.begins = begins
        """Whether texts are said to begin with a mark of their own (Llama's ``<s>``); None where nothing is said."""
        tokenizer.no_padding()
        tokenizer.no_truncation()

    @classmethod
    def read(cls, folder: Path, image_id: int) -> Tokens:
        """From ``tokenizer.json``; Refusal when it is damaged or does not know the picture's place-holder."""
        path = folder / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001 - the Rust library raises bare Exception
            reason = str(error).splitlines()[0]
            raise Refusal(str(path), f"cannot be read ({reason})", "copy the checkpoint again") from None
        if tokenizer.token_to_id(IMAGE_TOKEN) != image_id:
            found = tokenizer.token_to_id(IMAGE_TOKEN)
            what = f"{IMAGE_TOKEN} is token {found}, but config.json says {image_id}"
            raise Refusal(str(path), what, "add the token to the tokenizer, or correct image_token_index")
        return cls(tokenizer, image_id, str(path), _begins(folder))

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def fingerprint(self) -> str:
        """sha256 of all that decides what a text becomes."""
        return hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()

    def single(self, text: str) -> int:
        """The id of a text that must be one token, such as the mark that ends an answer."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        if len(ids) != 1:
            way = "choose a template that fits this model"
            raise Refusal(self.where, f"{text!r} is {len(ids)} tokens, the template needs one", way)
        return int(ids[0])

    def count(self, text: str) -> int:
        """How many tokens a text is."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode(self, conversations: Sequence[Rendered], image_tokens: int) -> list[Encoded]:
        """Tokens of many conversations at once; every picture place becomes ``image_tokens`` tokens."""
        texts = [rendered.text for rendered in conversations]
        found = self._tokenizer.encode_batch(texts)
        return [
            self._expand(encoding, rendered.spans, image_tokens)
            for encoding, rendered in zip(found, conversations, strict=True)
        ]

    def encode_prompts(self, texts: Sequence[str], image_tokens: int) -> list[Encoded]:
        """Tokens of texts that are answered, not learned."""
        return self.encode([Rendered(text, ()) for text in texts], image_tokens)

    def _expand(self, encoding: Any, spans: Sequence[tuple[int, int]], image_tokens: int) -> Encoded:
        ids = np.array(encoding.ids, dtype=np.int32)
        learned = _learned(encoding.offsets, spans)
        places = ids == self.image_id
        pictures = int(places.sum())
        if pictures:
            repeats = np.where(places, image_tokens, 1)
            ids, learned = np.repeat(ids, repeats), np.repeat(learned, repeats)
        learned[:1] = False  # nothing comes before it that could predict it
        return Encoded(ids, learned, pictures)

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """Text of generated tokens; special ones are left out unless ``special`` asks for them."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=not special))

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """The characters ``[start, end)`` of every token of a text, as the tokenizer states them."""
        return [(int(start), int(end)) for start, end in self._tokenizer.encode(text).offsets]


def _begins(folder: Path) -> bool | None:
    """What ``tokenizer_config.json`` says about a mark for the beginning."""
    try:
        said = json.loads((folder / "tokenizer_config.json").read_bytes()).get("add_bos_token")
    except (OSError, ValueError, AttributeError):
        return None
    return said if isinstance(said, bool) else None


def _learned(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> Flags:
    """Which tokens lie within a span. Tokens without characters (such as a mark for the beginning) never do."""
    flags = np.zeros(len(offsets), dtype=np.bool_)
    if not spans:
        return flags
    starts = [start for start, _ in offsets]
    for first, last in spans:
        # Offsets grow with the tokens, so a span is a run of them; only its ends need a look.
        for index in range(bisect_right(starts, first - 1), bisect_right(starts, last - 1)):
            start, end = offsets[index]
            flags[index] = start < end <= last
    return flags
