"""Pages of samples: many of a dataset or a mix, filtered; one; and the rows that were set aside."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.output import plain
from curator.ui.asked import Asked, decimal
from curator.ui.excerpts import MANY_CHARACTERS, MANY_PICTURES, TURNS, excerpt, excerpts
from curator.ui.fates import FATES, INSIDE, Drawn, drawn, fates
from curator.ui.library import Library
from curator.ui.rendering import page
from curator.ui.searching import Hits, Range, Wanted, search
from curator.ui.shelves import MeasureColumn, Shelf, measure_columns, measure_folders, measure_name, sample_file
from registry.errors import Refusal
from registry.mix import MIX_FILE, MixInfo
from registry.store import read_record

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = 24
"""Samples on a page."""
ROWS = 50
"""Rows that were set aside, on a page."""
RANGES = 2
"""Measured columns that can be asked for at once."""
LOOKING = 0.6
"""Seconds in which mixes are asked whether they have a sample; the others are named with a link."""
REJECTED = "rejected.parquet"


@dataclass(frozen=True, eq=False)
class Choices:
    """What the form offers."""

    folders: list[str]
    parts: list[str]
    categories: list[str]
    reasons: list[tuple[str, str]]
    """Value and words."""
    columns: list[MeasureColumn]


def browse_dataset(library: Library, request: Request) -> Response:
    """The samples of one samples folder."""
    folder = library.folder("samples", request.path_params["folder"])
    asked = Asked(request.query_params)
    shelf = Shelf.of([folder])
    columns = measure_columns(library.home, folder.name)
    moved = [f"moved:{c.key.rpartition('.')[0]}" for c in columns if c.key.endswith(".category")]
    reasons = [(one, f"moved to another category by {one[6:]}") for one in moved]
    parts, categories = _labels(folder)
    reason = asked.choice("reason", "", *moved)
    wanted = _wanted(asked, columns, part=asked.text("part"), category=asked.text("category"), moved_by=reason[6:])
    hits = _search(library, shelf, wanted, asked)
    return page(
        request,
        "browse.html.jinja",
        title=folder.name.partition("@")[0],
        back=("dataset", f"/datasets/{folder.name.partition('@')[0]}"),
        about=folder.name,
        choices=Choices([], parts, categories, reasons, columns),
        set_aside=read_record(folder).rejected,
        set_aside_at=f"{request.url.path}/set-aside",
        samples=[(None, one) for one in excerpts(shelf, hits.numbers)],
        **_said(hits, shelf.rows, asked, everything=wanted.everything),
    )


def browse_mix(library: Library, request: Request) -> Response:
    """The samples of a mix: in its order, or those that are asked for, in the order of their datasets."""
    folder = library.folder("mixes", request.path_params["folder"])
    asked = Asked(request.query_params)
    mix = drawn(library.home, folder)
    names = sorted({part.samples_folder for part in mix.info.parts})
    columns = _columns_of_all(library, names)
    wanted = _wanted(asked, columns, folder=asked.choice("folder", "", *names))
    labels = {name: asked.text(name) for name in ("part", "category")}
    reason = asked.choice("reason", FATES[INSIDE], *FATES, *mix.bounds)
    in_order = wanted.everything and not any(labels.values()) and reason == FATES[INSIDE]
    if in_order:
        hits = _search(library, mix.order, wanted, asked)
        places, numbers = hits.numbers, _numbers_in_order(mix, hits.numbers)
    else:
        known = fates(library.home.path, folder)
        wanted = replace(wanted, among=known.among(reason, **labels))
        if reason != FATES[INSIDE]:  # what is not in the mix has the labels of its samples alone
            wanted = replace(wanted, part=labels["part"], category=labels["category"])
        hits = _search(library, mix.shelf, wanted, asked)
        numbers = hits.numbers
        places = [int(known.positions[number]) for number in numbers]
    return page(
        request,
        "browse.html.jinja",
        title=mix.info.name,
        back=("mix", f"/mixes/{folder.name}"),
        about=folder.name,
        choices=Choices(names, *_labels_of_mix(mix), _reasons(mix), columns),
        set_aside={},
        set_aside_at="",
        samples=list(zip(places, excerpts(mix.shelf, numbers), strict=True)),
        **_said(hits, (mix.order if in_order else mix.shelf).rows, asked, everything=in_order, in_order=in_order),
    )


def one_sample(library: Library, request: Request) -> Response:
    """One sample: its turns (a page of them), what was measured, where it came from, what became of it."""
    folder = library.folder("samples", request.path_params["folder"])
    asked = Asked(request.query_params)
    shelf = Shelf.of([folder])
    number = shelf.number(folder.name, request.path_params["file"], int(request.path_params["row"]))
    file, row, table = next(iter(shelf.rows_at([number], _columns(shelf)).values()))
    turns = len(table.column("messages")[0].values)
    start = (asked.number("turn", turns - 1) or 0) // TURNS * TURNS
    return page(
        request,
        "sample.html.jinja",
        sample=excerpt(file, row, table, start, TURNS, MANY_CHARACTERS, MANY_PICTURES),
        start=start,
        per_page=TURNS,
        folder=folder.name,
        file=file.path.name,
        row=row,
        number=number,
        of=shelf.rows,
        neighbours=_neighbours(shelf, number),
        measures=list(_measured(library, file.path, row)),
        record=read_record(folder),
        mixes=list(_fates_of(library, folder.name, file.path.name, row, asked.text("mix"))),
    )


def set_aside(library: Library, request: Request) -> Response:
    """Rows that could not become samples, with the reason and where they stand in the published files."""
    folder = library.folder("samples", request.path_params["folder"])
    asked = Asked(request.query_params)
    record = read_record(folder)
    path = folder / REJECTED
    file = sample_file(path) if path.is_file() else None
    start = asked.number("at", file.rows if file else 0) or 0
    reason = asked.text("reason")
    rows, onward = _rejected(path, reason, start) if file else ([], None)
    return page(
        request,
        "set_aside.html.jinja",
        folder=folder.name,
        record=record,
        reason=reason,
        rows=rows,
        start=start,
        onward=onward,
    )


def _columns(shelf: Shelf) -> list[str]:
    """What is shown of one sample: older samples have no ratings."""
    stored = {name.partition(".")[0] for file in shelf.files for name in file.columns}
    known = ["id", "dataset", "part", "category", "source_id", "images", "messages", "ratings"]
    return [name for name in known if name in stored]


def _labels(folder: Path) -> tuple[list[str], list[str]]:
    """Parts and categories that a samples folder was made with."""
    made = read_record(folder).settings.get("parts", [])
    parts = [str(part.get("name")) for part in made if isinstance(part, dict)]
    categories = [str(part.get("category")) for part in made if isinstance(part, dict)]
    return parts, list(dict.fromkeys(categories))


def _columns_of_all(library: Library, folders: list[str]) -> list[MeasureColumn]:
    """What is measured of every one of these folders in the same way, by name of its filter."""
    found: dict[str, MeasureColumn] = {}
    for folder in folders:
        for column in measure_columns(library.home, folder):
            found.setdefault(column.title, MeasureColumn(column.title, column.title, column.unit, column.is_text))
    return sorted(found.values(), key=lambda column: column.title)


def _ranges(asked: Asked, columns: list[MeasureColumn]) -> tuple[Range, ...]:
    """The ranges of the form, those of columns that are there."""
    known = {column.key: column for column in columns}
    fields = [asked.texts(name) for name in ("measure", "low", "high")]
    ranges = []
    for key, low, high in zip(*(values + [""] * RANGES for values in fields), strict=False):
        if key in known:
            measure, _, column = key.rpartition(".")
            equals = low or None if known[key].is_text else None
            ranges.append(Range(measure, column, decimal(low), decimal(high), equals))
    return tuple(ranges[:RANGES])


def _wanted(asked: Asked, columns: list[MeasureColumn], **more: Any) -> Wanted:
    return Wanted(text=asked.text("q"), name=asked.text("id"), ranges=_ranges(asked, columns), **more)


def _labels_of_mix(mix: Drawn) -> tuple[list[str], list[str]]:
    """Parts and categories that a mix has rows of."""
    composed = mix.info.composition
    return sorted({one.part for one in composed}), sorted({one.category for one in composed} | {*mix.info.categories})


def _reasons(mix: Drawn) -> list[tuple[str, str]]:
    """Why samples may not be in a mix; that they are in it needs no choice."""
    dropped = {name: sum(part.dropped.get(name, 0) for part in mix.info.parts) for name in mix.bounds}
    bounds = [(name, f"left out by {name}, wanted {words} ({dropped[name]:,})") for name, words in mix.bounds.items()]
    return [*bounds, *((name, name) for number, name in enumerate(FATES) if number != INSIDE)]


def _search(library: Library, shelf: Shelf, wanted: Wanted, asked: Asked) -> Hits:
    before = asked.number("before", shelf.rows)
    measures = library.home.stage("measures")
    if before is not None:
        return search(shelf, wanted, measures, before, PAGE, backwards=True)
    return search(shelf, wanted, measures, asked.number("at", shelf.rows) or 0, PAGE)


def _numbers_in_order(mix: Drawn, places: list[int]) -> list[int]:
    """The samples at these places of a mix."""
    rows = mix.order.rows_at(places, ["folder", "file", "row"])
    named = [rows[place][2].to_pylist()[0] for place in places]
    return [mix.shelf.number(one["folder"], one["file"], one["row"]) for one in named]


def _said(hits: Hits, total: int, asked: Asked, *, everything: bool, in_order: bool = False) -> dict[str, Any]:
    """What a page of samples says of the search, and where the pages beside it begin."""
    before, at = asked.number("before", total), asked.number("at", total) or 0
    first = hits.numbers[0] if hits.numbers else None
    previous: int | None
    following: int | None
    if before is not None:
        previous = None if hits.onward is None else hits.onward if first is None else first
        following = hits.numbers[-1] + 1 if hits.numbers else before
    else:
        previous = (at if first is None else first) if at else None
        following = hits.onward
    fields = {name: asked.text(name) for name in ("q", "id", "folder", "part", "category", "reason")}
    ranges = {name: asked.texts(name) for name in ("measure", "low", "high")}
    rows = list(zip(*(values + [""] * RANGES for values in ranges.values()), strict=False))[:RANGES]
    return {
        "fields": fields | ranges,
        "ranges": rows,
        "hits": hits,
        "total": total,
        "everything": everything,
        "in_order": in_order,
        "from_start": before is None and not at,
        "previous": previous,
        "following": following,
    }


def _neighbours(shelf: Shelf, number: int) -> list[tuple[str, str]]:
    """The samples before and after one, as words and address."""
    found = []
    for words, other in (("previous sample", number - 1), ("next sample", number + 1)):
        if 0 <= other < shelf.rows:
            index, row = shelf.place(other)
            file = shelf.files[index]
            found.append((words, f"/samples/{file.folder}/{file.path.name}/{row}"))
    return found


def _measured(library: Library, path: Path, row: int) -> Iterator[tuple[str, str, Any, str]]:
    """Measure, column, value and unit of everything that was measured of one sample."""
    for folder in measure_folders(library.home, path.parent.name):
        file = sample_file(folder / path.name)
        units: Mapping[str, Any] = read_record(folder).settings.get("columns") or {}
        values = file.read([*{name.partition(".")[0]: None for name in file.columns}], row, row + 1).to_pylist()[0]
        for column, value in values.items():
            if column != "id":
                unit = units.get(column, "") if isinstance(units, dict) else ""
                yield measure_name(folder), column, plain(value), str(unit)


def _fates_of(library: Library, samples: str, file: str, row: int, asked: str) -> Iterator[tuple[str, str, int | None]]:
    """Mix, fate and place there, for each mix that was drawn from these samples; an empty fate: not looked at yet.

    The one that was asked for comes first; the others as far as the time goes.
    """
    folders = [folder for folder in library.home.finished("mixes") if _draws_from(folder, samples)]
    begun = time.monotonic()
    for folder in sorted(folders, key=lambda folder: (folder.name != asked, folder.name)):
        if time.monotonic() - begun > LOOKING and folder.name != asked:
            yield folder.name, "", None
            continue
        mix, known = drawn(library.home, folder), fates(library.home.path, folder)
        number = mix.shelf.number(samples, file, row)
        name, place = known.names[known.codes[number]], int(known.positions[number])
        bound = mix.bounds.get(name)
        yield folder.name, f"left out by {name}, wanted {bound}" if bound else name, place if place >= 0 else None


def _draws_from(folder: Path, samples: str) -> bool:
    try:
        info = MixInfo.model_validate_json((folder / MIX_FILE).read_bytes())
    except (OSError, ValueError):
        raise Refusal(str(folder / MIX_FILE), "damaged", "remove the mix and build it again") from None
    return any(part.samples_folder == samples for part in info.parts)


def _rejected(path: Path, reason: str, start: int) -> tuple[list[dict[str, Any]], int | None]:
    """Rows that were set aside, from ``start`` on, and where the next page begins."""
    import pyarrow.compute as pc

    file, rows = sample_file(path), list[dict[str, Any]]()
    begin = start
    while begin < file.rows:
        end = min(begin + 8192, file.rows)
        table = file.read(["source_id", "place", "reason", "detail"], begin, end)
        if reason:
            at = pc.indices_nonzero(pc.equal(table.column("reason"), reason)).to_pylist()
        else:
            at = list(range(min(table.num_rows, ROWS + 1)))
        taken = at[: ROWS + 1 - len(rows)]
        rows += table.take(taken).to_pylist()
        if len(rows) > ROWS:
            return rows[:ROWS], begin + taken[-1]
        begin = end
    return rows, None
