from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.ui import searching
from curator.ui.searching import Hits, Range, Wanted, search
from curator.ui.shelves import Shelf, measure_columns
from registry.errors import Refusal
from registry.sample import arrow_schema, conversation
from registry.store import Home, Record

WORDS = ("red", "Blue", "green square", "ΑΒΓ", "中文", "100%", "a_b", "(x|y)")
Row = dict[str, Any]
PAGE = 8


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    draw = random.Random(7)
    return [
        {
            "n": n,
            "id": f"{n:032x}",
            "dataset": "d",
            "part": draw.choice(["p", "q"]),
            "source_id": f"row-{n}",
            "category": "captioning" if n < 60 else draw.choice(["ocr", "chart"]),
            "images": [],
            "messages": conversation(
                [(role, " ".join(draw.choices(WORDS, k=3))) for role in ("user", "assistant") * draw.randint(1, 3)]
            ),
            "ratings": [],
            "length": draw.choice([None, draw.randint(0, 9)]),
            "share": float(np.float32(draw.choice([0.2, 0.5]))),
            "language": draw.choice(["en", "zh", None]),
            "found": draw.choice(["captioning", "ocr", "chart"]),
        }
        for n in range(211)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def home(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Home:
    """211 samples in two folders of small files and row groups, with a measure beside the first one."""
    home = Home(tmp_path_factory.mktemp("search"))
    for name, own, size in (("a@r-000000000001", rows[:150], 40), ("b@r-000000000002", rows[150:], 100)):
        files = [own[start : start + size] for start in range(0, len(own), size)]
        _write(home.stage("samples") / name, files, arrow_schema(), home)
    schema = pa.schema(
        [("id", pa.string()), ("length", pa.int32()), ("share", pa.float32()), ("language", pa.string())]
    )
    first = [rows[:150][start : start + 40] for start in range(0, 150, 40)]
    measures = home.stage("measures") / "a@r-000000000001"
    _write(measures / "sizes-00000000000a", first, schema, home)
    _write(measures / "labels-00000000000b", [[r | {"category": r["found"]} for r in part] for part in first],
           pa.schema([("id", pa.string()), ("category", pa.string())]), home)  # fmt: skip
    _write(measures / "whole-00000000000c", [rows[:150]], schema, home)  # another layout: not beside the samples
    return home


def _write(folder: Path, files: list[list[Row]], schema: pa.Schema, home: Home) -> None:
    with home.making(folder, Record(kind="samples", name=folder.name, digest="0")) as out:
        for number, own in enumerate(files):
            table = pa.Table.from_pylist(own, schema=schema)
            pq.write_table(table, out / f"part-{number:05d}.parquet", row_group_size=7)


@pytest.fixture
def shelf(home: Home, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setattr(searching, "WINDOW", 16)
    return Shelf.of(home.finished("samples"))


def text_of(row: Row) -> str:
    return "\n".join(part["text"] or "" for message in row["messages"] for part in message["content"])


def both(row: Row) -> bool:
    return (row["category"], row["part"]) == ("ocr", "q") and "red" in text_of(row)


ASKED: list[tuple[Wanted, Callable[[Row], bool]]] = [
    (Wanted(), lambda _: True),
    (Wanted(text="GREEN sq"), lambda row: "green sq" in text_of(row)),
    (Wanted(text="αβγ"), lambda row: "ΑΒΓ" in text_of(row)),
    (Wanted(text="中文"), lambda row: "中文" in text_of(row)),
    (Wanted(text="(x|y)"), lambda row: "(x|y)" in text_of(row)),
    (Wanted(text="0%"), lambda row: "0%" in text_of(row)),
    (Wanted(text="nobody says that"), lambda _: False),
    (Wanted(category="ocr"), lambda row: row["category"] == "ocr"),
    (Wanted(category="ocr", part="q", text="red"), both),
    (Wanted(name="row-77"), lambda row: row["n"] == 77),
    (Wanted(name=f"{78:032x}"), lambda row: row["n"] == 78),
    (Wanted(folder="b@r-000000000002"), lambda row: row["n"] >= 150),
    (Wanted(ranges=(Range("sizes-00000000000a", "length", 3, 6),)),
     lambda row: row["n"] < 150 and row["length"] in range(3, 7)),
    (Wanted(ranges=(Range("sizes", "length"),)), lambda row: row["n"] < 150 and row["length"] is not None),
    (Wanted(ranges=(Range("sizes", "share", None, 0.2),)), lambda row: row["n"] < 150 and row["share"] < 0.3),
    (Wanted(ranges=(Range("sizes", "language", equals="zh"),)), lambda row: row["n"] < 150 and row["language"] == "zh"),
    (Wanted(ranges=(Range("sizes", "nothing"),)), lambda _: False),
    (Wanted(ranges=(Range("whole", "length", 0),)), lambda _: False),
    (Wanted(moved_by="labels-00000000000b"), lambda row: row["n"] < 150 and row["found"] != row["category"]),
    (Wanted(among=np.arange(211) % 3 == 1, text="red"), lambda row: row["n"] % 3 == 1 and "red" in text_of(row)),
]  # fmt: skip


def ask(shelf: Shelf, home: Home, wanted: Wanted, start: int = 0, **more: Any) -> Hits:
    return search(shelf, wanted, home.stage("measures"), start, PAGE, **more)


@pytest.mark.parametrize("number", range(len(ASKED)))
def test_pages_hold_what_a_look_at_every_row_finds(
    number: int, shelf: Shelf, home: Home, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, holds = ASKED[number]
    expected = [row["n"] for row in rows if holds(row)]
    first = ask(shelf, home, wanted)
    assert (first.matched, first.complete) == (len(expected), True)
    monkeypatch.setattr(searching, "COUNTING", 0)
    pages: list[list[int]] = []
    start: int | None = 0
    while start is not None:
        hits = ask(shelf, home, wanted, start)
        pages.append(hits.numbers)
        assert len(hits.numbers) <= PAGE
        start = hits.onward
    assert [n for page in pages for n in page] == expected


@pytest.mark.parametrize("number", range(len(ASKED)))
def test_pages_backwards_are_the_same_rows(number: int, shelf: Shelf, home: Home, rows: list[Row]) -> None:
    wanted, holds = ASKED[number]
    expected = [row["n"] for row in rows if holds(row)]
    found: list[int] = []
    before: int | None = len(rows)
    while before is not None:
        hits = ask(shelf, home, wanted, before, backwards=True)
        found = hits.numbers + found
        before = None if hits.onward is None else hits.numbers[0] if hits.numbers else hits.onward
    assert found == expected


def test_a_search_whose_time_is_up_says_where_it_is_and_goes_on_from_there(shelf: Shelf, home: Home) -> None:
    wanted = Wanted(name="row-200")
    hits = ask(shelf, home, wanted, patience=0)
    assert (hits.numbers, hits.complete) == ([], False)
    assert 0 < hits.searched < 211
    steps = 1
    while not hits.numbers:
        assert hits.onward is not None
        hits = ask(shelf, home, wanted, hits.onward, patience=0)
        steps += 1
    assert hits.numbers == [200]
    assert steps > 2


def test_where_footers_exclude_a_value_nothing_is_read(
    shelf: Shelf, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    plain = searching._column

    def noted(file: Any, name: str, window: Any) -> Any:
        if name == "category":  # a thread may still read other columns for a search that was given up
            seen.append(window.start + window.begin)
        return plain(file, name, window)

    monkeypatch.setattr(searching, "_column", noted)
    assert ask(shelf, home, Wanted(category="captioning"), patience=60).matched == 60
    assert max(seen) < 60  # the first sixty rows alone have it


def test_rows_come_in_the_order_they_were_asked_for(shelf: Shelf, rows: list[Row]) -> None:
    numbers = [200, 3, 150, 149, 3]
    found = shelf.rows_at(numbers, ["source_id"])
    assert [found[n][2].to_pylist()[0]["source_id"] for n in numbers] == [rows[n]["source_id"] for n in numbers]
    assert shelf.number("b@r-000000000002", "part-00000.parquet", 50) == 200
    with pytest.raises(Refusal, match="has no row 99"):
        shelf.number("b@r-000000000002", "part-00000.parquet", 99)


def test_only_measures_with_a_row_for_each_sample_can_be_asked_for(home: Home) -> None:
    found = [column.title for column in measure_columns(home, "a@r-000000000001")]
    assert found == ["labels.category", "sizes.length", "sizes.share", "sizes.language"]
    assert measure_columns(home, "b@r-000000000002") == []
