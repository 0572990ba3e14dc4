"""Each filter against an artefact of its name; then how measures are kept and how bounds read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curator import measure as measure_module
from curator.batch import Batch
from curator.bounds import keeps
from curator.filtering import filter_rows, measure_all, parse_bounds, plan_rows, summary_rows
from curator.measure import FILTERS, columns_read, filter_names, load_filter, measure, wanted_model
from registry.discovery import load_module
from registry.errors import Refusal
from registry.recipe import Bounds
from registry.store import Home, read_record
from tests.curator.artefacts import ARTEFACTS, batch_of
from tests.curator.data_home import file_bytes, make_captions, make_chats, rows_of

PLAIN = [name for name in filter_names() if not wanted_model(name)]
"""Filters that measure in this process; those with a model are in test_model_filters.py."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.mark.parametrize("name", PLAIN)
def test_samples_measure_what_the_artefact_says(name: str, home: Home) -> None:
    case = json.loads((ARTEFACTS / f"{name}.json").read_text(encoding="utf-8"))
    whole = batch_of(home, case["samples"])
    batch = Batch(whole.table.select(columns_read(name)), whole.images)
    measured = load_module(FILTERS, name, "filter").measure(batch)
    assert list(measured) == list(case["expect"])
    for column, expected in case["expect"].items():
        found = measured[column].to_pylist()
        shown = [round(value, 4) if isinstance(value, float) else value for value in found]
        assert shown == expected, column
    assert batch.images is not None
    batch.images.close()


@pytest.mark.parametrize("name", PLAIN)
def test_a_filter_measures_no_samples_too(name: str, home: Home) -> None:
    measured = load_filter(name).measure(batch_of(home, []))
    assert all(len(values) == 0 for values in measured.values())
    assert set(measured) == set(load_filter(name).COLUMNS)


def test_every_filter_has_an_artefact_and_names_its_units() -> None:
    assert {path.stem for path in ARTEFACTS.glob("*.json")} == set(filter_names())
    assert all(row["unit"] and row["meaning"] for row in filter_rows())


def test_a_measure_has_the_files_and_the_order_of_its_samples(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curator import normalise as normalise_module

    monkeypatch.setattr(normalise_module, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(normalise_module, "ROWS_PER_FILE", 8)
    monkeypatch.setattr(measure_module, "BATCH_ROWS", 3)
    samples = make_captions(home, tmp_path, "x", 20)
    told: list[int] = []
    made = measure(home, samples, "text_length", told.append)
    assert [p.name for p in sorted(made.folder.glob("part-*"))] == [p.name for p in samples.files()]
    assert [row["id"] for row in rows_of(made.folder)] == [row["id"] for row in rows_of(samples.folder)]
    assert made.folder.parent.name == samples.folder.name
    assert sum(told) == 20
    record = read_record(made.folder)
    assert record.inputs == {f"samples/{samples.folder.name}": samples.record.digest}
    assert (record.rows_in, record.rows_out) == (20, 20)


def test_a_measure_is_made_once_until_its_filter_changes(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = make_captions(home, tmp_path, "x", 3)
    first = measure(home, samples, "blank_image")
    assert measure(home, samples, "blank_image").already_there
    monkeypatch.setattr(load_filter("blank_image"), "VERSION", 99)
    second = measure(home, samples, "blank_image")
    assert second.folder != first.folder
    assert file_bytes(first.folder)["part-00000.parquet"] == file_bytes(second.folder)["part-00000.parquet"]


@pytest.mark.parametrize(
    ("bounds", "kept"),
    [
        (Bounds(min=2), [False, True, True, True]),
        (Bounds(max=2), [True, True, False, True]),
        (Bounds(min=2, max=2), [False, True, False, True]),
        (Bounds(equals="3"), [False, False, True, True]),
        (Bounds(min=1.5), [False, True, True, True]),
    ],
)
def test_bounds_are_inclusive_and_what_does_not_apply_stays(bounds: Bounds, kept: list[bool]) -> None:
    import pyarrow as pa

    values = pa.chunked_array([pa.array([1, 2], pa.int32()), pa.array([3, None], pa.int32())])
    assert keeps(pa.table({"x": values}), "x", bounds).to_pylist() == kept


def test_a_share_is_within_a_bound_of_the_same_number() -> None:
    import pyarrow as pa

    shares = pa.table({"x": pa.array([0.1, 0.2, 0.3], pa.float32())})
    assert keeps(shares, "x", Bounds(max=0.2)).to_pylist() == [True, True, False]
    assert keeps(shares, "x", Bounds(min=0.1, max=0.3)).to_pylist() == [True, True, True]


def test_a_filter_or_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refusal, match="did you mean 'image_size'"):
        load_filter("imagesize")
    with pytest.raises(Refusal, match="measures no 'short_side'; did you mean 'short_side_px'"):
        parse_bounds(["image_size.short_side=1:"])
    for text in ("image_size.aspect", "image_size.aspect=a:b"):
        with pytest.raises(Refusal, match=r"is not FILTER.COLUMN=MIN:MAX"):
            parse_bounds([text])


def test_a_summary_says_what_each_bound_would_drop_alone(home: Home, tmp_path: Path) -> None:
    samples = make_chats(home, tmp_path, "x", 12)
    assert [row["samples"] for row in plan_rows(home, samples, ["text_length"], {})] == [12]
    wanted = parse_bounds(["text_length.chars=30:", "text_length.turns=1"])
    rows = {
        row["column"]: row for row in summary_rows(measure_all(home, samples, ["text_length", "image_size"]), wanted)
    }
    lengths = sorted(len(f"What is {i} and one?It is {i + 1}.") for i in range(12))
    assert (rows["chars"]["min"], rows["chars"]["max"]) == (lengths[0], lengths[-1])
    assert rows["chars"]["dropped"] == sum(length < 30 for length in lengths)
    assert rows["turns"]["dropped"] == 0
    assert rows["words"]["dropped"] is None
    assert (rows["pixels"]["measured"], rows["pixels"]["median"]) == (0, None)
    assert [row["samples"] for row in plan_rows(home, samples, ["text_length"], {})] == [0]
