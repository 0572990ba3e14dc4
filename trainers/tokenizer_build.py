r"""The tokenizer of a small base checkpoint: every word of a known world is one token, any other text is bytes.

A byte-level BPE without merges (``ignore_merges``): a piece of text that is in the vocabulary is one token, any other
piece falls into its bytes, so nothing is unknown. Words come with their leading blank (" red"), capitalised ones also
at the beginning of a line and of a text. Option marks ("\nA.") and LLaVA's instruction sentences are one token each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

from registry.store import dump_json
from trainers.tokens import END_TOKEN, IMAGE_TOKEN, PAD_TOKEN

INSTRUCTIONS = (
    "Answer with the option's letter from the given choices directly.",
    "Answer the question using a single word or phrase.",
    "Please answer yes or no.",
)
"""LLaVA-1.5's three instruction sentences: one token each, so that a small model need not spell them."""

OPTION_LETTERS = "ABCDEFGH"
ROLE_MARKS = ("USER:", " ASSISTANT:")

_GENERIC = r"[ \n]?\p{L}+|[ \n]?\p{N}+|[ \n]?[^\s\p{L}\p{N}]|\s+"
_ORDINARY = re.compile(r"[^\W\d_]+|[0-9]+")


def build_tokenizer(words: Iterable[str]) -> Tokenizer:
    """A tokenizer that depends on the set of ``words`` alone."""
    known = sorted({word.strip() for word in words} - {""})
    pieces = [*_pieces(known)]
    alphabet = sorted(ByteLevel.alphabet())
    vocabulary = {symbol: number for number, symbol in enumerate([PAD_TOKEN, END_TOKEN, IMAGE_TOKEN, *alphabet])}
    for piece in pieces:
        vocabulary.setdefault(_as_bytes(piece), len(vocabulary))
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[], ignore_merges=True, fuse_unk=False))
    pattern = _pattern([piece for piece in pieces if not _ORDINARY.fullmatch(piece.strip())])
    tokenizer.pre_tokenizer = Sequence(
        [Split(Regex(pattern), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens([PAD_TOKEN, END_TOKEN, AddedToken(IMAGE_TOKEN, lstrip=True, special=True)])
    tokenizer.add_tokens([AddedToken(text, lstrip=True, normalized=False) for text in INSTRUCTIONS])
    return tokenizer


def tokenizer_files(tokenizer: Tokenizer) -> dict[str, bytes]:
    """``{file name: bytes}`` that transformers reads as a fast tokenizer and LLaVA processor."""
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD_TOKEN,
        "eos_token": END_TOKEN,
        "extra_special_tokens": {"image_token": IMAGE_TOKEN},
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 1_000_000,
    }
    return {
        "tokenizer.json": (tokenizer.to_str(pretty=True) + "\n").encode(),
        "tokenizer_config.json": dump_json(settings),
    }


def _pieces(words: Iterable[str]) -> Iterator[str]:
    """Every text that shall be one token."""
    yield from ROLE_MARKS
    for letter in OPTION_LETTERS:
        yield f"\n{letter}."
        yield f" {letter}"
    for word in words:
        yield f" {word}"
        if word[0].isupper():
            yield f"\n{word}"
            yield word


def _pattern(special: list[str]) -> str:
    """What is cut out as one piece: marks and unusual words first (longest first), then words, numbers, the rest."""
    marks = sorted(set(special), key=lambda piece: (-len(piece), piece))
    written = "|".join(_escaped(piece) for piece in marks)
    return f"{written}|{_GENERIC}"


def _escaped(piece: str) -> str:
    """The piece as a pattern. One that ends in a letter or digit must not be the beginning of a longer word."""
    text = re.escape(piece).replace("\\\n", "\\n")
    return text + r"(?![\p{L}\p{N}])" if piece[-1].isalnum() else text


def _as_bytes(piece: str) -> str:
    """The piece in the byte-level alphabet (a blank is ``Ġ``)."""
    cut = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(piece)
    return "".join(text for text, _ in cut)
