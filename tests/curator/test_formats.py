"""Each format against an artefact of its name: published rows, and the turns or the reason they become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curator.prompts import choice_question, option_index, with_request
from curator.raw_sample import Rejected, Unusable, marked, pictures_of
from curator.reading import RawFiles
from curator.selection import FORMATS, Form
from registry.card import Source
from registry.discovery import load_module, names, package_folder
from registry.errors import Refusal
from registry.sample import check, conversation

ARTEFACTS = Path(__file__).parent / "formats"
KNOWN = names(package_folder(FORMATS), ".py")


def cases() -> list[Any]:
    found = []
    for name in KNOWN:
        for number, case in enumerate(json.loads((ARTEFACTS / f"{name}.json").read_text(encoding="utf-8"))):
            found.append(pytest.param(name, case, id=f"{name}-{number}"))
    return found


def convert(name: str, case: dict[str, Any], folder: Path) -> list[Any]:
    """What the format makes of the rows of one case."""
    (folder / "rows.json").write_text(json.dumps(case["rows"]), encoding="utf-8")
    form = Form(name, case.get("columns", {}), case.get("options", {}), Source())
    prompts, rows_at = case.get("prompts", []), case.get("rows_at")
    source = RawFiles(folder, [folder / "rows.json"], form.roles(), form.options, prompts, rows_at)
    return list(load_module(FORMATS, name, "format").rows(source))


@pytest.mark.parametrize(("name", "case"), cases())
def test_rows_become_what_the_artefact_says(name: str, case: dict[str, Any], tmp_path: Path) -> None:
    made = convert(name, case, tmp_path)
    shown = [
        {"id": row.source_id, "rejected": row.reason}
        if isinstance(row, Rejected)
        else {"id": row.source_id, "images": row.images, "turns": [list(turn) for turn in row.turns]}
        for row in made
    ]
    assert shown == case["expect"]
    for row in made:
        if not isinstance(row, Rejected):
            assert check(conversation(row.turns), len(row.images)) is None


def test_every_artefact_has_a_format_and_declares_itself() -> None:
    assert {path.stem for path in ARTEFACTS.glob("*.json")} == set(KNOWN)
    for name in KNOWN:
        module = load_module(FORMATS, name, "format")
        assert module.VERSION >= 1
        assert set(module.COLUMNS) >= module.OPTIONAL
        assert module.__doc__


def test_a_role_that_the_format_has_not_is_refused() -> None:
    with pytest.raises(Refusal, match="has no role picture"):
        Form("caption_pairs", {"picture": "image"}, {}, Source()).roles()


def test_a_role_that_the_card_names_is_needed_even_if_optional() -> None:
    assert Form("caption_pairs", {}, {}, Source()).missing({"image", "caption"}) == []
    assert Form("caption_pairs", {"id": "hexcode"}, {}, Source()).missing({"image", "caption"}) == ["hexcode"]


@pytest.mark.parametrize(
    ("answer", "index"), [(1, 1), ("B", 1), ("b", 1), ("two", 1), ("1", 1), (" one ", 0), ("0", 0)]
)
def test_an_answer_column_may_be_index_letter_or_text(answer: object, index: int) -> None:
    assert option_index(answer, ["one", "two"]) == index


def test_the_text_of_an_option_goes_before_its_index() -> None:
    assert option_index("1", ["3", "1", "0"]) == 1
    assert option_index("A", ["B", "A"]) == 1


@pytest.mark.parametrize("answer", [None, 2, -1, "C", "three", "", True, 1.0])
def test_an_answer_that_is_no_option_is_unusable(answer: object) -> None:
    with pytest.raises(Unusable):
        option_index(answer, ["one", "two"])


def test_a_request_is_added_once() -> None:
    asked = with_request("What?", "Please answer yes or no.")
    assert with_request(asked, "Answer the question using a single word or phrase.") == asked


def test_the_choice_prompt_is_llavas() -> None:
    assert choice_question("Which?", ["red", "blue"], "Look.") == (
        "Look.\nWhich?\nA. red\nB. blue\nAnswer with the option's letter from the given choices directly."
    )


def test_markers_are_added_before_the_first_question_only_when_there_are_none() -> None:
    turns = [("system", "s"), ("user", "q"), ("assistant", "a")]
    assert marked(turns, 2)[1] == ("user", "<image>\n<image>\nq")
    assert marked([("user", "q <image>")], 1) == [("user", "q <image>")]
    assert marked([("assistant", "a")], 1) == [("assistant", "a")]


def test_image_cells_of_every_kind() -> None:
    assert pictures_of(None) == []
    assert pictures_of("a.png") == ["a.png"]
    assert pictures_of(" ") == []
    assert pictures_of(2406) == ["2406"]
    assert pictures_of({"bytes": b"x", "path": "a.png"}) == [b"x"]
    assert pictures_of({"bytes": None, "path": "a.png"}) == ["a.png"]
    assert pictures_of([{"bytes": b"x", "path": None}, "b.png", None]) == [b"x", "b.png"]
    with pytest.raises(Unusable, match="not a picture"):
        pictures_of(3.5)
