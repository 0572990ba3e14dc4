from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curator.mix import build_mix
from curator.ui.fates import ELSEWHERE, FATES, INSIDE, LEFT, Drawn, Fates, drawn, fates
from registry.mix import MixReader
from registry.recipe import Recipe
from registry.store import Home, read_record
from tests.curator.data_home import make_captions, make_chats

BOUND = "text_length.chars"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("fates")
    home = Home(folder / "home")
    parts = [
        {"name": "odd", "category": "mathematics", "rule": {"request": "[13579] and"}},
        {"name": "rest", "category": "text_only"},
    ]
    make_chats(home, folder, "chats", 120, parts=parts)
    make_captions(home, folder, "pics", 30)
    return home


def built(home: Home, *parts: dict[str, object], name: str = "m") -> tuple[Path, Drawn, Fates]:
    folder = build_mix(home, Recipe.model_validate({"name": name, "parts": list(parts)}))[0]
    return folder, drawn(home, folder), fates(home.path, folder)


def counts(known: Fates) -> dict[str, int]:
    """Fate -> samples."""
    return {name: rows for code, name in enumerate(known.names) if (rows := int((known.codes == code).sum()))}


def test_every_sample_has_the_fate_that_the_account_of_the_mix_tells(home: Home) -> None:
    chats = {"dataset": "chats", "part": "odd", "choose": 20, "filters": {"text_length": {"chars": {"max": 28}}}}
    folder, mix, known = built(home, chats, {"dataset": "pics", "repeat": 2})
    rejected = read_record(folder).rejected
    assert counts(known) == {
        FATES[ELSEWHERE]: 60,
        FATES[INSIDE]: 50,
        FATES[LEFT]: rejected["not drawn"],
        **({BOUND: rejected[BOUND]} if BOUND in rejected else {}),
    }
    assert mix.bounds == {BOUND: "at most 28"}


def test_a_sample_that_a_bound_drops_is_named_by_it(home: Home) -> None:
    _, mix, known = built(home, {"dataset": "chats", "filters": {"text_length": {"chars": {"highest": 0.25}}}})
    assert counts(known) == {FATES[INSIDE]: 30, BOUND: 90}
    assert mix.bounds == {BOUND: "among the highest 25%"}
    assert int(known.among(BOUND, "", "").sum()) == 90


def test_places_in_the_mix_are_those_of_its_rows(home: Home) -> None:
    folder, mix, known = built(home, {"dataset": "pics", "repeat": 3}, {"dataset": "chats", "choose": 50})
    rows = MixReader(home, folder).rows().to_pylist()
    first: dict[int, int] = {}
    for place, row in enumerate(rows):
        first.setdefault(mix.shelf.number(row["folder"], row["file"], row["row"]), place)
    there = {number: int(place) for number, place in enumerate(known.positions.tolist()) if place >= 0}
    assert there == first
    assert len(rows) == 140


def test_part_and_category_are_those_of_the_mix(home: Home) -> None:
    folder, mix, known = built(home, {"dataset": "chats"}, {"dataset": "pics"})
    for part, category in (("odd", ""), ("", "text_only"), ("odd", "mathematics"), ("all", "text_only"), ("x", "")):
        rows = MixReader(home, folder).rows().to_pylist()
        expected = {
            mix.shelf.number(row["folder"], row["file"], row["row"])
            for row in rows
            if part in ("", row["part"]) and category in ("", row["category"])
        }
        assert set(known.among(FATES[INSIDE], part, category).nonzero()[0].tolist()) == expected


def test_samples_that_are_not_here_any_more_are_no_reason_to_fail(home: Home, tmp_path: Path) -> None:
    folder, mix, _ = built(home, {"dataset": "chats", "choose": 40}, {"dataset": "pics"}, name="gone")
    rows = MixReader(home, folder).rows().to_pylist()
    other = Home(tmp_path / "other")
    for stage, name in (("mixes", folder.name), ("samples", rows_of("chats", mix))):
        target = other.stage(stage) / name
        target.parent.mkdir(parents=True)
        target.symlink_to(home.stage(stage) / name)
    known = fates(other.path, other.stage("mixes") / folder.name)
    own = [place for place, row in enumerate(rows) if row["dataset"] == "chats"]
    assert sorted(place for place in known.positions.tolist() if place >= 0) == own


def rows_of(dataset: str, mix: Drawn) -> str:
    """The samples folder of a dataset in a mix."""
    return next(part.samples_folder for part in mix.info.parts if part.dataset == dataset)


def test_a_mix_of_large_files_is_read_in_pieces(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _, whole = built(home, {"dataset": "chats"}, {"dataset": "pics"}, name="pieces")
    monkeypatch.setattr("curator.ui.fates.BATCH", 7)
    fates.cache_clear()
    again = fates(home.path, folder)
    assert again is not whole
    assert again.positions.tolist() == whole.positions.tolist()
    assert pq.read_metadata(next(folder.glob("rows-*.parquet"))).num_rows == 150
