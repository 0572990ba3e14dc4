"""A language model's tokenizer with a place for pictures: ``<image>`` is added, and two things may change.

On the mark for the beginning ``tokenizer_config.json`` wins over ``tokenizer.json``, as it does in transformers. And a
Llama tokenizer that writes the blank before a text only at its very beginning does so after every special token here:
LLaVA encodes the text after a picture as a text of its own, and Llama's first tokenizer did it everywhere. The written
folder says all this in ``tokenizer.json`` alone, so that every reader sees the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, processors

from registry.errors import Refusal
from registry.store import dump_json
from trainers.tokens import IMAGE_TOKEN

LLAMA_CLASSES = ("LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer", "CodeLlamaTokenizerFast")
"""Classes of transformers that write a mark for the beginning unless they are told not to."""
_KEPT = ("model_max_length", "padding_side", "clean_up_tokenization_spaces", "chat_template")
_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")
_UNBOUNDED = 1_000_000


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer that knows ``<image>``, and the settings that are written beside it."""

    tokenizer: Tokenizer
    settings: dict[str, Any]
    image_id: int
    template: str | None
    stops: tuple[int, ...]
    """Ids at which the language model's publisher ends a reply."""
    image_token: str = IMAGE_TOKEN

    @property
    def pad_id(self) -> int | None:
        """Id of the token that fills rows."""
        return self.id_of("pad_token")

    def id_of(self, name: str) -> int | None:
        """Id of one of the named special tokens."""
        text = self.settings.get(name)
        found = self.tokenizer.token_to_id(text) if text else None
        return None if found is None else int(found)

    def rows(self, had: int, multiple: int) -> int:
        """Rows that the embedding needs: as many as it had, or more, a multiple of ``multiple``."""
        needed = max(int(self.tokenizer.get_vocab_size(with_added_tokens=True)), self.image_id + 1)
        return had if needed <= had else -(-needed // multiple) * multiple

    def files(self) -> dict[str, bytes]:
        """Name -> bytes of the tokenizer's files."""
        found = {
            "tokenizer.json": self.tokenizer.to_str().encode(),
            "tokenizer_config.json": dump_json(self.settings),
        }
        return found | ({"chat_template.jinja": self.template.encode()} if self.template else {})

    def generation(self) -> dict[str, Any]:
        """``generation_config.json``: where a reply begins, ends and is filled up."""
        end = self.id_of("eos_token")
        stops = list(dict.fromkeys([*([] if end is None else [end]), *self.stops]))
        found = {"bos_token_id": self.id_of("bos_token"), "pad_token_id": self.pad_id}
        return {**found, "eos_token_id": stops[0] if len(stops) == 1 else stops or None}


def read_vocabulary(folder: Path, rows: int) -> Vocabulary:
    """The tokenizer of the language model in ``folder``, whose embedding has ``rows``."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        way = "write one with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...), once"
        raise Refusal(str(folder), "has no tokenizer.json", way)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - the Rust library raises bare Exception
        raise Refusal(str(path), f"cannot be read ({str(error).splitlines()[0]})", "copy it again") from None
    raw = _settings(folder)
    if int(tokenizer.get_vocab_size()) > rows:
        what = f"knows {tokenizer.get_vocab_size()} tokens, the model's embedding has {rows} rows"
        raise Refusal(str(path), what, "give a checkpoint whose files belong together")
    names = {name: _text(raw.get(name)) for name in _NAMES}
    names["pad_token"] = names["pad_token"] or names["unk_token"] or names["eos_token"]
    begins = _set_beginning(tokenizer, raw, names["bos_token"], path)
    _set_blank(tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.add_special_tokens([AddedToken(IMAGE_TOKEN, special=True, normalized=False)])
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "extra_special_tokens": {"image_token": IMAGE_TOKEN},
        "add_bos_token": begins,
        **{name: text for name, text in names.items() if text is not None},
        **{name: raw[name] for name in _KEPT if name in raw and name != "chat_template"},
    }
    settings["model_max_length"] = min(int(settings.get("model_max_length", _UNBOUNDED)), _UNBOUNDED)
    image = tokenizer.token_to_id(IMAGE_TOKEN)
    assert image is not None, "a token that was added is there"
    return Vocabulary(tokenizer, settings, int(image), _template(folder, raw), _stops(folder))


def _set_beginning(tokenizer: Tokenizer, raw: dict[str, Any], mark: str | None, path: Path) -> bool:
    """Make the tokenizer write the mark for the beginning once, or never, as its settings say; whether it does."""
    now = tokenizer.encode("x")
    first = int(bool(now.offsets) and now.offsets[0][0] == now.offsets[0][1])
    asked = raw.get("add_bos_token")
    if asked is None:
        asked = raw.get("tokenizer_class") in LLAMA_CLASSES or bool(first)
    if bool(asked) != bool(first):
        none = processors.ByteLevel(trim_offsets=False)
        tokenizer.post_processor = _beginning(tokenizer, mark, path) if asked else none
    return bool(asked)


def _beginning(tokenizer: Tokenizer, mark: str | None, path: Path) -> Any:
    number = tokenizer.token_to_id(mark) if mark else None
    if number is None:
        what = f"asks for a mark at the beginning (add_bos_token) but its bos_token is {mark!r}"
        way = "correct bos_token, or set add_bos_token: false"
        raise Refusal(str(path.with_name("tokenizer_config.json")), what, way)
    return processors.TemplateProcessing(
        single=f"{mark} $A", pair=f"{mark} $A {mark} $B:1", special_tokens=[(mark, int(number))]
    )


def _set_blank(tokenizer: Tokenizer) -> None:
    """Write the blank before a text after every special token too, where it is written at the beginning."""
    state = json.loads(tokenizer.to_str())["pre_tokenizer"]
    if state and state["type"] == "Metaspace" and state.get("prepend_scheme") == "first":
        tokenizer.pre_tokenizer.prepend_scheme = "always"


def _settings(folder: Path) -> dict[str, Any]:
    """``tokenizer_config.json``, with what an older checkpoint says in ``special_tokens_map.json``."""
    found: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        found |= {key: value for key, value in _object(folder / name).items() if value is not None}
    return found


def _object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Refusal(str(path), f"cannot be read ({str(error).splitlines()[0]})", "copy it again") from None
    if not isinstance(raw, dict):
        raise Refusal(str(path), "is no JSON object", "copy it again")
    return raw


def _text(token: Any) -> str | None:
    """A special token, written as text or as an object."""
    return token if isinstance(token, str) else token.get("content") if isinstance(token, dict) else None


def _template(folder: Path, raw: dict[str, Any]) -> str | None:
    """The chat template that the publisher ships."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text()
    found = raw.get("chat_template")
    return found if isinstance(found, str) else None


def _stops(folder: Path) -> tuple[int, ...]:
    found = _object(folder / "generation_config.json").get("eos_token_id")
    numbers = found if isinstance(found, list) else [found]
    return tuple(number for number in numbers if isinstance(number, int))
