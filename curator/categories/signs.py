r"""Signs of a category: what requests and answers of its kind look like. Each that holds gives its points.

Ten points make a category e times as likely beside the others. Patterns are RE2's; they see all requests of a sample,
one after the other, and all its answers. They were written with the rows of ``tests/datasets`` in view, so how well
they do there says little; ``python -m tests.speed.categories`` tells them apart from data that they were not made for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curator.batch import Batch, Ints
from registry.pattern import PATTERN_VERSION, found_in
from registry.taxonomy import SLUGS

VERSION = 1
"""Raised whenever a sign changes."""

Mask = npt.NDArray[np.bool_]


class Said(NamedTuple):
    """A batch of samples as signs see it."""

    requests: list[str]
    """All requests of each sample, a line each."""
    answers: list[str]
    pictures: Ints
    turns: Ints
    answer_words: npt.NDArray[np.float64]
    """Words of an answer, on average."""

    @classmethod
    def of(cls, batch: Batch) -> Said:
        """What is said in each sample, and its shape."""
        requests: list[list[str]] = [[] for _ in range(len(batch))]
        answers: list[list[str]] = [[] for _ in range(len(batch))]
        texts = batch.texts
        for text, sample, answer in zip(
            texts.texts.to_pylist(), texts.sample.tolist(), texts.answer.tolist(), strict=True
        ):
            (answers if answer else requests)[sample].append(text)
        owners = batch.picture_sizes()[0]
        words = np.array([sum(len(text.split()) for text in said) for said in answers], np.float64)
        count = np.array([max(1, len(said)) for said in answers], np.float64)
        return cls(
            ["\n".join(said) for said in requests],
            ["\n".join(said) for said in answers],
            np.bincount(owners, minlength=len(batch)),
            batch.turns(),
            words / count,
        )


class Sign(NamedTuple):
    """One sign; all conditions that are given must hold."""

    name: str
    points: dict[str, int]
    """Category -> points for it (or against it)."""
    request: str | None = None
    answer: str | None = None
    shape: Callable[[Said], Mask] | None = None

    def holds(self, said: Said) -> Mask:
        """For which samples it holds."""
        mask = np.ones(len(said.requests), np.bool_) if self.shape is None else self.shape(said)
        for pattern, texts in ((self.request, said.requests), (self.answer, said.answers)):
            if pattern is not None:
                mask &= np.array(found_in(pattern, texts), np.bool_)
        return mask


_NUMBER = r"-?\d+(?:\.\d+)?"
_BOX = rf"[\[(]\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*[\])]"
_DESCRIBE = (
    r"(?i)\b(describe|description|caption|depict|portray|narrate|rundown|elaborate on"
    r"|summary of the (photo|picture|image)|explanation of the"
    r"|(explain|clarify|analy[sz]e|interpret|break down|characteri[sz]e|summari[sz]e) (the |this )?"
    r"(visual|image|photo|picture|contents|elements|various)"
    r"|what (is|'s) (happening|going on|in (the|this) (image|picture|photo))"
    r"|going on in|see happening|what do you see|what can you see)\b"
)
_WORD = r"(?i)\b(single word|word or phrase|brief(ly)?|terse|compact|very short|keep it short|quick response|concise)\b"

SIGNS = (
    Sign("no picture", {"text_only": 200}, shape=lambda said: said.pictures == 0),
    Sign("a picture", {"text_only": -200}, shape=lambda said: said.pictures > 0),
    Sign("boxes", {"grounding": 60}, request=_BOX),
    Sign("boxes in answers", {"grounding": 60}, answer=_BOX),
    Sign("asks for a place", {"grounding": 25}, request=r"(?i)bounding box|coordinates? of|this region|\bgrounding\b"),
    Sign("asks for a description", {"captioning": 45}, request=_DESCRIBE, shape=lambda said: said.turns == 1),
    Sign(
        "a description among other turns",
        {"conversation": 18, "captioning": 8},
        request=_DESCRIBE,
        shape=lambda said: said.turns >= 2,
    ),
    Sign("a long single answer", {"captioning": 10}, shape=lambda said: (said.turns == 1) & (said.answer_words >= 60)),
    Sign("answers in sentences", {"conversation": 18}, shape=lambda said: said.answer_words >= 6),
    Sign("turns with sentences", {"conversation": 14}, shape=lambda said: (said.turns >= 2) & (said.answer_words >= 4)),
    Sign("many turns", {"conversation": 25}, shape=lambda said: said.turns >= 8),
    Sign(
        "asks for reasons",
        {"conversation": 14},
        request=r"(?i)^\s*why\b|\bwhat (might|could|challenges|skills|factors)\b|\bhow (might|could|can|does)\b",
        shape=lambda said: said.answer_words >= 5,
    ),
    Sign(
        "answers of a word or two",
        {"conversation": -16, "captioning": -14, "general_qa": 6},
        shape=lambda said: said.answer_words < 3,
    ),
    Sign("asks for a word", {"conversation": -8, "captioning": -6, "general_qa": 2}, request=_WORD),
    Sign("offers options", {"science": 18, "knowledge": 13, "mathematics": 6}, request=r"(?m)^\s*\(?B[.):]\s"),
    Sign(
        "school science",
        {"science": 20},
        request=r"(?i)\b(food (chain|web)|life cycle|predators?|prey|organisms?|species|ecosystem|habitat"
        r"|photosynthesis|magnet(s|ic)?|forces?|energy|gravity|planets?|orbit|eclipse|moon|volcano|rocks?|minerals?"
        r"|fossils?|mantle|crust|erosion|molecules?|atoms?|solid|liquid|particles?|solution|circuit|cells?|nucleus"
        r"|stem|roots? |larva|stage of|water cycle|farthest (north|south|east|west)|colony|continent|adaptations?"
        r"|inherit|vertebrates?)\b",
    ),
    Sign("a diagram", {"science": 8}, request=r"(?i)\bdiagram|\blabel(led)? [A-Z]\b|which label|which letter"),
    Sign(
        "words of charts",
        {"chart": 30},
        request=r"(?i)\b(charts?|(bar |line )?graphs?|plots?|plotted|bars|axis|x-axis|y-axis|legend|curves?|histogram"
        r"|trend|pie|stacked|tick)\b",
    ),
    Sign(
        "amounts over time or groups",
        {"chart": 12},
        request=r"(?i)\b(percentage|percent|share of|what was the (share|value|population|amount)|in (the year )?(19"
        r"|20)\d\d|highest|lowest|most users|sales|growth|revenue|ratio of)\b",
    ),
    Sign(
        "geometry",
        {"mathematics": 34},
        request=r"(?i)\b(angles?|(of (a|the)|right|similar) triangles?|radius|diameter|perimeter|circumference"
        r"|parallel|perpendicular|parallelogram|trapezoid|rhombus|tangent|chord|hypotenuse|bisects?|congruent"
        r"|area of the|find [a-z]\b|nearest tenth)|△|∠|°",
    ),
    Sign(
        "sums and statistics",
        {"mathematics": 28},
        request=r"(?i)\bunit: |\b((mean|median|mode|range) of the numbers|probability|fraction|total cost"
        r"|how much (more |money|(does|did|will|would) \w+ (spend|pay|owe))|how many (more|fewer|people (had|have|did"
        r"|scored|picked))|in all|subtract|add \d+|rate of change|linear|function|look at (this|the) table"
        r"|according to the table|did .{0,40} sell)\b",
    ),
    Sign("solid bodies", {"mathematics": 16}, request=r"(?i)\b(cubes?|spheres?|cylinders?|rubber|metallic|matte)\b"),
    Sign("formulas", {"mathematics": 20}, answer=r"\\(sqrt|frac|pi)|√|°"),
    Sign("numbers as answers", {"mathematics": 5, "chart": 4}, answer=r"(?m)^\W*\$?\d[\d,./]*\W*$"),
    Sign("counting", {"general_qa": 6, "mathematics": 3}, request=r"(?i)\bhow many\b"),
    Sign(
        "persons and history",
        {"knowledge": 30},
        request=r"(?i)\bwho (is|are|was)\b|\b(born|nationality|occupation|spouse|married|president|politician|famous"
        r"|alma mater|same (country|profession)|age gap|century|religion|citizen)\b",
    ),
    Sign(
        "facts from outside",
        {"knowledge": 14},
        request=r"(?i)\b(usually|typically|commonly|often|originate|native to|invented|known for|named after|called"
        r"|used for|purpose of|what (kind|type|breed|sort|sport)|made (of|from)|considered|why)\b",
        shape=lambda said: said.answer_words < 4,
    ),
    Sign(
        "text in a scene",
        {"ocr": 26},
        request=r"(?i)\b(written|printed|brand|sign says?|(does|do|did) (the|this|that|it) .{0,40}\bsay|says?|read(s"
        r"|ing)? (all )?(the |this )?text|the text|what text|words? (is|are) (on|in|at)|what number is"
        r"|licen[cs]e plate|jersey|title of (this|the)|author|wrote|genre|type of this book|edition"
        r"|year .{0,20}calendar|what time)\b",
    ),
    Sign(
        "words of documents",
        {"document": 24},
        request=r"(?i)\b(document|(this|in the|of the) letter|memo(randum)?|invoice|form|page|table of contents"
        r"|paragraph|heading|subject of|date (mentioned|of|on)|signed|signature|address|fax|p\.? ?o\.? box|telephone"
        r"|budget|agenda|meeting|addressed|name of the (company|organi[sz]ation|person|university)|figure \d|voucher"
        r"|contract)\b",
    ),
    Sign(
        "words of screens",
        {"screen": 26},
        request=r"(?i)\b(app|application|screen|buttons?|icons?|tap|click|menu|settings?|tabs?|status of"
        r"|notifications?|check ?box|alarm|wi-?fi|vibrate|log ?in|password|sign in|toggle|slider|switch|version of"
        r"|e-?mail)\b",
    ),
    Sign("yes or no", {"general_qa": 10}, answer=r"(?im)^\W*(yes|no)\W*$"),
    Sign(
        "everyday things",
        {"general_qa": 14},
        request=r"(?i)\b(what colou?r|(man|woman|boy|girl|person|people|child|dog|cat|bus|car|train|sky|wall|table"
        r"|animal)|holding|wearing|sitting|standing|behind|(in front|left|right) of|next to|statement hold"
        r"|are there)\b",
        shape=lambda said: said.answer_words < 4,
    ),
)


class Points(NamedTuple):
    """What the signs say of a batch of samples."""

    points: npt.NDArray[np.int64]
    """``(sample, category)``."""
    strongest: npt.NDArray[np.int64]
    """``(sample, category)``: the sign that gives the category most; -1 where none does."""


def points(batch: Batch) -> Points:
    """The points that each category gets for each sample."""
    said = Said.of(batch)
    total = np.zeros((len(batch), len(SLUGS)), np.int64)
    most, strongest = np.zeros_like(total), np.full_like(total, -1)
    for number, sign in enumerate(SIGNS):
        holds = sign.holds(said)
        for category, given in sign.points.items():
            column = SLUGS.index(category)
            total[holds, column] += given
            better = holds & (given > most[:, column])
            most[better, column], strongest[better, column] = given, number
    return Points(total, strongest)


def signs_settings() -> dict[str, int]:
    """What the points depend on."""
    return {"signs": VERSION, "patterns": PATTERN_VERSION}
