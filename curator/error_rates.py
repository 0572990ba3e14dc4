"""Tallies of simulated studies: how often a strategy with its rule is right, errs, and what that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from curator.simulation import Setting, SimulatedLaboratory, Truth, paper_candidates, simulate
from curator.study import Finding
from registry.trial import CandidateDecision, DecisionRule


@dataclass(frozen=True)
class Arm:
    """A strategy with a rule: one row of the table."""

    strategy: str
    rule: DecisionRule

    @property
    def rule_text(self) -> str:
        """The rule in a few words."""
        margin = f"margin {self.rule.comparable_margin:g}"
        over = "" if self.rule.errors_over == "candidate" else f", errors over the {self.rule.errors_over}"
        return f"paper, {margin}" if self.rule.by == "paper" else f"statistics, {margin}{over}"


@dataclass
class Share:
    """So many of so many."""

    hits: float = 0
    of: int = 0

    def add(self, hit: float) -> None:
        """Count one more."""
        self.hits += hit
        self.of += 1

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.hits / self.of if self.of else None


@dataclass
class Tally:
    """What the studies of one arm came to."""

    arm: Arm
    kept: dict[Truth, Share] = field(default_factory=lambda: {t: Share() for t in ("good", "neutral", "bad")})
    """Truth -> kept of them."""
    beyond: Share = field(default_factory=Share)
    """Kept of the candidates that truly cost the margin or more: the error that "comparable" declares."""
    false_gain: Share = field(default_factory=Share)
    """Studies with a gain claimed of any candidate that is none: the error that "gain" declares."""
    needless: Share = field(default_factory=Share)
    """Dropped of the candidates that truly do no harm: the error that "harm" declares."""
    undecided: Share = field(default_factory=Share)
    stated: Share = field(default_factory=Share)
    """Chance of being wrong as the decisions state it, of those that decide."""
    happened: Share = field(default_factory=Share)
    """The same decisions: those that were wrong."""
    agreement: Share = field(default_factory=Share)
    """Candidates that are in the selection, or out of it, as in that of the first arm."""
    gain: Share = field(default_factory=Share)
    """True gain of the selection over the baseline, in points."""
    best: Share = field(default_factory=Share)
    """That of a selection of all that is good."""
    trials: list[int] = field(default_factory=list)
    cost: Share = field(default_factory=Share)
    """Samples trained, in trainings of the baseline."""
    waves: Share = field(default_factory=Share)

    def add(self, finding: Finding, laboratory: SimulatedLaboratory, reference: Finding) -> None:
        """Count one study."""
        margin = self.arm.rule.comparable_margin
        gains = []
        for one in finding.candidates:
            kind, effect = laboratory.kinds[one.candidate], float(laboratory.effects[one.candidate].mean())
            self.kept[kind.truth].add(one.verdict == "kept")
            self.undecided.add(one.verdict == "undecided")
            if effect <= -margin and margin > 0:
                self.beyond.add(one.verdict == "kept")
            if effect >= 0:
                self.needless.add(one.verdict == "dropped")
            if one.label != "unclear" and one.wrong is not None:
                self.stated.add(one.wrong)
                self.happened.add(_was_wrong(one, effect, float(laboratory.effects[one.candidate].min()), margin))
            gains.append(one.label == "gain" and effect <= 0)
        self.false_gain.add(any(gains))
        names = {candidate.name for candidate in laboratory.candidates}
        for name in sorted(names):
            self.agreement.add((name in finding.selected) == (name in reference.selected))
        self.gain.add(float(laboratory.truth(finding.selected).mean()))
        good = [name for name in names if laboratory.kinds[name].truth == "good"]
        self.best.add(float(laboratory.truth(good).mean()))
        self.trials.append(len(laboratory.trained))
        self.cost.add(sum(laboratory.trained.values()))
        self.waves.add(len(laboratory.waves))

    def plain(self) -> dict[str, Any]:
        """JSON form: shares with what they are of."""
        shares = {f"{truth}_kept": share for truth, share in self.kept.items()} | {
            name: share for name, share in vars(self).items() if isinstance(share, Share)
        }
        trials = sorted(self.trials)
        return {
            "strategy": self.arm.strategy,
            "rule": self.arm.rule.model_dump(mode="json"),
            **{name: {"value": share.value, "of": share.of} for name, share in shares.items()},
            "trials": {"mean": sum(trials) / len(trials), "least": trials[0], "most": trials[-1]},
        }


def _was_wrong(one: CandidateDecision, effect: float, least: float, margin: float) -> bool:
    """Whether what the label claims is not so; a harm claimed by the guard may be that of one benchmark."""
    if one.label == "gain":
        return effect <= 0
    if one.label == "comparable":
        return effect < -margin
    return effect >= 0 and least >= 0


def tally(
    setting: Setting, arms: Sequence[Arm], studies: int, advance: Callable[[int], object] = lambda _: None
) -> list[Tally]:
    """Run every arm on the same studies; the first arm is what the others are compared with."""
    candidates = paper_candidates()
    tallies = [Tally(arm) for arm in arms]
    for number in range(studies):
        reference: Finding | None = None
        for row in tallies:
            finding, laboratory = simulate(setting, row.arm.strategy, row.arm.rule, number, candidates)
            reference = reference or finding
            row.add(finding, laboratory, reference)
        advance(1)
    return tallies


COLUMNS = (
    *(
        "strategy",
        "rule",
        "good kept",
        "neutral kept",
        "bad kept",
        "beyond margin kept",
        "false gain",
        "harmless dropped",
    ),
    *("undecided", "wrong: stated", "happened", "agrees", "gain", "trials", "cost", "waves"),
)


def row_of(found: Tally) -> list[Any]:
    """One row of the table."""
    shares = [
        *(found.kept[truth] for truth in ("good", "neutral", "bad")),
        *(found.beyond, found.false_gain, found.needless, found.undecided),
        *(found.stated, found.happened, found.agreement),
    ]
    numbers = [found.gain.value or 0.0, sum(found.trials) / len(found.trials), found.cost.value, found.waves.value]
    texts = ["–" if share.value is None else f"{100 * share.value:.1f} %" for share in shares]
    return [found.arm.strategy, found.arm.rule_text, *texts, *(f"{number:.1f}" for number in numbers)]
