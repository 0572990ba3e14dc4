"""The request texts of LLaVA-1.5, which the formats append to bare questions, and the one way options are written."""

from __future__ import annotations

import string
from collections.abc import Sequence

from curator.raw_sample import Unusable
from registry.identity import order_key

SHORT_ANSWER = "Answer the question using a single word or phrase."
CHOICE = "Answer with the option's letter from the given choices directly."
YES_NO = "Please answer yes or no."
BRIEF_CAPTION = "Provide a brief description of the given image."
"""One of LLaVA's requests for a short caption; used where a card gives none."""

LETTERS = string.ascii_uppercase


def with_request(question: str, request: str) -> str:
    """``question`` and a line with ``request``, unless the question already says how to answer."""
    known = (SHORT_ANSWER, CHOICE, YES_NO)
    return question if question.rstrip().endswith(known) else f"{question}\n{request}"


def drawn(prompts: Sequence[str], purpose: str, source_id: str) -> str:
    """One of a card's requests, drawn by the row's id; ``purpose`` keeps the draws of two formats apart."""
    return prompts[order_key(purpose, source_id) % len(prompts)]


def choice_question(question: str, options: Sequence[str], hint: str = "") -> str:
    """LLaVA's multiple-choice prompt: hint, question, one ``A. text`` line an option, and the request."""
    lines = [hint] if hint else []
    lines += [question, *(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False)), CHOICE]
    return "\n".join(lines)


def option_index(answer: object, options: Sequence[str]) -> int:
    """Which option an answer column means: an index from 0, a letter, or the text of exactly one option."""
    if isinstance(answer, str):
        texts = [i for i, option in enumerate(options) if option.strip() == answer.strip()]
        if len(texts) == 1:
            return texts[0]
        letter = LETTERS.find(answer.strip().upper()) if len(answer.strip()) == 1 else -1
        index = int(answer) if answer.strip().isdecimal() and not texts else letter
    elif isinstance(answer, int) and not isinstance(answer, bool):
        index = answer
    else:
        raise Unusable("no answer" if answer is None else "answer is no option", answer)
    if not 0 <= index < len(options):
        raise Unusable("answer is no option", answer)
    return index
