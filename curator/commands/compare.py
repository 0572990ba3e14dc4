"""``curator compare``: is one model better than another, benchmark by benchmark?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from curator.options import home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from curator.compare import Changed, Comparison

SHOWN_CHARACTERS = 300


@click.command(name="compare")
@click.argument("first")
@click.argument("second")
@click.option(
    "--benchmark", "benchmarks", multiple=True, metavar="NAME", help="Benchmark (repeat); default: all shared."
)
@click.option("--rules", metavar="SET", help="Scores under these rules only.")
@click.option(
    "--show", default=0, show_default=True, type=click.IntRange(0, 1000), help="Questions fixed, and broken, to show."
)
@json_option
@home_option
def command(first: str, second: str, benchmarks: Sequence[str], home: Path, as_json: bool, **asked: Any) -> None:
    r"""Compare the scores of SECOND with those of FIRST: trials of the data home, or files of 'curator score --save'.

    Both answered the same questions, so the test is a paired one: McNemar's exact test where an answer is right or
    wrong, else a paired bootstrap; questions about one picture count together. The effect is SECOND - FIRST in points
    (0..100) with its 95 % interval; 'sees' is the least true difference that the benchmark finds with 80 % power: of
    smaller ones it cannot tell. p is adjusted over the benchmarks (Holm). Scores under other rules, of another table
    or of other questions are refused.

    \b
    Examples:
      curator compare demo-baseline-s0 demo-selected-s0
      curator score --predictions a.jsonl --data MME.tsv --benchmark mme --save a.json
      curator compare a.json b.json --show 5 --json
    """
    from curator.compare import compare
    from curator.output import note, print_json
    from registry.store import Home

    found, notes = compare(Home.default(home), first, second, benchmarks, asked["rules"], asked["show"])
    for line in notes:
        note(f"note: {line}")
    if as_json:
        print_json({"first": first, "second": second, "notes": notes, "benchmarks": [one.told() for one in found]})
        return
    _print_table(found)
    for one in found:
        _print_changes(one)


def _print_table(found: Sequence[Comparison]) -> None:
    from curator.output import print_table
    from registry.paired_tests import in_words

    rows = []
    for one in found:
        row: list[Any] = [one.benchmark, round(one.first.score, 2), round(one.second.score, 2)]
        if one.test is None:
            rows.append([*row, None, None, None, None, one.fixed, one.broken, one.verdict])
            continue
        effect, p = one.test.effect, one.p_adjusted
        row += [f"{effect.mean:+.2f}", f"{effect.low:+.2f} … {effect.high:+.2f}", in_words(p if p is not None else 1.0)]
        sees = f"{one.test.detectable:.2f}" if one.test.detectable is not None else None
        rows.append([*row, sees, one.fixed, one.broken, one.verdict])
    columns = ("benchmark", "first", "second", "effect", "interval", "p (Holm)", "sees", "fixed", "broken", "verdict")
    print_table(columns, rows)
    for one in found:
        if one.blind_below:
            click.echo(one.blind_below)


def _print_changes(one: Comparison) -> None:
    if not one.changed:
        return
    click.echo(f"\n{one.benchmark}: {one.fixed:,} fixed, {one.broken:,} broken")
    for change in one.changed:
        _print_change(change)


def _print_change(change: Changed) -> None:
    from curator.output import one_line, print_fields

    def short(text: str | None) -> str:
        line = one_line(text or "")
        return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]} …"

    click.echo(f"\n{'fixed' if change.fixed else 'broken'}  {one_line(change.index)}")
    fields = [("question", change.question), ("answer", change.answer)]
    fields += [("first", change.before or "(nothing)"), ("second", change.after or "(nothing)")]
    print_fields([(f"  {name}", short(text)) for name, text in fields if text])
