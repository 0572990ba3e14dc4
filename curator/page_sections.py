"""Sections that pages of published mixes and of published models share: tables, licences, evidence, citations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from curator.citations import bibliography
from curator.evidence import ROLES, Evidence
from curator.licences import Terms, verdict
from registry.card import Card
from registry.sampling import Interval
from registry.trial import BenchmarkScore, Effect

_ROLES = {"selected": "Selected", "baseline": "Baseline", "all": "All"}
_WAS = {
    "selected": "This mix is what was selected.",
    "baseline": "This mix was the baseline that candidates were added to.",
    "all": "This mix holds every candidate: it was compared with what was selected.",
}


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell(text) for text in line) + " |" for line in lines)


def cell(text: str) -> str:
    """Text of a card as one cell: it may not end the cell, the line, or become a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def licences_section(terms: Sequence[Terms], cards: Mapping[str, Card], duty: str) -> str:
    """The terms of each dataset, and what holds for all of them together."""
    rows = []
    for one in terms:
        card = cards.get(one.dataset)
        source = card.source.hub_repo if card else None
        pictures = (one.images or "not established") if one.shows_pictures else "no pictures"
        where = f"[{source}](https://huggingface.co/datasets/{source})" if source else "-"
        rows.append((one.dataset, where, one.annotations or "not established", pictures, one.generator_terms or "-"))
    columns = ("dataset", "source", "annotations", "pictures", "terms of the model that wrote it")
    return f"## Licences\n\n{duty}\n\n{table(columns, rows)}\n\n{_verdict(terms)}"


def _verdict(terms: Sequence[Terms]) -> str:
    """The narrowest of all duties, in words."""
    together = verdict(terms)
    unsaid = "not known"
    commercial = {None: unsaid, True: "permitted", False: "forbidden"}[together.commercial]
    changed = {None: unsaid, True: "permitted", False: "forbidden"}[together.changes]
    same = " and ".join(together.share_alike) or ("not known" if together.unknown else "not asked for")
    conflict = " No single licence meets all of these duties." if together.conflict else ""
    return (
        f"Taken at their word, all licences together are of the class **{together.title}**: commercial use "
        f"{commercial}, changed copies {changed}, the same licence for copies: {same}.{conflict} "
        "This is no legal advice."
    )


def evidence_section(found: Iterable[Evidence]) -> str:
    """What decisions measured with the mix: scores, differences with intervals, candidates."""
    told = [_decision(one) for one in found]
    body = "\n\n".join(told) if told else "No decision of the data home that this comes from measured it."
    return f"## Selection evidence\n\n{body}"


def _decision(one: Evidence) -> str:
    decision = one.decision
    rows = []
    for role in ROLES:
        outcome = one.outcome(role)
        if outcome is not None:
            scores = [f"{outcome.scores.get(name, 0.0):.1f}" for name in decision.benchmarks]
            name = f"**{_ROLES[role]}**" if role == one.role else _ROLES[role]
            rows.append((name, f"{outcome.samples:,}", *scores, f"{outcome.average:.1f}", f"{len(outcome.by_seed)}"))
    columns = ("mix", "samples", *decision.benchmarks, "average", "seeds")
    differences = [f"Selected - Baseline: {effect_text(decision.selected_minus_baseline)} points"]
    if decision.selected_minus_all is not None:
        differences.append(f"Selected - All: {effect_text(decision.selected_minus_all)} points")
    candidates = [
        (c.candidate, c.category, c.verdict, c.label, effect_text(c.average), str(len(c.seeds)))
        for c in decision.candidates
    ]
    confidence = f"{decision.rule.confidence:.0%}"
    return (
        f"Decision `{decision.name}` (digest `{one.digest}`), strategy {decision.strategy}, scale {decision.scale}, "
        f"rules of the scorers {decision.rules}. {_WAS[one.role]}\n\n{table(columns, rows)}\n\n"
        f"{'; '.join(differences)} of the average, {confidence} intervals over seeds.\n\n"
        f"{table(('candidate', 'category', 'verdict', 'label', 'effect on the average', 'seeds'), candidates)}\n\n"
        "The benchmarks guided the selection and measure its result: the gain is somewhat optimistic. Another model or "
        "scale may rank the candidates differently."
    )


def effect_text(effect: Effect) -> str:
    """A difference with its interval."""
    return f"{effect.mean:+.1f} ({effect.low:+.1f} … {effect.high:+.1f})"


def score_rows(scores: Sequence[tuple[BenchmarkScore, Interval | None]]) -> list[tuple[str, ...]]:
    """Benchmark, score, interval, questions, unreadable replies and rule set of each score."""
    return [
        (
            score.benchmark + (" (in part)" if score.partial else ""),
            f"{score.score:.1f}",
            f"{interval.low:.1f} … {interval.high:.1f}" if interval else "-",
            f"{score.questions:,}",
            f"{score.unresolved:,}",
            f"{score.rules}, version {score.version}",
        )
        for score, interval in scores
    ]


def citations_section(cards: Mapping[str, Card]) -> str:
    """BibTeX of every dataset."""
    if not cards:
        return ""
    return f"## Citations\n\n```bibtex\n{bibliography(cards.values())}\n```"
