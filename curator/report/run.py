"""The page of one model's scores: figures with their error, categories, and what it answered wrongly, with pictures.

Equal scores give equal bytes: which answers are shown is drawn by their index alone.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from curator.report.figures import Drawing, radar_of_run
from curator.report.page import PROGRAM, benchmark_title, environment, style
from curator.report.wrong_answers import Shown, Wrong, gather, with_pictures
from registry.benchmark import load_benchmark
from registry.sampling import Interval, score_interval
from registry.store import write_aside
from registry.trial import BenchmarkScore

if TYPE_CHECKING:
    from curator.laboratory import Bench
    from curator.score import Scoring

TEMPLATE = "run.html.jinja"
STYLE = "run.css"
RADAR_FROM = 3
"""Benchmarks that a radar needs."""
TASK_MAXIMUM = {"mme": 200.0}
"""Greatest figure of a category, where it is not 100."""


@dataclass(frozen=True)
class Scored:
    """One benchmark that a model was scored on."""

    score: BenchmarkScore
    answers: Path | BinaryIO
    """Rows of answers (``registry.answer_rows``)."""
    table: Path
    """The benchmark's table, which has the pictures."""


@dataclass(frozen=True)
class Bar:
    """One category."""

    name: str
    value: float
    maximum: float
    questions: int | None
    interval: Interval | None

    def at(self, value: float) -> float:
        """Where a value lies on the bar, in per cent of its length."""
        return round(max(0.0, min(100.0, 100 * value / self.maximum)), 2)


@dataclass(frozen=True)
class Section:
    """What the page says of one benchmark."""

    name: str
    title: str
    score: BenchmarkScore
    interval: Interval | None
    bars: list[Bar]
    wrong: Wrong
    cards: list[Shown]
    unread_cards: list[Shown]


def page_of_model(out: Path, model: Path, benches: Sequence[Bench], rules: str) -> None:
    """Write the page of a model's scores on these benchmarks."""
    from curator.laboratory import read_score, score_file
    from registry.scores import answers_path

    found = [
        Scored(read_score(model, bench, rules), answers_path(score_file(model, bench, rules)), bench.table)
        for bench in benches
    ]
    write_run_page(out, model.name, found)


def page_of_predictions(out: Path, scoring: Scoring, name: str) -> None:
    """Write the page of scored predictions."""
    from registry.answer_rows import answer_rows
    from registry.identity import file_digest
    from registry.scores import as_stored

    result = scoring.result
    rows = answer_rows(load_benchmark(result.benchmark), scoring.questions, scoring.replies, result)
    score = as_stored(result, file_digest(scoring.table))
    write_run_page(out, name, [Scored(score, io.BytesIO(rows), scoring.table)])


def write_run_page(out: Path, name: str, found: Sequence[Scored]) -> None:
    """Write one self-contained page for a model that was scored on these benchmarks."""
    titles = _titles([one.score.benchmark for one in found])
    sections = [_section(one, titles[one.score.benchmark]) for one in found]
    text = (
        environment()
        .get_template(TEMPLATE)
        .render(
            name=name,
            sections=sections,
            average=sum(one.score.score for one in sections) / len(sections),
            radar=_radar(sections),
            rules=sorted({one.score.rules for one in sections}),
            style=style(STYLE),
            program=PROGRAM,
        )
    )
    write_aside(out, text.encode())


def _radar(sections: Sequence[Section]) -> Drawing | None:
    if len(sections) < RADAR_FROM:
        return None
    return radar_of_run({s.name: s.score.score for s in sections}, {s.name: s.title for s in sections})


def _titles(names: Sequence[str]) -> dict[str, str]:
    """Benchmark -> its short title, or its whole one where two would be called the same."""
    short = {name: benchmark_title(name) for name in names}
    several = {title for title in short.values() if list(short.values()).count(title) > 1}
    return {name: load_benchmark(name).TITLE if title in several else title for name, title in short.items()}


def _section(one: Scored, title: str) -> Section:
    score = one.score
    wrong = gather(one.answers)
    cards, unread = with_pictures(score.benchmark, one.table, wrong)
    return Section(
        name=score.benchmark,
        title=title,
        score=score,
        interval=score_interval(score),
        bars=_bars(score, wrong.groups),
        wrong=wrong,
        cards=cards,
        unread_cards=unread,
    )


def _bars(score: BenchmarkScore, groups: Mapping[str, Mapping[str, int]]) -> list[Bar]:
    """Categories, the weakest first."""
    usual = TASK_MAXIMUM.get(score.benchmark, 100.0)
    most = max([usual, *score.breakdown.values()])
    bars = [
        Bar(name, value, most, sum(groups[name].values()) if name in groups else None, _error(score, name, groups))
        for name, value in score.breakdown.items()
    ]
    return sorted(bars, key=lambda bar: (bar.value, bar.name))


def _error(score: BenchmarkScore, name: str, groups: Mapping[str, Mapping[str, int]]) -> Interval | None:
    """The error of a category whose figure is the mean of its groups, or a multiple of it (an MME task)."""
    inside = {group: score.items[group] for group in groups.get(name, ()) if group in score.items}
    if not inside or score.ratios:
        return None
    mean = 100 * sum(inside.values()) / len(inside)
    factor = TASK_MAXIMUM.get(score.benchmark, 100.0) / 100
    if abs(mean * factor - score.breakdown[name]) > 1e-6:
        return None
    part = score.model_copy(update={"items": inside, "strata": {}})
    interval = score_interval(part)
    return interval.scaled(factor) if interval else None
