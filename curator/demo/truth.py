"""What was planted: every candidate of the demo, and whether it is good, neutral or bad for the model.

Good ones teach a skill that the benchmarks ask for and the baseline lacks. Neutral ones repeat what the baseline
has, or are about something else. Bad ones are wrong in a systematic way; random label noise is no such thing, because
the truth stays the commonest answer.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Truth = Literal["good", "neutral", "bad"]


class Planted(NamedTuple):
    """One candidate: ``dataset`` or ``dataset/part``, its category, its truth and why."""

    name: str
    category: str
    truth: Truth
    why: str
    default: bool = True
    """Tried unless candidates are named; one redundant set is left out to keep the demo short."""


CANDIDATES: tuple[Planted, ...] = (
    Planted("demo-allava/cap", "captioning", "neutral", "more captions of the kind the baseline has"),
    Planted("demo-mismatched", "captioning", "bad", "every caption names other things than the picture shows"),
    Planted("demo-copies", "general_qa", "neutral", "exact copies of samples of the baseline"),
    Planted("demo-wrong", "general_qa", "bad", "every answer is wrong"),
    Planted("demo-yes", "general_qa", "bad", "every yes/no question is answered yes"),
    Planted("demo-magnets", "science", "good", "teaches what magnets do"),
    Planted("demo-polygons", "mathematics", "good", "teaches sides and fills of polygons"),
    Planted("demo-flags", "knowledge", "good", "teaches whose flag it is"),
    Planted("demo-positions", "grounding", "good", "teaches where a thing is"),
    Planted("demo-allava/conv", "conversation", "neutral", "more questions of the kind the baseline has", False),
    Planted("demo-format", "conversation", "bad", "answers true/false and option numbers instead of what is asked"),
    Planted("demo-sums", "text_only", "neutral", "arithmetic in text, asked for nowhere"),
    Planted("demo-screens", "screen", "good", "teaches controls and themes of screens"),
)
