"""``curator licences``: the terms of datasets, alone and together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from curator.options import home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from curator.licences import Terms

COLUMNS = ("dataset", "annotations", "pictures", "written by", "class")


@click.command(name="licences")
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...")
@click.option(
    "--policy",
    type=click.Choice(["lenient", "strict"]),
    default="lenient",
    show_default=True,
    help="strict: exit 1 when terms are unknown, or cannot be met together.",
)
@json_option
@home_option
def command(datasets: tuple[str, ...], policy: str, as_json: bool, home: Path) -> None:
    r"""Say under which terms DATASETs stand, alone and together.

    A class is the narrowest duty of the annotations and the pictures; what one dataset forbids is forbidden for the
    mix. Terms that nobody has established count as unknown, never as permitted. No legal advice.

    \b
    Examples:
      curator licences sharegpt4v vsr
      curator licences sharegpt4v vsr scienceqa --policy strict
    """
    from curator.licences import check_policy, terms_of, verdict
    from curator.output import print_fields, print_json, print_table
    from registry.card import load_card
    from registry.licence_terms import combine
    from registry.store import Home

    cards = {name: load_card(name, Home(home)) for name in datasets}
    pictured = [name for name, card in cards.items() if card.pictures.regime != "none"]
    terms = terms_of(Home(home), datasets, pictured)
    together = verdict(terms)
    unasked = "not known" if together.unknown else "not asked for"
    fields = {
        "together": together.title,
        "commercial use": _said(together.commercial),
        "copies": _said(together.copies),
        "changed copies": _said(together.changes),
        "attribution": "asked for" if together.attribution else unasked,
        "same licence": ", ".join(together.share_alike) or unasked,
    }
    if as_json:
        rows = [{**vars(one), "class": combine(one.names).title} for one in terms]
        print_json({"datasets": rows, "together": {**vars(together), "class": together.title}})
    else:
        print_table(COLUMNS, [_cells(one, combine(one.names).title) for one in terms])
        click.echo()
        print_fields(fields.items())
    if policy == "strict":
        check_policy(terms)


def _cells(one: Terms, title: str) -> tuple[Any, ...]:
    return one.dataset, one.annotations, one.images if one.shows_pictures else "none", one.generator_terms, title


def _said(permitted: bool | None) -> str:
    return "not known" if permitted is None else "permitted" if permitted else "forbidden"
