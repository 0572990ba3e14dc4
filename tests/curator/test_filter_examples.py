from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from curator import normalise as normalise_module
from curator.filter_examples import AT_EACH, DRAWN, NEAREST, Section, bound_in_words, sections, with_examples
from curator.filter_page import write_filter_page
from curator.filtering import Wanted, measure_all, parse_bounds, summary_rows
from curator.samples import Samples, find_samples
from registry.recipe import Bounds
from registry.store import Home
from tests.curator.data_home import make_captions, make_chats, pulled, write_card, write_json


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def shown(home: Home, samples: Samples, wanted: Wanted, *names: str) -> list[Section]:
    """The sections of these bounds, or of all columns of the filters that are named."""
    return sections(samples, measure_all(home, samples, names or wanted), wanted)


def told(home: Home, samples: Samples, bound: str) -> Section:
    """The one section of one bound."""
    (found,) = shown(home, samples, parse_bounds([bound]))
    return found


def lengths(section: Section, says: str) -> list[int]:
    return [int(str(one.value)) for one in section.examples if one.says == says]


def make_long(home: Home, folder: Path, step: int = 1) -> Samples:
    """Forty chats whose texts together have 20 to 59 words; with a step of -1 the longest come first."""
    name = "long"
    rows = []
    for extra in range(40)[::step]:
        said = {"human": "one two three four five", "gpt": " ".join(["word"] * (15 + extra))}
        turns = [{"from": who, "value": text} for who, text in said.items()]
        rows.append({"id": f"row-{extra}", "conversations": turns})
    write_json(folder / name / "train.json", rows)
    card = write_card(home, name, format="llava_chat", parts=[{"name": "all", "category": "text_only"}])
    pulled(home, card, folder / name)
    return find_samples(home, name)


def test_a_bound_shows_what_is_next_to_it_then_some_drawn(home: Home, tmp_path: Path) -> None:
    found = told(home, make_long(home, tmp_path), "text_length.words=30:")
    assert found.counts == {"samples": 40, "not measured": 0, "dropped": 10, "kept": 30}
    assert lengths(found, "dropped, next to the bound") == [29, 28, 27, 26][:NEAREST]
    assert lengths(found, "kept, next to the bound") == [30, 31, 32, 33][:NEAREST]
    drawn = lengths(found, "dropped, drawn at random")
    assert len(drawn) == DRAWN
    assert set(drawn) <= set(range(20, 26)), "none is shown twice"
    assert drawn != sorted(drawn, reverse=True), "drawn, not the next ones"
    assert {one.fate for one in found.examples if int(str(one.value)) < 30} == {"dropped"}


def test_of_two_ends_the_nearer_one_counts(home: Home, tmp_path: Path) -> None:
    found = told(home, make_long(home, tmp_path), "text_length.words=22:57")
    assert found.counts["dropped"] == 4
    assert sorted(lengths(found, "dropped, next to the bound")) == [20, 21, 58, 59]
    assert sorted(lengths(found, "kept, next to the bound")) == [22, 23, 56, 57]


def test_a_share_ends_where_the_last_value_lies_that_it_keeps(home: Home, tmp_path: Path) -> None:
    found = told(home, make_long(home, tmp_path), "text_length.words=highest:0.25")
    assert (found.title, found.counts["dropped"]) == ("text_length.words among the highest 25%", 30)
    assert lengths(found, "dropped, next to the bound") == [49, 48, 47, 46]
    assert lengths(found, "kept, next to the bound") == [50, 51, 52, 53]


def test_what_does_not_apply_is_counted_and_not_shown(home: Home, tmp_path: Path) -> None:
    found = told(home, make_chats(home, tmp_path, "x", 12), "image_size.aspect=:2")
    assert found.counts == {"samples": 12, "not measured": 12, "dropped": 0, "kept": 12}
    assert found.examples == []


def test_a_name_has_no_neighbours(home: Home, tmp_path: Path) -> None:
    found = told(home, make_long(home, tmp_path), "text_length.turns=1")
    assert found.title == "text_length.turns is '1'"
    assert {one.says for one in found.examples} == {"kept, drawn at random"}
    assert len(found.examples) == DRAWN


def test_without_bounds_each_column_is_shown_at_its_quantiles(home: Home, tmp_path: Path) -> None:
    found = {one.column: one for one in shown(home, make_long(home, tmp_path), {}, "text_length")}
    words = found["words"]
    assert words.bound is None
    assert [(one.says, one.value) for one in words.examples] == [
        ("least", 20),
        ("p05", 21),
        ("median", 39),
        ("p95", 57),
        ("largest", 59),
    ]
    assert [one.value for one in found["turns"].examples] == [1] * 5 * AT_EACH
    assert len({one.row["id"] for one in found["turns"].examples}) == 5 * AT_EACH, "each is shown once"


def test_what_is_shown_depends_on_no_order_and_no_layout_of_files(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = make_long(home, tmp_path)
    whole = told(home, samples, "text_length.words=30:")
    monkeypatch.setattr(normalise_module, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(normalise_module, "ROWS_PER_FILE", 8)
    other = Home(tmp_path / "other")
    split = make_long(other, tmp_path, step=-1)
    assert len(split.files()) > len(samples.files())
    assert [e.plain() for e in told(other, split, "text_length.words=30:").examples] == [
        e.plain() for e in whole.examples
    ]


def test_rows_of_a_summary_hold_the_examples_of_their_bound(home: Home, tmp_path: Path) -> None:
    samples, wanted = make_long(home, tmp_path), parse_bounds(["text_length.words=30:"])
    rows = summary_rows(measure_all(home, samples, ["text_length"]), wanted)
    full = {row["column"]: row for row in with_examples(rows, shown(home, samples, wanted))}
    assert "examples" not in full["chars"]
    examples = full["words"]["examples"]
    assert isinstance(examples, list)
    assert full["words"]["dropped"] == 10
    assert examples[0] | {"id": ""} == {
        "id": "",
        "source_id": "row-9",
        "value": 29,
        "fate": "dropped",
        "says": "dropped, next to the bound",
        "request": "one two three four five",
        "answer": " ".join(["word"] * 24),
    }


def test_the_page_holds_pictures_values_and_what_was_measured(home: Home, tmp_path: Path) -> None:
    samples, out = make_captions(home, tmp_path, "pics", 12), tmp_path / "out" / "page.html"
    wanted = parse_bounds(["image_size.short_side_px=13:", "text_length.words=4:"])
    write_filter_page(home, samples, shown(home, samples, wanted), out)
    page = out.read_text(encoding="utf-8")
    assert page.count("data:image/") == NEAREST * 2 + DRAWN * 2
    assert "12 (dropped, next to the bound)" in page
    assert "image_size.short_side_px at least 13" in page
    assert "picture number" in page
    assert "http" not in page
    shutil.rmtree(home.images)
    write_filter_page(home, samples, shown(home, samples, {}, "text_length"), out)
    page = out.read_text(encoding="utf-8")
    assert "data:image/" not in page, "pictures that are gone do not stop the page"
    assert "(median)" in page


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (Bounds(min=3), "at least 3"),
        (Bounds(max=2.5), "at most 2.5"),
        (Bounds(min=1, max=7), "1 to 7"),
        (Bounds(equals="en"), "is 'en'"),
        (Bounds(min=3, lowest=0.2), "at least 3 and among the lowest 20%"),
    ],
)
def test_bounds_are_told_in_words(bounds: Bounds, words: str) -> None:
    assert bound_in_words(bounds) == words
