"""From a free-text reply to an option letter or to yes / no: the published rules, quirks included.

The rules are those of open-compass/VLMEvalKit, the scorer behind most published figures, rewritten and named by the
month from which they were valid: a score is only comparable with another one of the same profile.

========== =============================== ==========================================================
profile    valid in VLMEvalKit             what is different
========== =============================== ==========================================================
2024-05    2024-02-04 .. 2025-08-03        a lone letter anywhere counts
2025-08    2025-08-04 .. 2026-06-16        only among the last four tokens; no option text in long replies
2026-06    since 2026-06-17                as before, and "answer is X" anywhere
========== =============================== ==========================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from registry.errors import Refusal, did_you_mean

RULES = ("2024-05", "2025-08", "2026-06")
DEFAULT_RULES = "2024-05"
"""The profile of the paper's figures."""

REFUSED = "Z"
"""What a reply that declines to answer is taken for."""

_API_FAILED = "Failed to obtain answer via API"
_DECLINES = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_LETTER_SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_LAST_TOKENS = 4
# No word boundary after the letter, so "The answer is a bicycle" gives A. That is what the published rule does.
_ANSWER_IS = re.compile(r"answer\s+is\s+\**([abcd])", re.IGNORECASE)

_YES_NO_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
# The published pattern means to ask for no digit before it either, and does not: "3." is "3".
_FULL_STOP = re.compile(r"\.(?!\d)")
# The published code passes a flags constant (re.UNICODE = 32) where the number of replacements belongs.
_FULL_STOPS_REMOVED = 32


def check_rules(rules: str) -> str:
    """``rules`` if it names a profile; Refusal otherwise."""
    if rules not in RULES:
        hint = did_you_mean(rules, RULES)
        raise Refusal(f"rules '{rules}'", f"there is no such profile{hint}", f"choose one of: {', '.join(RULES)}")
    return rules


def option_letter(reply: str, options: Mapping[str, str], rules: str = DEFAULT_RULES) -> str | None:
    """The letter of ``options`` (letter -> text) that ``reply`` chooses, ``"Z"`` if it declines, None if unclear.

    First a letter that stands alone, then an option text that occurs in the reply and is the only one to do so.
    """
    check_rules(rules)
    return _by_letter(reply, options, rules) or _by_text(reply, options, rules)


def yes_no(reply: str) -> str:
    """``"Yes"``, ``"No"`` or ``"Unknown"``: the one of the two words that is a token of the reply."""
    words = without_punctuation(reply.lower()).split()
    if "yes" in words and "no" not in words:
        return "Yes"
    if "no" in words and "yes" not in words:
        return "No"
    return "Unknown"


def without_punctuation(text: str) -> str:
    """Delete or blank each mark, as published. Whether a mark is deleted is decided on ``text`` as it came in."""
    comma_in_number = _COMMA_IN_NUMBER.search(text) is not None
    out = text
    for mark in _YES_NO_PUNCTUATION:
        if mark in out:
            deleted = comma_in_number or f"{mark} " in text or f" {mark}" in text
            out = out.replace(mark, "" if deleted else " ")
    return _FULL_STOP.sub("", out, count=_FULL_STOPS_REMOVED)


def _by_letter(reply: str, options: Mapping[str, str], rules: str) -> str | None:
    if _API_FAILED in reply:
        return None
    if any(constant in reply for constant in _DECLINES):
        return REFUSED
    tokens = reply.translate(_LETTER_SEPARATORS).split()
    letters = [letter for letter in options if letter in tokens]
    if len(letters) == 1 and _counts_here(tokens, letters[0], rules):
        return letters[0]
    if not letters and REFUSED in tokens:
        return REFUSED
    return _by_phrase(reply, options) if rules == "2026-06" else None


def _counts_here(tokens: list[str], letter: str, rules: str) -> bool:
    """Whether the first occurrence of a lone letter stands where the profile accepts it."""
    return rules == "2024-05" or tokens.index(letter) > len(tokens) - 1 - _LAST_TOKENS


def _by_phrase(reply: str, options: Mapping[str, str]) -> str | None:
    match = _ANSWER_IS.search(reply)
    letter = match.group(1).upper() if match else ""
    return letter if letter in options else None


def _by_text(reply: str, options: Mapping[str, str], rules: str) -> str | None:
    lowered = reply.lower()
    if rules != "2024-05" and len(lowered) > 2 * sum(map(len, options.values())):
        return None
    found = [letter for letter, text in options.items() if text.lower() in lowered]
    return found[0] if len(found) == 1 else None
