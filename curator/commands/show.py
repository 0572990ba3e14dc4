"""``curator show``: what is known about one dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from curator.options import home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="show")
@click.argument("name")
@json_option
@home_option
def command(name: str, as_json: bool, home: Path) -> None:
    r"""Show what is known about dataset NAME: its card, and what of it is in the data home.

    A fact that is not established is left out. Counts of the data home are of samples, rejected rows by reason.

    \b
    Examples:
      curator show tabmwp
      curator show tabmwp --json
    """
    from curator.output import print_json
    from registry.facts import HomeFacts, dataset_row, named_card

    found = HomeFacts(home)
    card = named_card(found.home, name)
    pulled = _pulled(found.home, name)
    if as_json:
        print_json({"card": card, "pulled": pulled})
        return
    _print_card(dataset_row(name, card), card)
    _print_pulled(name, pulled)


def _print_card(row: dict[str, Any], card: dict[str, Any]) -> None:
    from curator.output import cell, print_fields, print_table

    size, pictures = card.get("size") or {}, card.get("pictures") or {}
    rounded = "" if row["exact"] else " (rounded)"
    amounts = [f"{cell(row[unit])} {unit}" for unit in ("samples", "images") if row[unit] is not None]
    print_fields(
        [
            ("name", row["name"]),
            ("title", row["title"]),
            ("stage", row["stage"]),
            ("categories", row["categories"]),
            ("languages", row["languages"]),
            ("published", ", ".join(amounts) + rounded if amounts else None),
            ("", size.get("note")),
            ("role", row["role"]),
            ("pictures", row["image_regime"]),
            ("", "\n".join(f"{folder}: {origin}" for folder, origin in (pictures.get("folders") or {}).items())),
            ("format", row["format"]),
            ("hub", _hub(row)),
            ("gated", row["gated"]),
            ("licence", row["licence"]),
            ("  of pictures", row["images_licence"]),
            ("  of generator", row["generator_terms"]),
            ("  note", (card.get("licence") or {}).get("note")),
            ("arxiv", row["arxiv"]),
            ("homepage", row["homepage"]),
            ("among the 17", row["paper_status"]),
            ("confidence", _pairs(card.get("confidence"))),
            ("conversion", card.get("conversion")),
            ("quality", "\n".join(card.get("quality_notes") or [])),
            ("overlaps", "\n".join(card.get("overlaps") or [])),
            ("train split of", ", ".join(card.get("train_split_of") or [])),
            ("sources", "\n".join(card.get("sources") or [])),
        ]
    )
    parts = [part for part in card.get("parts") or [] if isinstance(part, dict)]
    if parts:
        click.echo()
        columns = ("part", "category", "table3_unit", "rows", "told by")
        cells = [[part.get("name"), *(part.get(c) for c in columns[1:3]), _rows(part), _rule(part)] for part in parts]
        print_table(columns, cells)


def _rule(part: dict[str, Any]) -> str | None:
    """What a part is told apart by: ``file allava_laion/…, image ~ ^coco/``."""
    rule = part.get("rule")
    if not isinstance(rule, dict):
        return None
    columns = rule.get("columns") or {}
    plain = [f"{name} {value}" for name, value in rule.items() if name != "columns"]
    return ", ".join([*plain, *(f"{column} ~ {pattern}" for column, pattern in columns.items())])


def _rows(part: dict[str, Any]) -> int | str | None:
    text: str | None = part.get("rows")
    return int(text) if text is not None and text.isdigit() else text


def _hub(row: dict[str, Any]) -> str | None:
    """``org/name, config, @revision`` as far as it is known."""
    if row["hub_repo"] is None:
        return None
    config = f", config {row['config']}" if row["config"] else ""
    return f"{row['hub_repo']}{config}{' @ ' + row['revision'] if row['revision'] else ', revision not pinned'}"


def _pairs(mapping: dict[str, Any] | None) -> str:
    return ", ".join(f"{key}: {value}" for key, value in (mapping or {}).items())


def _pulled(home: Path, name: str) -> list[dict[str, Any]]:
    """What of a dataset is in the data home: one entry a samples folder."""
    from registry.facts import finished, record_of, samples_name

    entries = []
    for folder in finished(home, "samples"):
        dataset, revision = samples_name(folder.name)
        if dataset == name:
            record = record_of(folder)
            counts = {field: record.get(field) for field in ("rows_in", "rows_out", "rejected")}
            parts = _part_counts(home, folder.name)
            entries.append({"folder": folder.name, "revision": revision, **counts, "parts": parts})
    return entries


def _part_counts(home: Path, folder: str) -> list[dict[str, Any]]:
    """Samples of one folder by part and category, counted in its files."""
    from registry.catalog import Catalog
    from registry.catalog_views import quoted

    with Catalog(home, ["samples"]) as catalog:
        columns = "part, category, count(*) AS samples, sum(len(images))::BIGINT AS images"
        where = f"folder = {quoted(folder)}"
        counted = catalog.query(f"SELECT {columns} FROM samples WHERE {where} GROUP BY ALL ORDER BY ALL")  # noqa: S608 - quoted
        return [dict(zip(counted.columns, row, strict=True)) for row in counted.rows()]


def _print_pulled(name: str, pulled: list[dict[str, Any]]) -> None:
    from curator.output import note, print_fields, print_table

    if not pulled:
        note(f"not in the data home yet: curator pull {name}")
    for entry in pulled:
        click.echo()
        rejected = ", ".join(f"{count:,} {reason}" for reason, count in (entry["rejected"] or {}).items())
        print_fields(
            [
                ("in the data home", entry["folder"]),
                ("rows", f"{entry['rows_in']:,} in, {entry['rows_out']:,} samples"),
                ("rejected", rejected),
            ]
        )
        columns = ("part", "category", "samples", "images")
        print_table(columns, [[part[column] for column in columns] for part in entry["parts"]])
