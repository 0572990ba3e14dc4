"""``curator check``: everything that is wrong is said, with the way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry.store import Home
from tests.conftest import Curator
from tests.curator.data_home import make_chats, write_card


@pytest.fixture
def home(home_path: Path, tmp_path: Path) -> Home:
    """A home with one sound card and its samples."""
    opened = Home(home_path)
    make_chats(opened, tmp_path, "sound", 3)
    return opened


def problems(curator: Curator, *names: str) -> list[str]:
    """What ``check`` finds, as text."""
    result = curator("check", *names, "--json")
    found = json.loads(result.stdout)["problems"]
    assert result.exit_code == (1 if found else 0)
    assert all(fault["where"] and fault["what"] and fault["way_out"] for fault in found)
    return [f"{fault['where']}: {fault['what']}" for fault in found]


def write_recipe(home: Home, name: str, **fields: Any) -> Path:
    """A recipe of the home's own."""
    path = home.path / "recipes" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"name": name, **fields}), encoding="utf-8")
    return path


def test_everything_that_ships_is_sound(curator: Curator) -> None:
    assert problems(curator) == []


def test_what_was_checked_is_counted(curator: Curator, home: Home) -> None:
    write_recipe(home, "r", parts=[{"dataset": "sound", "part": "all"}])
    result = curator("check")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "2 records: no problems" in result.stderr


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"format": "llava_chatt"}, "unknown format 'llava_chatt'; did you mean 'llava_chat'?"),
        ({"format": "llava_chat", "columns": {"imagee": "x"}}, "has no role imagee"),
        (
            {"format": "llava_chat", "alternates": [{"format": "cauldron", "columns": {"nope": "x"}}]},
            "has no role nope",
        ),
    ],
)
def test_a_card_that_no_format_can_read(curator: Curator, home: Home, fields: dict[str, Any], what: str) -> None:
    write_card(home, "odd", **fields)
    (found,) = problems(curator, "odd")
    assert what in found


def test_a_wrong_field_is_found_at_its_line(curator: Curator, home: Home) -> None:
    path = home.cards / "odd.yaml"
    text = "name: odd\ntitle: Odd\nstage: sft\nformat: llava_chat\nlicense: mit\nparts: [{name: a, category: chart}]\n"
    path.write_text(text, encoding="utf-8")
    (found,) = problems(curator, "odd")
    assert f"{path}:5" in found
    assert "did you mean 'licence'?" in found


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ({"dataset": "sond"}, "no card of a dataset 'sond'; did you mean 'sound'?"),
        ({"dataset": "sound", "part": "al"}, "has no part 'al'; did you mean 'all'?"),
        ({"recipe": "absent"}, "no recipe 'absent'"),
        ({"dataset": "sound", "filters": {"text_lenght": {"words": {"min": "1"}}}}, "did you mean 'text_length'?"),
        ({"dataset": "sound", "filters": {"text_length": {"wrds": {"min": "1"}}}}, "measures no 'wrds'"),
        ({"dataset": "sound", "repeat": "2", "choose": "3"}, "choose one"),
    ],
)
def test_a_recipe_that_names_what_is_not_there(curator: Curator, home: Home, part: dict[str, Any], what: str) -> None:
    path = write_recipe(home, "odd", parts=[part])
    (found,) = problems(curator, "odd")
    assert what in found
    assert str(path) in found or "odd" in found
    assert what in problems(curator)[0]


def test_files_are_told_apart_by_their_fields(curator: Curator, home: Home, tmp_path: Path) -> None:
    recipe = write_recipe(home, "r", parts=[{"dataset": "absent"}])
    assert "no card of a dataset" in problems(curator, str(recipe))[0]
    card = tmp_path / "odd.yaml"
    card.write_text("title: t\n", encoding="utf-8")
    assert "odd.yaml:1" in problems(curator, str(card))[0]


def test_an_account_that_does_not_add_up_is_found(curator: Curator, home: Home) -> None:
    (folder,) = home.finished("samples")
    record = json.loads((folder / "record.json").read_bytes())
    (folder / "record.json").write_text(json.dumps(record | {"rows_in": 99}), encoding="utf-8")
    assert problems(curator) == [f"{folder}: 99 rows in, but 3 accounted for"]


def test_a_damaged_record_is_found_and_the_rest_still_checked(curator: Curator, home: Home) -> None:
    (folder,) = home.finished("samples")
    (folder / "record.json").write_text("{", encoding="utf-8")
    write_card(home, "odd", format="nothing")
    found = problems(curator)
    assert len(found) == 2
    assert "damaged" in found[1]


def test_an_unknown_name_is_refused_with_the_nearest(curator: Curator, home: Home) -> None:
    assert home.cards.is_dir()
    result = curator("check", "soun")
    assert result.exit_code == 1
    assert "did you mean 'sound'?" in result.stderr


def test_problems_are_printed_for_people(curator: Curator, home: Home) -> None:
    write_card(home, "odd", format="nothing")
    result = curator("check", "odd")
    assert result.exit_code == 1
    assert "unknown format 'nothing'\n  way out: formats are: " in result.stdout
    assert "checked 1 card: 1 problem\n" in result.stderr


def test_the_first_rows_of_a_dataset_that_is_here_are_shown(curator: Curator, home: Home, tmp_path: Path) -> None:
    make_chats(home, tmp_path, "long", 5)
    result = curator("check", "sound", "long")
    assert result.exit_code == 0
    assert result.stdout.count("row ") == 6
    assert "What is 2 and one?" in result.stdout
    assert "What is 3 and one?" not in result.stdout
    shown = json.loads(curator("check", "sound", "--json").stdout)["rows"]
    assert [row["source_id"] for row in shown] == ["row-0", "row-1", "row-2"]
    assert curator("check", "vsr").stdout == ""
