"""Pages of what is in the data home: the first one, datasets, mixes, and in what two mixes differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.ledger import LEDGER, read_ledger, shortfalls
from curator.ui.asked import Asked
from curator.ui.fates import leaves
from curator.ui.library import Library
from curator.ui.rendering import page
from curator.ui.running import being_made
from curator.ui.shelves import measure_columns
from registry import facts
from registry.errors import Refusal
from registry.mix import MixInfo, MixReader
from registry.store import Home, read_record
from registry.taxonomy import CATEGORIES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from curator.mix_diff import MixDiff

FEW = 8
"""Things of a kind that the first page names."""


def start(library: Library, request: Request) -> Response:
    """What is in the data home, with counts."""
    home = library.home
    samples = [(folder, read_record(folder)) for folder in home.finished("samples")]
    made = {stage: [one.name for one in home.finished(stage)] for stage in ("mixes", "trials", "decisions")}
    return page(
        request,
        "start.html.jinja",
        home=str(home.path),
        is_there=home.path.is_dir(),
        datasets=len({folder.name.partition("@")[0] for folder, _ in samples}),
        rows=sum(record.rows_out for _, record in samples),
        aside=sum(sum(record.rejected.values()) for _, record in samples),
        samples=[(folder.name, record) for folder, record in samples],
        few=FEW,
        making=being_made(home),
        mixes=made["mixes"],
        trials=made["trials"],
        decisions=made["decisions"],
    )


def datasets(library: Library, request: Request) -> Response:
    """The datasets of the home; of the whole registry where that is asked for."""
    asked = Asked(request.query_params)
    whole = asked.choice("of", "home", "registry") == "registry"
    words, category = asked.text("q").lower(), asked.text("category")
    rows = [
        row
        for row in facts.dataset_rows(facts.HomeFacts(library.home.path))
        if (whole or row["pulled"])
        and (not category or category in row["categories"])
        and words in json.dumps(row["card"], ensure_ascii=False).lower()
    ]
    sizes = {folder.name: read_record(folder).rows_out for folder in library.home.finished("samples")}
    return page(
        request,
        "datasets.html.jinja",
        rows=[(row, _size(row["name"], sizes)) for row in rows],
        whole=whole,
        q=asked.text("q"),
        category=category,
        categories=CATEGORIES,
    )


def dataset(library: Library, request: Request) -> Response:
    """One dataset: facts of its card, terms, and what came of each pull."""
    name = request.path_params["name"]
    home = library.home
    pulled = [(folder, _ledger(folder)) for folder in library.samples_of(name)]
    known = facts.card_paths(home.path)
    if name not in known and not pulled:
        raise Refusal(f"dataset '{name}'", "there is no card of that name, and no samples", "see the list of datasets")
    card = facts.card_facts(known[name]) if name in known else {}
    return page(
        request,
        "dataset.html.jinja",
        name=name,
        row=facts.dataset_row(name, card),
        folders=[
            {
                "name": folder.name,
                "record": read_record(folder),
                "ledger": ledger,
                "parts": _bars([(f"{one['part']} · {one['category']}", one["kept"]) for one in ledger["parts"]]),
                "shortfalls": shortfalls(ledger),
                "columns": measure_columns(home, folder.name),
            }
            for folder, ledger in pulled
        ],
        mixes=[(folder.name, info.name) for folder, info in _mixes(home) if name in info.datasets],
    )


def mixes(library: Library, request: Request) -> Response:
    """All mixes, and two of them to compare."""
    rows = [(folder.name, info, read_record(folder)) for folder, info in _mixes(library.home)]
    return page(request, "mixes.html.jinja", rows=rows)


def mix(library: Library, request: Request) -> Response:
    """One mix: what it is composed of, what was dropped and why, who trained on it, its recipe."""
    folder = library.folder("mixes", request.path_params["folder"])
    info = MixReader(library.home, folder).info
    composed = [(f"{one.dataset} · {one.part} · {one.category}", one.rows) for one in info.composition]
    bounds = {
        f"{one['filter']}.{column}": bound
        for leaf in leaves(info.recipe)
        for one in leaf.get("filters", ())
        for column, bound in one["bounds"].items()
    }
    trials = [
        one.name for one in library.home.finished("trials") if read_record(one).inputs.get("mix") == info.content_digest
    ]
    return page(
        request,
        "mix.html.jinja",
        folder=folder.name,
        info=info,
        record=read_record(folder),
        composition=_bars(composed or list(info.datasets.items())),
        categories=_bars(list(info.categories.items())),
        bounds=bounds,
        trials=trials,
        others=[other.name for other, _ in _mixes(library.home) if other != folder],
        recipe=json.dumps(info.recipe, indent=2, ensure_ascii=False),
    )


def diff(library: Library, request: Request) -> Response:
    """In what two mixes differ."""
    asked = Asked(request.query_params)
    a, b = (library.folder("mixes", asked.text(name)) for name in ("a", "b"))
    return page(request, "diff.html.jinja", a=a.name, b=b.name, diff=_diff(library.home.path, a, b))


@lru_cache(maxsize=16)
def _diff(home: Path, a: Path, b: Path) -> MixDiff:
    """Rows of both are held while they are compared."""
    from curator.mix_diff import Side, diff_mixes

    sides = [MixReader(Home(home), folder) for folder in (a, b)]
    left, right = (Side(reader.folder.name, reader.info, reader.rows()) for reader in sides)
    return diff_mixes(left, right)


def _mixes(home: Home) -> Iterator[tuple[Path, MixInfo]]:
    """Finished mixes with their accounts, by name."""
    for folder in home.finished("mixes"):
        yield folder, MixReader(home, folder).info


def _size(dataset: str, sizes: Mapping[str, int]) -> int:
    return sum(rows for folder, rows in sizes.items() if folder.partition("@")[0] == dataset)


def _bars(counts: list[tuple[str, int]]) -> list[tuple[str, int, float, float]]:
    """Name, count, share of all, and length of the bar in per cent of the longest."""
    total, most = sum(rows for _, rows in counts) or 1, max((rows for _, rows in counts), default=0) or 1
    return [(name, rows, rows / total, round(100 * rows / most, 2)) for name, rows in counts]


def _ledger(folder: Path) -> dict[str, Any]:
    """The ledger of a samples folder; what its record says where it was made without one."""
    if (folder / LEDGER).is_file():
        return read_ledger(folder)
    record = read_record(folder)
    declared = {"rows": None, "samples": None, "images": None}
    counts = {"found": record.rows_in, "kept": record.rows_out, "without_pictures": 0, "rejected": record.rejected}
    return counts | {"declared": declared, "expected_rejections": [], "missing_images": {}, "parts": []}
