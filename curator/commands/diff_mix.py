"""``curator diff-mix``: what two mixes have in common, and what not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import home_option, json_option
from curator.output import note, print_fields, print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from curator.mix_diff import MixDiff, Side
    from registry.store import Home


@click.command(name="diff-mix")
@click.argument("a")
@click.argument("b")
@click.option("--exit-code", is_flag=True, help="Exit with 1 unless both hold the same rows in the same order.")
@home_option
@json_option
@click.pass_context
def command(ctx: click.Context, a: str, b: str, home: Path, as_json: bool, exit_code: bool) -> None:
    r"""Say in what the mixes A and B differ: rows by dataset and part, categories, order, recipe.

    A mix is one of the data home (its name, its folder or its digest), or a published one in a folder.

    \b
    Examples:
      curator diff-mix llava-v1 llava-v2
      curator diff-mix openmoji-tabmwp ./downloaded --exit-code
    """
    from curator.arrow import import_arrow
    from curator.mix_diff import diff_mixes
    from registry.store import Home

    import_arrow()
    left, right = (_side(Home(home), name) for name in (a, b))
    found = diff_mixes(left, right)
    if as_json:
        print_json({"a": left.name, "b": right.name, **found.plain()})
    else:
        _print(left, right, found)
    if exit_code and not found.same_content:
        ctx.exit(1)


def _side(home: Home, name: str) -> Side:
    """A mix of the home, or a published one in a folder."""
    from pathlib import Path

    from curator.mix_diff import Side
    from curator.published import PublishedFiles
    from registry.mix import MixReader
    from registry.store import find_folder

    if Path(name).is_dir():
        published = PublishedFiles.open(Path(name))
        return Side(name, published.info, published.rows())
    reader = MixReader(home, find_folder(home, "mixes", name))
    return Side(reader.folder.name, reader.info, reader.rows())


def _print(left: Side, right: Side, found: MixDiff) -> None:
    content = "the same" if found.same_content else "the same rows in another order" if found.same_rows else "different"
    print_fields(
        [
            ("a", left.name),
            ("b", right.name),
            ("content", content),
            ("rows in both", found.common),
            ("only in a", found.only_in_a),
            ("only in b", found.only_in_b),
            ("first difference", None if found.first_difference is None else f"row {found.first_difference}"),
        ]
    )
    if found.shares:
        click.echo()
        rows = [(s.dataset, s.part, s.in_a, s.in_b, s.only_in_a, s.only_in_b) for s in found.shares]
        print_table(("dataset", "part", "in a", "in b", "only in a", "only in b"), rows)
    if found.moved:
        click.echo()
        print_table(
            ("category in a", "category in b", "rows"), [(m.from_category, m.to_category, m.rows) for m in found.moved]
        )
    if found.recipe:
        click.echo()
        print_table(("recipe: a -> b",), [(change,) for change in found.recipe])
    elif not found.same_content:
        note("the recipes are the same")
