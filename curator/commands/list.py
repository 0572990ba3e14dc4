"""``curator list``: the datasets of the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from curator.options import home_option, json_option
from registry.taxonomy import SLUGS

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("name", "stage", "categories", "samples", "licence", "languages", "pulled")


@click.command(name="list")
@click.option(
    "--category", "categories", multiple=True, type=click.Choice(SLUGS), help="Only this category (repeatable)."
)
@click.option("--stage", type=click.Choice(["sft", "pretrain", "eval"]), help="Only datasets for this stage.")
@click.option("--licence", metavar="TEXT", help="Only licences that hold this text; 'none' = not established.")
@click.option("--language", metavar="CODE", help="Only datasets in this language (en, zh, …).")
@click.option("--min-samples", type=click.IntRange(min=0), metavar="N", help="Only datasets of at least this size.")
@click.option("--max-samples", type=click.IntRange(min=0), metavar="N", help="Only datasets of at most this size.")
@click.option("--pulled", "only_pulled", is_flag=True, help="Only what is in the data home.")
@json_option
@home_option
def command(
    categories: tuple[str, ...],
    stage: str | None,
    licence: str | None,
    language: str | None,
    min_samples: int | None,
    max_samples: int | None,
    only_pulled: bool,
    as_json: bool,
    home: Path,
) -> None:
    r"""List the datasets of the registry.

    Sizes are the published ones ("~" marks a rounded figure). Licences are those of the annotations; the
    pictures' and the generating model's terms are apart: see 'curator show'.

    \b
    Examples:
      curator list
      curator list --category captioning --category mathematics
      curator list --stage sft --licence cc-by --language en --max-samples 100000
      curator list --json
    """
    from curator.output import note, print_json, print_table
    from registry.facts import HomeFacts, dataset_rows

    rows = [
        row
        for row in dataset_rows(HomeFacts(home))
        if (not categories or set(categories) & set(row["categories"]))
        and stage in (None, row["stage"])
        and _has_licence(row, licence)
        and (language is None or language.lower() in [known.lower() for known in row["languages"]])
        and _has_size(row, min_samples, max_samples)
        and (row["pulled"] or not only_pulled)
    ]
    if as_json:
        print_json([{field: value for field, value in row.items() if field != "card"} for row in rows])
        return
    print_table(COLUMNS, [_cells(row) for row in rows])
    note(f"{len(rows)} datasets" if len(rows) != 1 else "1 dataset")


def _has_licence(row: dict[str, Any], wanted: str | None) -> bool:
    if wanted is None:
        return True
    known: str | None = row["licence"]
    return known is None if wanted == "none" else known is not None and wanted.lower() in known.lower()


def _has_size(row: dict[str, Any], least: int | None, most: int | None) -> bool:
    """Whether the published size lies in the range; a dataset whose size nobody established lies in none."""
    if least is None and most is None:
        return True
    samples: int | None = row["samples"]
    return samples is not None and (least or 0) <= samples and (most is None or samples <= most)


def _cells(row: dict[str, Any]) -> list[Any]:
    values = {**row, "samples": _size(row), "pulled": row["pulled"] or None, "languages": row["languages"] or None}
    return [values[column] for column in COLUMNS]


def _size(row: dict[str, Any]) -> str | int | None:
    """The published number of samples, marked when it is a rounded figure."""
    samples: int | None = row["samples"]
    return samples if samples is None or row["exact"] else f"~{samples:,}"
