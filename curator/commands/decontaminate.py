"""``curator decontaminate``: look for the questions and pictures of benchmarks in datasets and mixes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import PathValue, dry_run_option, home_option, json_option, place_options
from curator.output import note, print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.contamination.account import Account
    from curator.runner import Place

MAX_CHARACTERS = 100
"""Characters of a text that are printed."""


@click.command(name="decontaminate")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--benchmark", "benchmarks", multiple=True, metavar="NAME", help="Benchmark (repeat); default: all here.")
@click.option("--table", "tables", multiple=True, metavar="NAME=FILE", help="A published table that lies elsewhere.")
@click.option(
    "--overlap",
    type=click.FloatRange(0.3, 1),
    default=0.7,
    show_default=True,
    help="Share of a question from which on a sample holds it.",
)
@place_options
@click.option(
    "--sample-html", type=PathValue(dir_okay=False), metavar="FILE", help="Write an HTML page with both sides of hits."
)
@home_option
@json_option
@dry_run_option
def command(
    names: tuple[str, ...],
    benchmarks: tuple[str, ...],
    tables: tuple[str, ...],
    overlap: float,
    place: Place,
    sample_html: Path | None,
    home: Path,
    as_json: bool,
    dry_run: bool,
) -> None:
    r"""Look for questions and pictures of benchmarks in each NAME, a dataset or a mix.

    A leak is a question together with its picture (near copies count: resized, compressed again), or the question
    alone where it has no picture. The same picture with another text, and a long text with another picture, are
    counted beside. Words that all questions of a benchmark share count for little. Tables are read from
    HOME/benchmarks. Nothing is dropped here: a recipe with a section ``decontaminate`` does when its mix is built.

    \b
    Examples:
      curator decontaminate tabmwp --benchmark tabmwp_test
      curator decontaminate sharegpt4v --table mme=MME.tsv --sample-html hits.html
    """
    from curator.arrow import import_arrow
    from curator.contamination.account import account, plan_rows, subjects
    from curator.contamination.questions import find_tables, parse_tables
    from registry.store import Home

    import_arrow()
    data_home = Home(home)
    wanted = subjects(data_home, names)
    compared = find_tables(data_home, list(benchmarks), parse_tables(tables))
    if dry_run:
        rows = plan_rows(data_home, wanted, compared)
        if as_json:
            print_json(rows)
        else:
            print_table(("dataset", "to measure", "samples"), [list(row.values()) for row in rows])
        if sample_html is not None:
            note(f"a dry run finds nothing yet: {sample_html} is not written")
        return
    total = sum(subject.samples.record.rows_out for subject in wanted) * len(compared)
    with progress("decontaminate", total, "samples") as advance:
        found = account(data_home, wanted, compared, overlap, advance, place)
    if sample_html is not None:
        from curator.contamination.page import write_hits

        write_hits(data_home, found, sample_html)
    if as_json:
        print_json(found.plain())
    else:
        _print(found)


def _print(found: Account) -> None:
    print_table(list(found.rows[0]), [["" if v is None else v for v in row.values()] for row in found.rows])
    click.echo()
    for hit in found.hits:
        asked = hit.question.text[:MAX_CHARACTERS]
        said = " / ".join(message["text"] for message in hit.plain()["messages"])[:MAX_CHARACTERS]
        rows = [(hit.benchmark, str(hit.question.index), asked), (hit.dataset, hit.row["source_id"], said)]
        click.echo(f"{hit.verdict}:")
        print_table(("", "row", "text"), rows)
        click.echo()
    note(f"{sum(int(str(row['leaks'])) for row in found.rows):,} leaks")
