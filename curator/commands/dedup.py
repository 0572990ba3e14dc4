"""``curator dedup``: find samples that are the same, or nearly, within datasets and across them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from curator.options import PathValue, dry_run_option, home_option, json_option, place_options
from curator.output import note, print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.duplicates.account import Account
    from curator.runner import Place

MAX_CHARACTERS = 200
"""Characters of a text that are printed."""


@click.command(name="dedup")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--against", multiple=True, metavar="NAME", help="Dataset whose rows all stay (repeat).")
@click.option(
    "--by",
    multiple=True,
    metavar="WAY",
    default=("near-text+near-image",),
    show_default=True,
    help="identical-text, exact-text, near-text, image, near-image, or one of text + one of image: both hold "
    "(repeat: any holds).",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.8,
    show_default=True,
    help="Least Jaccard similarity of near texts, of their runs of 5 words.",
)
@click.option(
    "--distance",
    type=click.IntRange(0, 12),
    default=6,
    show_default=True,
    help="Bits of 64 in which the perceptual hashes of near pictures differ at most.",
)
@place_options
@click.option(
    "--sample-html",
    type=PathValue(dir_okay=False),
    metavar="FILE",
    help="Write an HTML page with clusters side by side.",
)
@home_option
@json_option
@dry_run_option
def command(
    names: tuple[str, ...],
    against: tuple[str, ...],
    by: tuple[str, ...],
    threshold: float,
    distance: int,
    place: Place,
    sample_html: Path | None,
    home: Path,
    as_json: bool,
    dry_run: bool,
) -> None:
    r"""Find samples of each NAME that are the same as another one, and say which would go.

    Nothing is dropped here: a recipe with a section ``dedup`` drops duplicates when its mix is built. Of samples
    that are the same, one of the dataset that is named first stays. What is the same as a row of --against goes.
    Texts are compared without regard to case, punctuation and white space (identical-text: byte for byte); an answer
    of up to ten words must be the same. Pictures count in their order, and a sample without pictures has the same
    pictures as any other without: a question is no duplicate because the same words were asked about another picture,
    unless --by says so.

    \b
    Examples:
      curator dedup tabmwp
      curator dedup llava-v1.5-mix665k sharegpt4v --by exact-text+image --by near-text+near-image
      curator dedup sharegpt4v --against scienceqa --by near-image --sample-html same.html
    """
    from curator.arrow import import_arrow
    from curator.duplicates.account import Request, account, plan_rows
    from registry.errors import Refusal
    from registry.recipe import Alike, Dedup
    from registry.store import Home

    import_arrow()
    try:
        ways = [str(Alike.of(way)) for way in by]
    except ValueError as error:
        raise Refusal("--by", str(error), "for example --by near-text+near-image") from None
    data_home = Home(home)
    wanted = Dedup(by=ways, threshold=threshold, distance=distance, against=list(against))
    request = Request.of(data_home, names, wanted)
    if dry_run:
        rows = plan_rows(data_home, request)
        if as_json:
            print_json(rows)
        else:
            print_table(("dataset", "to make", "samples"), [list(row.values()) for row in rows])
        if sample_html is not None:
            note(f"a dry run finds nothing yet: {sample_html} is not written")
        return
    with progress(f"dedup {request.scope}", request.scope.to_fingerprint(data_home), "samples") as advance:
        found = account(data_home, request, advance, place)
    if sample_html is not None:
        from curator.duplicates.page import write_page

        write_page(data_home, found, sample_html)
    if as_json:
        print_json(found.plain())
    else:
        _print(found)


def _print(found: Account) -> None:
    for rows in (found.ways, found.datasets):
        print_table(list(rows[0]), [list(row.values()) for row in rows])
        click.echo()
    for example in found.examples:
        _print_example(example)
    note(f"{sum(int(str(row['would go'])) for row in found.datasets):,} samples would go")


def _print_example(example: Any) -> None:
    texts = [" / ".join(text for _, text in shown.turns)[:MAX_CHARACTERS] for shown in example.samples]
    rows = [(s.fate, s.dataset, s.source_id, text) for s, text in zip(example.samples, texts, strict=True)]
    click.echo(f"{example.way}, {example.size} samples:")
    print_table(("", "dataset", "row", "text"), rows)
    click.echo()
