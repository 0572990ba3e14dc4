"""Answers that refuse or speak as a language model, and pieces of templates that were left in the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch, Column, Texts

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 2
NEEDS_PICTURES = False
COLUMNS = {
    "refusals": Column("answers", "answers that refuse, or speak as a language model"),
    "leftovers": Column("messages", "messages with pieces of a chat or prompt template"),
}

_CANNOT = (
    r"\bi('m| am)? ?(can ?not|can'?t|unable to|not able to|do not have the ability to|(won'?t|will not) be able to)"
)
_PICTURE = (
    r"((the|this|that|your|any|an?) )?((actual|attached|provided|uploaded) )?(image|picture|photo|attachment|file|link)"
)
_TASKS = "assist|comply|fulfil|provide|process|analy[sz]e|answer|help( you| with| in|[.,!]|$)"
_PEOPLE = "(the |this |that |these |those |any |real )*(people|persons?|individuals?|who|him|her|them|anyone|faces?)"
REFUSALS = (
    r"\bas an? (ai|artificial intelligence|(large )?language model|text[- ]based)\b",
    r"\bi('m| am) (just |only )?(an? )?(ai|(large )?language model|text[- ]based)\b",
    r"\b(i'?m |i am )?(really |very |so )?sorry,? (but )?i (can ?no|can'?|am no|do no|don'?|am una|'m una)",
    rf"{_CANNOT} ({_TASKS}|(see|view|open|access|display|look at) {_PICTURE}|identify(ing)? {_PEOPLE})\b",
    r"\bi must (respectfully |politely )?(decline|refrain)\b",
    r"\bi (don'?t|do not) have (access to|the ability to|personal|any (image|information))",
    r"\bmy (training data|knowledge cut ?-?off)\b",
    r"\bno (image|picture|photo)s? (was|were|is|are|(has|have) been) (provided|attached|shared|uploaded|included)",
    r"\b(image|picture|photo) (did not|didn'?t|does not|doesn'?t|failed to) (seem to )?(have )?load",
    r"\b(against|violates?) (my|our|the) ((content|usage|safety) )?(guidelines|polic(y|ies)|programming)\b",
    r"\b(please|could you) (provide|upload|attach|share) (me )?(with )?(the|an|your) (image|picture|photo)",
)
"""What a refusal says, in English; case does not matter."""

LEFTOVERS = (
    r"<\|?/?(im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id)\|?>",
    r"<(start|end)_of_turn>",
    r"<(image|img|unk|pad|bos|eos|s)>|</s>",
    r"\[/?inst\]|<</?sys>>",
    r"###\s*(human|assistant|instruction|response|input)\b",
    r"(?m:^(user|assistant|human|gpt|system)\s*:\s)",
    r"\{\{.{0,40}\}\}|\{(question|answer|caption|context|instruction|input|image|text|name)\}",
    r"\[(insert|your|name of|image of)\b[^\]]{0,40}\]|lorem ipsum",
)


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample, never null."""
    n = len(batch)
    return {
        "refusals": _holding(batch.texts.answers, REFUSALS, n),
        "leftovers": _holding(batch.texts, LEFTOVERS, n),
    }


def _holding(texts: Texts, patterns: tuple[str, ...], n_samples: int) -> pa.Array:
    """Texts of each sample that hold one of the patterns (RE2: linear in the text)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = np.asarray(pc.match_substring_regex(texts.texts, "|".join(patterns), ignore_case=True))
    return pa.array(np.bincount(texts.sample[found], minlength=n_samples).astype(np.int32))
