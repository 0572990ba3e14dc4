"""Numbers and sentences of the report: how a figure is written, and what may be said about it.

A difference is called a win only when its interval lies on one side of zero.
"""

from __future__ import annotations

from registry.taxonomy import CATEGORIES
from registry.trial import CandidateDecision, Decision, Effect

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"
_SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TITLES = {category.slug: category.title for category in CATEGORIES}
_SENTENCES = {category.slug: category.sentence for category in CATEGORIES}

_LIMIT_GUIDES = (
    "{guides} guided the selection and also measure its result. The gain over the baseline is therefore somewhat "
    "optimistic; a benchmark that guided nothing would be the fair judge."
)
_LIMIT_SCALE = (
    "Everything was measured at scale “{scale}”. Another model, or the same at another size, may rank the "
    "candidates differently."
)
_LIMIT_SEEDS = (
    "Seeds change the order of the samples and nothing else (at least {seeds} a candidate). Another draw of the data "
    "and another base checkpoint would add noise that the intervals do not hold."
)
_LIMIT_WHOLE = "A candidate is kept or dropped whole. A dropped one may hold good samples, a kept one bad ones."
_LIMIT_ORDER = (
    "Each category is decided on the mix that the categories before it left behind: another order may end with "
    "another selection."
)
_LIMIT_COMPARABLE = (
    "“Comparable” means that a loss beyond the margin was excluded, not that the candidate does no harm."
)
_LIMIT_UNDECIDED = (
    "{who} stayed undecided with up to {seeds} seeds and did not join; more seeds might settle the question."
)
_LIMIT_PLANTED = (
    "The data of this study are made: their faults are planted and pure. Published datasets mix good and bad, and "
    "what is recovered here is no promise about them."
)

_WAYS = {
    "joins": "a candidate joins a mix",
    "leaves": "a candidate leaves a mix, and the sign is turned",
    "together": "candidates are taken together, and the effect is that of all",
    "fitted": "effects are fitted to mixes of many candidates",
}


def count(value: float) -> str:
    """A whole number with thousands separated: ``7,082``."""
    return f"{round(value):,}"


def score(value: float) -> str:
    """A score of 0..100 with one decimal: ``71.5``."""
    return _zero_is_plain(f"{value:.1f}").replace("-", MINUS)


def signed(value: float) -> str:
    """A difference in points with its sign: ``+4.5``, ``−0.3``, ``0.0``."""
    text = _zero_is_plain(f"{value:+.1f}")
    return text.replace("-", MINUS)


def interval(effect: Effect) -> str:
    """The interval of an effect: ``−0.6 to +1.2``."""
    return f"{signed(effect.low)} to {signed(effect.high)}"


def percent(share: float) -> str:
    """A share as a whole per cent (one decimal below ten): ``43 %``."""
    value = 100 * share
    return f"{value:.0f}{THIN}%" if value >= 10 or value == 0 else f"{value:.1f}{THIN}%"


def duration(seconds: float) -> str:
    """Seconds for people: ``48 s``, ``12 min 30 s``, ``3 h 20 min``, ``5,120 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f}{THIN}s" if whole < 10 else f"{whole}{THIN}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}{THIN}min {rest}{THIN}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{THIN}h {minutes}{THIN}min" if hours < 100 else f"{hours:,}{THIN}h"


def number_word(value: int) -> str:
    """Small numbers as words, others in figures."""
    return _SMALL[value] if value < len(_SMALL) else count(value)


def plural(value: int, noun: str, nouns: str | None = None) -> str:
    """``1 seed``, ``4 seeds``."""
    return f"{count(value)} {noun if value == 1 else nouns or noun + 's'}"


def listed(items: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"


def category_title(slug: str) -> str:
    """The title of a category; a slug that is not of the taxonomy stands for itself."""
    return _TITLES.get(slug, slug)


def category_sentence(slug: str) -> str:
    """One sentence about a category, or nothing."""
    return _SENTENCES.get(slug, "")


def headline(decision: Decision) -> str:
    """What was decided, in one sentence with its numbers."""
    whole, difference = decision.all, decision.selected_minus_all
    if whole is None or difference is None:
        return f"{_against_baseline(decision)} with {_kept_of(decision)}."
    share = f"with {percent(decision.selected.samples / whole.samples)} of the samples" if whole.samples else ""
    points = score(abs(difference.mean))
    if difference.low > 0:
        return f"Selected beats All by {points} points {share}.".replace(" .", ".")
    if difference.high < 0:
        return f"All beats Selected by {points} points; Selected trains {share}.".replace(" .", ".")
    return f"Selected and All cannot be told apart ({signed(difference.mean)} points) {share}.".replace(" .", ".")


def _against_baseline(decision: Decision) -> str:
    difference = decision.selected_minus_baseline
    points = score(abs(difference.mean))
    if difference.low > 0:
        return f"Selected beats the baseline by {points} points"
    if difference.high < 0:
        return f"Selected falls {points} points below the baseline"
    return f"Selected and the baseline cannot be told apart ({signed(difference.mean)} points)"


def _kept_of(decision: Decision) -> str:
    kept = sum(c.verdict == "kept" for c in decision.candidates)
    return f"{number_word(kept)} of {plural(len(decision.candidates), 'candidate')} kept"


def summary(decision: Decision) -> str:
    """The paragraph under the headline: verdicts, gain over the baseline, and what it is measured by."""
    verdicts = [(v, sum(c.verdict == v for c in decision.candidates)) for v in ("kept", "dropped", "undecided")]
    told = listed([f"{number_word(n)} {'was' if n == 1 else 'were'} {verdict}" for verdict, n in verdicts if n])
    n_categories = len({candidate.category for candidate in decision.candidates})
    difference = decision.selected_minus_baseline
    return (
        f"Of {plural(len(decision.candidates), 'candidate')} in {plural(n_categories, 'category', 'categories')}, "
        f"{told}. The baseline scores {score(decision.baseline.average)} and the selected mix "
        f"{score(decision.selected.average)} ({signed(difference.mean)} points, interval {interval(difference)})."
    )


def found_by(decision: Decision) -> str:
    """How the effects of the selection map were found."""
    shown = f"The dot is its effect on the guide average, the bar its {percent(decision.rule.confidence)} interval."
    if decision.strategy == "individual":
        before = "Category by category, each candidate alone joins the baseline of that moment."
        return f"{before} {shown} What is kept joins, and the next category begins from there."
    how = {candidate.how for candidate in decision.candidates}
    ways = [sentence for way, sentence in _WAYS.items() if way in how]
    return " ".join([f"Strategy {decision.strategy}:", f"{listed(ways)}.", shown, *map(_sentence, decision.notes)])


def certainty(candidate: CandidateDecision) -> str:
    """How likely a verdict is wrong, and what it would be without benchmarks that the candidate was made for."""
    said = []
    if candidate.wrong is not None:
        chance = percent(candidate.wrong) if candidate.wrong >= 0.001 else f"under 0.1{THIN}%"
        said.append(f"Chance of being wrong: {chance}.")
    for name, effect in candidate.held_out.items():
        said.append(f"Held out, {name}: {signed(effect.mean)} ({interval(effect)}).")
    without = candidate.without
    if without is not None:
        said.append(f"It is the training split of {listed(without.benchmarks)};")
        said.append(
            f"without, {signed(without.average.mean)} ({interval(without.average)}) and {without.verdict}."
            if without.average is not None
            else "nothing else guides this study."
        )
    return " ".join(said)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def versus_all(decision: Decision) -> str:
    """The difference between Selected and All with its interval, or nothing when All was not trained."""
    difference = decision.selected_minus_all
    return f"{signed(difference.mean)} points, interval {interval(difference)}" if difference else ""


def truth_sentence(decision: Decision) -> str:
    """How the verdicts compare with the known truth of a demo; empty where nothing is known."""
    right = {"good": "kept", "bad": "dropped", "neutral": "kept"}
    told = []
    for truth, verdict in right.items():
        known = [candidate for candidate in decision.candidates if candidate.truth == truth]
        if known:
            told.append(f"{sum(c.verdict == verdict for c in known)} of {len(known)} {truth} ones {verdict}")
    return f"The truth is planted in this study, so the verdicts can be checked: {listed(told)}." if told else ""


def is_miss(candidate: CandidateDecision) -> bool:
    """Whether the verdict contradicts a known truth: a good one not kept, or a bad one not dropped."""
    expected = {"good": "kept", "bad": "dropped"}.get(candidate.truth or "")
    return expected is not None and candidate.verdict != expected


def limits(decision: Decision, titles: list[str]) -> list[str]:
    """What the numbers do not say; only what holds for this decision."""
    fewest = min((len(set(candidate.seeds)) for candidate in decision.candidates), default=0)
    said = [
        _LIMIT_GUIDES.format(guides=listed(titles)),
        _LIMIT_SCALE.format(scale=decision.scale),
        _LIMIT_SEEDS.format(seeds=plural(fewest, "seed")),
        _LIMIT_WHOLE,
        *([_LIMIT_ORDER] if decision.strategy == "individual" else []),
        _LIMIT_COMPARABLE,
    ]
    undecided = [candidate.candidate for candidate in decision.candidates if candidate.verdict == "undecided"]
    if undecided:
        who = f"{plural(len(undecided), 'candidate')} ({listed(undecided)})"
        said.append(_LIMIT_UNDECIDED.format(who=who, seeds=decision.rule.max_seeds))
    if any(candidate.truth for candidate in decision.candidates):
        said.append(_LIMIT_PLANTED)
    return said


def _zero_is_plain(text: str) -> str:
    return "0.0" if text in ("+0.0", "-0.0") else text
