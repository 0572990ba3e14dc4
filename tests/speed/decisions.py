"""Are the demo's decisions right out of sample? Fresh data seeds, and base checkpoints built with another seed.

    python -m tests.speed.decisions --home FOLDER --seeds 11 12 13 14 15 [--base FOLDER] > table.md

Runs ``curator demo`` for every seed (finished ones are read again), then counts verdicts against the planted truth and
prints the tables of ``docs/log.md``. About four minutes a seed on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from curator.demo.truth import CANDIDATES

Decision = dict[str, Any]


def decide(home: Path, seed: int, base: str | None) -> tuple[Decision, float]:
    """One demo; what it printed, and its seconds."""
    options = [part for planted in CANDIDATES for part in ("--candidate", planted.name)]
    options += ["--base", base] if base else []
    command = [sys.executable, "-m", "curator", "demo", "--seed", str(seed), "--home", str(home), "--json", *options]
    begun = time.monotonic()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout), time.monotonic() - begun


def effects_table(runs: dict[int, Decision]) -> list[str]:
    """A row a candidate: truth, and for each seed the verdict, effect and interval."""
    seeds = sorted(runs)
    lines = [
        "| candidate | truth | " + " | ".join(f"seed {seed}" for seed in seeds) + " |",
        "| --- | --- |" + " --- |" * len(seeds),
    ]
    for number, first in enumerate(runs[seeds[0]]["decisions"]):
        cells = [_cell(runs[seed]["decisions"][number]) for seed in seeds]
        lines.append(f"| {first['candidate']} | {first['truth']} | " + " | ".join(cells) + " |")
    return lines


def _cell(decision: Decision) -> str:
    mark = {"gain": "gain", "comparable": "comp.", "harm": "harm", "unclear": "?"}[decision["label"]]
    interval = f"{decision['low']:+.1f}…{decision['high']:+.1f}"
    return f"{decision['verdict']} ({mark}) {decision['effect']:+.1f} [{interval}] n={len(decision['seeds'])}"


def comparison_table(runs: dict[int, Decision]) -> list[str]:
    """Baseline, Selected, All, and how far Selected is ahead in standard errors."""
    lines = [
        "| seed | Baseline | Selected | All | Selected - All | standard errors | samples Selected / All |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for seed, run in sorted(runs.items()):
        c = run["comparison"]
        ahead = c["selected_minus_all"]
        samples = f"{c['scores']['selected']['samples']:.0f} / {c['scores']['all']['samples']:.0f}"
        figures = f"{c['baseline']:.1f} | {c['selected']:.1f} | {c['all']:.1f}"
        lines.append(f"| {seed} | {figures} | {ahead['mean']:+.1f} | {ahead['mean'] / ahead['se']:+.1f} | {samples} |")
    means = [run["comparison"]["selected_minus_all"]["mean"] for run in runs.values()]
    mean = sum(means) / len(means)
    if len(means) > 1:
        spread = math.sqrt(sum((value - mean) ** 2 for value in means) / (len(means) - 1) / len(means))
        lines.append(f"\nSelected - All over the seeds: {mean:+.2f}, standard error {spread:.2f}")
    return lines


def verdict_counts(runs: dict[int, Decision]) -> list[str]:
    """The must-shows: shares of right verdicts."""
    every = [decision for run in runs.values() for decision in run["decisions"]]
    by_truth = {truth: [d for d in every if d["truth"] == truth] for truth in ("good", "neutral", "bad")}
    good, neutral, bad = by_truth["good"], by_truth["neutral"], by_truth["bad"]
    return [
        f"* good kept: {sum(d['verdict'] == 'kept' for d in good)} of {len(good)}",
        (
            f"* bad dropped: {sum(d['verdict'] == 'dropped' for d in bad)} of {len(bad)} "
            f"(kept {sum(d['verdict'] == 'kept' for d in bad)})"
        ),
        (
            f"* neutral comparable: {sum(d['label'] == 'comparable' for d in neutral)} of {len(neutral)}, "
            f"called a gain: {sum(d['label'] == 'gain' for d in neutral)}, "
            f"dropped: {sum(d['verdict'] == 'dropped' for d in neutral)}, "
            f"undecided: {sum(d['verdict'] == 'undecided' for d in neutral)}"
        ),
        (
            f"* Selected ahead of All by more than 2 standard errors: "
            f"{sum(_ahead(run) > 2 for run in runs.values())} of {len(runs)} seeds"
        ),
    ]


def _ahead(run: Decision) -> float:
    ahead = run["comparison"]["selected_minus_all"]
    return float(ahead["mean"] / ahead["se"])


def main() -> int:
    """Print the tables; exit status 0."""
    parser = argparse.ArgumentParser(description="the demo's decisions against the planted truth")
    parser.add_argument("--home", type=Path, required=True, help="folder for one data home a seed")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--base", help="base checkpoint folder (default: the packaged one)")
    asked = parser.parse_args()
    runs: dict[int, Decision] = {}
    for seed in asked.seeds:
        runs[seed], seconds = decide(asked.home / f"seed-{seed}", seed, asked.base)
        print(f"seed {seed}: {seconds:.0f} s", file=sys.stderr)
    print("\n".join([*effects_table(runs), "", *comparison_table(runs), "", *verdict_counts(runs)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
